//! What can be wrong with a table of contents.

/// Why a table of contents cannot be read or converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TocError {
    /// The reader failed.
    #[error("read table of contents at byte {offset}")]
    Read {
        /// Bytes read before.
        offset: u64,
        /// The failure.
        source: std::io::Error,
    },
    /// The input ended inside the table of contents.
    #[error("table of contents ends too early, at byte {offset}")]
    Truncated {
        /// Bytes read before the end.
        offset: u64,
    },
    /// There are bytes after the last entry of a directory archive's table of contents.
    #[error("{bytes} bytes follow the end of the table of contents")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// The table of contents is larger than [`Limits`](super::Limits) allow.
    #[error("table of contents is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The input does not begin with `PGDMP`.
    #[error("this is no pg_dump archive: it does not begin with PGDMP")]
    Magic,
    /// The archive version is not one of 1.14 to 1.16.
    #[error("archive version {0}.{1}.{2} is not supported (1.14 to 1.16 are)")]
    Version(u8, u8, u8),
    /// The archive is neither in custom nor in directory format.
    #[error("archive format code {0} is not supported (1, custom, and 3, directory, are)")]
    Format(u8),
    /// The width of integers or offsets is not supported.
    #[error("{what} of {size} bytes are not supported")]
    Width {
        /// `integers` or `offsets`.
        what: &'static str,
        /// Bytes.
        size: u8,
    },
    /// A field has a value that `pg_dump` never writes.
    #[error("{field} is not valid, before byte {offset}")]
    Field {
        /// Which field.
        field: &'static str,
        /// Bytes read so far.
        offset: u64,
    },
}
