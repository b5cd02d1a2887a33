//! Builds text piece by piece.

use std::fmt::{self, Write};

/// Adds formatted pieces to a text; a text in memory takes them all.
pub(crate) trait Append {
    /// Adds a piece.
    fn add(&mut self, piece: fmt::Arguments<'_>);
}

impl Append for String {
    fn add(&mut self, piece: fmt::Arguments<'_>) {
        let _ = self.write_fmt(piece);
    }
}
