//! An error with all its sources on one line, for the edge where a person reads it.

use std::error::Error;
use std::fmt;

/// Displays an error and its sources, outermost first, joined with `": "`.
#[derive(Debug)]
pub struct Chain<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("virtual service shop/reviews")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("not found")]
    struct Inner;

    #[test]
    fn a_chain_says_each_error_once() {
        assert_eq!(
            Chain(&Outer(Inner)).to_string(),
            "virtual service shop/reviews: not found"
        );
    }
}
