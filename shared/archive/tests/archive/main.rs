//! Tests of the crate as a whole, against archives that stock tools made and against the stock tools themselves.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

mod codecs;
mod encryption;
mod fixtures;
mod harvest;
mod libpgdump_oracle;
mod rows;
mod stock_restore;
mod toc_fuzz;
mod toc_properties;
