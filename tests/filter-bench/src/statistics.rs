//! Medians and what lies around them.

/// A figure out of many: the middle one and how far off the middle half of them is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Median {
    pub(crate) value: f64,
    /// Half of the distance between the quartiles.
    pub(crate) spread: f64,
}

/// The median of `figures`; not a number if there are none.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> Median {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    Median {
        value: at(&sorted, 500),
        spread: (at(&sorted, 750) - at(&sorted, 250)) / 2.0,
    }
}

/// The figure that `thousandths` of `figures` are not above.
pub(crate) fn percentile(figures: impl IntoIterator<Item = f64>, thousandths: usize) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    at(&sorted, thousandths)
}

/// The nearest of `sorted`.
fn at(sorted: &[f64], thousandths: usize) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let index = (last * thousandths + 500) / 1000;
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
// These figures are exact.
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_ends_are_found() {
        let figures = || (1..=101).rev().map(f64::from);
        let middle = median(figures());
        assert_eq!((middle.value, middle.spread), (51.0, 25.0));
        assert_eq!(percentile(figures(), 999), 101.0);
        assert_eq!(percentile(figures(), 0), 1.0);
        assert_eq!(median([3.0]).value, 3.0);
        assert!(median([]).value.is_nan());
    }
}
