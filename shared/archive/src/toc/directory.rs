//! Turns a table of contents into the one that `pg_dump -Fd` would have written.

use super::{Compression, Entry, Extra, Format, Header, Toc};
use crate::{chunk, codec::Codec, large_objects};

impl Toc {
    /// The same entries in directory format: file names instead of offsets, and a header that says so.
    ///
    /// File names are those of `_ArchiveEntry` in `pg_backup_directory.c`: none for an entry without data. The
    /// compression field is what `pg_dump -Fd` writes for `codec`. Version 1.14 has only a gzip level there: for zstd it
    /// says "default", and pg_restore 16 and newer find `.zst` files by their suffix; pg_restore 15 reads them once
    /// they are decompressed.
    #[must_use]
    pub fn to_directory(&self, codec: &Codec) -> Self {
        let header =
            Header { format: Format::Directory, compression: compression(&self.header, *codec), ..self.header };
        let entries = self
            .entries
            .iter()
            .map(|entry| Entry { extra: Extra::Directory { file: file_name(&header, entry) }, ..entry.clone() })
            .collect();
        Self { header, entries, ..self.clone() }
    }
}

fn compression(header: &Header, codec: Codec) -> Compression {
    let minor = header.version.1;
    match (minor < 15, codec) {
        (true, Codec::None) => Compression::Level(0),
        (true, Codec::Gzip { level }) => Compression::Level(level as i32),
        (true, Codec::Zstd { .. }) => Compression::Level(-1),
        (false, Codec::None) => Compression::Algorithm(0),
        (false, Codec::Gzip { .. }) => Compression::Algorithm(1),
        (false, Codec::Zstd { .. }) => Compression::Algorithm(3),
    }
}

fn file_name(header: &Header, entry: &Entry) -> Vec<u8> {
    if entry.is_blobs() {
        large_objects::toc_file_name(header, entry.dump_id).into_bytes()
    } else if entry.had_dumper {
        chunk::data_file_name(entry.dump_id, &Codec::None).into_bytes()
    } else {
        Vec::new()
    }
}
