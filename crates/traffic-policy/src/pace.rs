//! Long work in slices: it pauses in between, so that what shares its thread has a turn. One text for both: work that is to
//! be done at once is the same future, asked until it is ready.
//!
//! There is no clock: work is counted in units, each about what reading one byte of a written policy costs.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// How much is done before a pause.
#[derive(Debug)]
pub struct Pace {
    slice: usize,
    left: Cell<usize>,
}

impl Pace {
    /// Slices of so many units.
    pub const fn slices_of(units: usize) -> Self {
        Self {
            slice: units,
            left: Cell::new(units),
        }
    }

    /// No pause.
    pub const fn at_once() -> Self {
        Self::slices_of(usize::MAX)
    }

    /// Counts work of so many units; pauses once if the slice has no room for it. So a slice is exceeded by nothing but
    /// what alone is more than one.
    pub fn spend(&self, units: usize) -> impl Future<Output = ()> {
        Spend { pace: self, units }
    }
}

struct Spend<'a> {
    pace: &'a Pace,
    units: usize,
}

impl Future for Spend<'_> {
    type Output = ();

    // Called from everywhere that something is done in slices; inlined, it would be most of the code for that.
    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let Pace { slice, left } = self.pace;
        let units = std::mem::take(&mut self.units);
        if let Some(rest) = left.get().checked_sub(units) {
            left.set(rest);
            return Poll::Ready(());
        }
        left.set(slice.saturating_sub(units));
        Poll::Pending
    }
}

/// One slice of `work`, which nothing but a [`Pace`] holds up.
pub fn slice<T>(work: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    work.poll(&mut Context::from_waker(Waker::noop()))
}

/// All of `work`.
pub(crate) fn all<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        if let Poll::Ready(done) = slice(work.as_mut()) {
            return done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many slices it takes to spend `units` one after the other.
    fn slices(pace: &Pace, units: &[usize]) -> usize {
        let mut work = pin!(async {
            for units in units {
                pace.spend(*units).await;
            }
        });
        let mut slices = 1;
        while slice(work.as_mut()).is_pending() {
            slices += 1;
        }
        slices
    }

    #[test]
    fn what_does_not_fit_waits_for_the_next_slice() {
        for (units, expected) in [
            (&[][..], 1),
            (&[10], 1),
            (&[5, 5], 1),
            (&[5, 6], 2),
            (&[5, 6, 4, 1], 3),
            // More than a slice takes one of its own.
            (&[1, 100, 1], 3),
            (&[0, 0, 0], 1),
        ] {
            assert_eq!(slices(&Pace::slices_of(10), units), expected, "{units:?}");
        }
        assert_eq!(slices(&Pace::at_once(), &[1 << 20; 1_000]), 1);
    }
}
