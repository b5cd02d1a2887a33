//! A `pg_dump` table of contents (archive versions 1.14, 1.15 and 1.16), and the fields of its entries.
//!
//! The format is that of `ReadHead`, `ReadToc`, `WriteHead` and `WriteToc` in `PostgreSQL`'s `pg_backup_archiver.c`, with
//! the format-specific ends of entries from `pg_backup_custom.c` and `pg_backup_directory.c`.

mod directory;
mod error;
mod read;
mod write;

use std::{borrow::Cow, collections::HashSet};

pub use error::TocError;
pub use read::{Limits, read, read_stream, read_stream_within, read_within};

use crate::names;

/// A table of contents: what an archive holds, in the order in which it is restored.
///
/// Strings are bytes in the encoding of the database, which need not be valid in any encoding (`SQL_ASCII`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toc {
    /// Version, sizes, format and compression of the archive.
    pub header: Header,
    /// When the dump began.
    pub created: CreatedAt,
    /// Name of the dumped database.
    pub dbname: Option<Vec<u8>>,
    /// Version of the dumped server, such as `16.4 (Debian 16.4-1)`.
    pub remote_version: Option<Vec<u8>>,
    /// Version of the `pg_dump` that wrote the archive.
    pub dump_version: Option<Vec<u8>>,
    /// The entries, in archive order.
    pub entries: Vec<Entry>,
}

/// The fixed part at the start of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Archive version: major, minor, revision (`(1, 16, 0)`).
    pub version: (u8, u8, u8),
    /// Bytes of an integer, without its sign byte. Always 4 in practice.
    pub int_size: u8,
    /// Bytes of a file offset. Always 8 in practice.
    pub off_size: u8,
    /// Which kind of archive the table of contents belongs to.
    pub format: Format,
    /// How the data of the archive are compressed.
    pub compression: Compression,
}

/// The kind of archive that a table of contents belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One file or pipe (`pg_dump -Fc`): entries carry offsets.
    Custom,
    /// A directory with `toc.dat` (`pg_dump -Fd`): entries carry file names. Stock tools write the code of the tar
    /// format into the header (3, not 5), and refuse any other.
    Directory,
}

impl Format {
    /// The byte in the header.
    pub const fn code(self) -> u8 {
        match self {
            Self::Custom => 1,
            Self::Directory => 3,
        }
    }
}

/// The compression field of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Version 1.14: the zlib level; 0 is uncompressed, -1 is zlib's default.
    Level(i32),
    /// Version 1.15 and newer: 0 none, 1 gzip, 2 LZ4, 3 zstd.
    Algorithm(u8),
}

/// When a dump began, as C's `struct tm` in the time zone of the machine that ran `pg_dump`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CreatedAt {
    /// Second, 0 to 60.
    pub sec: i32,
    /// Minute.
    pub min: i32,
    /// Hour.
    pub hour: i32,
    /// Day of the month, from 1.
    pub mday: i32,
    /// Month, from 0.
    pub mon: i32,
    /// Years since 1900.
    pub year: i32,
    /// Positive in summer time, 0 outside, negative where not known.
    pub isdst: i32,
}

/// The part of a restore that an entry belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Comments and ACLs: wherever what they belong to is.
    None,
    /// Definitions that come before the data.
    PreData,
    /// Table data, large objects and sequence values.
    Data,
    /// Indexes, constraints, triggers and refreshes.
    PostData,
    /// A number without a name in `pg_backup.h`.
    Unknown(i32),
}

impl Section {
    /// The section with this number in the archive.
    pub const fn from_code(code: i32) -> Self {
        match code {
            1 => Self::None,
            2 => Self::PreData,
            3 => Self::Data,
            4 => Self::PostData,
            other => Self::Unknown(other),
        }
    }

    /// The number in the archive.
    pub const fn code(self) -> i32 {
        match self {
            Self::None => 1,
            Self::PreData => 2,
            Self::Data => 3,
            Self::PostData => 4,
            Self::Unknown(other) => other,
        }
    }
}

/// One object, or the data of one, in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Identifies the entry inside the archive; positive.
    pub dump_id: i32,
    /// Whether the entry has data of its own (table data, large objects).
    pub had_dumper: bool,
    /// OID of the catalog that `oid` belongs to, 0 where there is none (`catalogId.tableoid`).
    pub table_oid: u32,
    /// OID of the object in the dumped database, 0 where there is none (`catalogId.oid`).
    pub oid: u32,
    /// Name of the object, as shown in listings.
    pub tag: Vec<u8>,
    /// Kind of the object, such as `TABLE DATA`.
    pub desc: Vec<u8>,
    /// The part of a restore it belongs to.
    pub section: Section,
    /// SQL that creates it; for BLOB METADATA the OIDs of large objects, one per line.
    pub defn: Option<Vec<u8>>,
    /// SQL that drops it.
    pub drop_stmt: Option<Vec<u8>>,
    /// `COPY … FROM stdin;` of table data.
    pub copy_stmt: Option<Vec<u8>>,
    /// Schema, unquoted.
    pub namespace: Option<Vec<u8>>,
    /// Tablespace, unquoted.
    pub tablespace: Option<Vec<u8>>,
    /// Table access method.
    pub table_am: Option<Vec<u8>>,
    /// `pg_class.relkind` as a character code, 0 for no relation; in version 1.16 only.
    pub relkind: Option<i32>,
    /// Owner, unquoted.
    pub owner: Option<Vec<u8>>,
    /// `false` since WITH OIDS is gone.
    pub with_oids: Option<Vec<u8>>,
    /// Dump ids of the entries that must be restored before this one.
    pub dependencies: Vec<i32>,
    /// Where the data are.
    pub extra: Extra,
}

/// Where the data of an entry are: the end of an entry that depends on the archive's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    /// Custom format.
    Custom {
        /// 1: position not known (a pipe), 2: position known, 3: no data.
        state: u8,
        /// The offset, little-endian, `off_size` bytes.
        offset: Vec<u8>,
    },
    /// Directory format.
    Directory {
        /// File name without the suffix of the compression; empty where there are no data.
        file: Vec<u8>,
    },
}

impl Toc {
    /// The entry with this dump id.
    pub fn entry(&self, dump_id: i32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.dump_id == dump_id)
    }

    /// Dump ids of the data of tables that the archive does not create because an extension does, in the archive's
    /// order.
    ///
    /// Such tables have their foreign keys before their rows. pg_dump writes their rows in an order that satisfies these
    /// (`processExtensionTables` in `pg_dump.c`), and says so by that order alone: nothing may overtake there, as
    /// `pg_restore -j` does.
    pub fn data_of_extensions(&self) -> Vec<i32> {
        let tables: HashSet<i32> =
            self.entries.iter().filter(|e| e.desc == b"TABLE").map(|entry| entry.dump_id).collect();
        let without_table = |entry: &&Entry| !entry.dependencies.iter().any(|id| tables.contains(id));
        self.entries.iter().filter(|e| e.is_table_data()).filter(without_table).map(|entry| entry.dump_id).collect()
    }
}

impl Entry {
    /// The kind of the object, for comparing and messages. `pg_dump` writes nothing but ASCII here.
    pub fn desc_str(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.desc)
    }

    /// The name of the object as [`names::text`].
    pub fn tag_str(&self) -> Cow<'_, str> {
        names::text(&self.tag)
    }

    /// The schema as [`names::text`]; empty where there is none.
    pub fn namespace_str(&self) -> Cow<'_, str> {
        names::text(self.namespace.as_deref().unwrap_or_default())
    }

    /// Whether this is a privilege, comment or security label of an object of this kind, such as `LARGE OBJECT`: only
    /// their tags begin with the kind. The tag of any other entry is a name, which may begin with anything.
    pub fn is_remark_on(&self, kind: &str) -> bool {
        matches!(self.desc.as_slice(), b"ACL" | b"COMMENT" | b"SECURITY LABEL")
            && self.tag.strip_prefix(kind.as_bytes()).is_some_and(|rest| matches!(rest.first(), Some(b' ' | b'S')))
    }

    /// Whether this is the data of a table.
    pub fn is_table_data(&self) -> bool {
        self.desc == b"TABLE DATA"
    }

    /// Whether this is the content of a group of large objects (of all of them before version 1.16).
    pub fn is_blobs(&self) -> bool {
        self.desc == b"BLOBS"
    }

    /// The file with the data in a directory archive, without the suffix of the compression. `None` in a custom
    /// archive and for entries without data.
    pub fn file(&self) -> Option<&[u8]> {
        match &self.extra {
            Extra::Directory { file } if !file.is_empty() => Some(file),
            Extra::Directory { .. } | Extra::Custom { .. } => None,
        }
    }
}
