//! How a table's data file ends.

/// What stands after the last row of every table's data file: the end-of-data line of COPY's text format and two empty
/// lines, as `pg_dump` writes them. A table of several chunks has it at the end of the last one.
pub const END: &[u8] = b"\\.\n\n\n";

/// The end-of-data line, without its newline. No row looks like it: COPY doubles backslashes in values.
pub const END_LINE: &[u8] = b"\\.";
