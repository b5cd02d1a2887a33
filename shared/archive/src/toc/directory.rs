//! Turns a table of contents into the one that `pg_dump -Fd` would have written.

use super::{Compression, Entry, Extra, Format, Header, Toc, TocError};
use crate::{chunk, codec::Codec, large_objects};

impl Toc {
    /// The same entries in directory format: file names instead of offsets, and a header that says so.
    ///
    /// File names are those of `_ArchiveEntry` in `pg_backup_directory.c`: none for an entry without data. The
    /// compression field is what `pg_dump -Fd` writes for `codec`; version 1.14 cannot express zstd, which is an error.
    pub fn to_directory(&self, codec: &Codec) -> Result<Self, TocError> {
        let header =
            Header { format: Format::Directory, compression: compression(&self.header, *codec)?, ..self.header };
        let entries = self
            .entries
            .iter()
            .map(|entry| Entry { extra: Extra::Directory { file: file_name(&header, entry) }, ..entry.clone() })
            .collect();
        Ok(Self { header, entries, ..self.clone() })
    }
}

fn compression(header: &Header, codec: Codec) -> Result<Compression, TocError> {
    let minor = header.version.1;
    match (minor < 15, codec) {
        (true, Codec::None) => Ok(Compression::Level(0)),
        (true, Codec::Gzip { level }) => Ok(Compression::Level(level as i32)),
        (true, Codec::Zstd { .. }) => Err(TocError::CodecNotExpressible { minor, codec }),
        (false, Codec::None) => Ok(Compression::Algorithm(0)),
        (false, Codec::Gzip { .. }) => Ok(Compression::Algorithm(1)),
        (false, Codec::Zstd { .. }) => Ok(Compression::Algorithm(3)),
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
