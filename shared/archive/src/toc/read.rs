//! Reads a table of contents, never allocating much more than was really read.

use std::io::{ErrorKind, Read};

use super::{Compression, CreatedAt, Entry, Extra, Format, Header, Section, Toc, TocError};

/// Strings are read in pieces of this size, so that a length in a damaged archive cannot make us allocate it.
const PIECE: usize = 64 * 1024;

/// How much of an input is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of header and table of contents together.
    pub max_bytes: u64,
}

impl Default for Limits {
    /// 4 GiB.
    fn default() -> Self {
        Self { max_bytes: 4 << 30 }
    }
}

/// Reads header and table of contents from a stream, and not one byte more: from a `pg_dump -Fc` pipe, after which the
/// stream stands at the first data block, or from a directory archive's `toc.dat`.
///
/// Every field is one read: give `&mut BufReader` where reads are system calls (it keeps what it read ahead).
pub fn read_stream<R: Read>(reader: R) -> Result<Toc, TocError> {
    read_stream_within(reader, Limits::default())
}

/// [`read_stream`] within other limits.
pub fn read_stream_within<R: Read>(reader: R, limits: Limits) -> Result<Toc, TocError> {
    Source { reader, offset: 0, limits, int_size: 0 }.toc()
}

/// Reads the table of contents at the start of `bytes`. What follows it must be nothing in directory format, and is
/// ignored in custom format, where data follow.
pub fn read(bytes: &[u8]) -> Result<Toc, TocError> {
    read_within(bytes, Limits::default())
}

/// [`read`] within other limits.
pub fn read_within(bytes: &[u8], limits: Limits) -> Result<Toc, TocError> {
    let mut rest = bytes;
    let toc = read_stream_within(&mut rest, limits)?;
    match toc.header.format {
        Format::Directory if !rest.is_empty() => Err(TocError::TrailingBytes { bytes: rest.len() }),
        Format::Directory | Format::Custom => Ok(toc),
    }
}

struct Source<R> {
    reader: R,
    offset: u64,
    limits: Limits,
    int_size: u8,
}

impl<R: Read> Source<R> {
    fn toc(mut self) -> Result<Toc, TocError> {
        let header = self.header()?;
        let created = CreatedAt {
            sec: self.int()?,
            min: self.int()?,
            hour: self.int()?,
            mday: self.int()?,
            mon: self.int()?,
            year: self.int()?,
            isdst: self.int()?,
        };
        let dbname = self.string()?;
        let remote_version = self.string()?;
        let dump_version = self.string()?;
        let count = self.int()?;
        let count = usize::try_from(count).map_err(|_| self.invalid("number of entries"))?;
        let mut entries = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            entries.push(self.entry(&header)?);
        }
        Ok(Toc { header, created, dbname, remote_version, dump_version, entries })
    }

    fn header(&mut self) -> Result<Header, TocError> {
        if self.array::<5>()? != *b"PGDMP" {
            return Err(TocError::Magic);
        }
        let [major, minor, revision] = self.array()?;
        if major != 1 || !(14..=16).contains(&minor) {
            return Err(TocError::Version(major, minor, revision));
        }
        let [int_size, off_size, format] = self.array()?;
        if !(4..=8).contains(&int_size) {
            return Err(TocError::Width { what: "integers", size: int_size });
        }
        if !(1..=16).contains(&off_size) {
            return Err(TocError::Width { what: "offsets", size: off_size });
        }
        self.int_size = int_size;
        let format = match format {
            1 => Format::Custom,
            3 => Format::Directory,
            other => return Err(TocError::Format(other)),
        };
        let compression = if minor >= 15 {
            let [algorithm] = self.array()?;
            Compression::Algorithm(algorithm)
        } else {
            Compression::Level(self.int()?)
        };
        Ok(Header { version: (major, minor, revision), int_size, off_size, format, compression })
    }

    fn entry(&mut self, header: &Header) -> Result<Entry, TocError> {
        let dump_id = self.int()?;
        if dump_id <= 0 {
            return Err(self.invalid("dump id"));
        }
        Ok(Entry {
            dump_id,
            had_dumper: match self.int()? {
                0 => false,
                1 => true,
                _ => return Err(self.invalid("data flag")),
            },
            table_oid: self.number("catalog OID")?,
            oid: self.number("OID")?,
            tag: self.required("tag")?,
            desc: self.required("desc")?,
            section: Section::from_code(self.int()?),
            defn: self.string()?,
            drop_stmt: self.string()?,
            copy_stmt: self.string()?,
            namespace: self.string()?,
            tablespace: self.string()?,
            table_am: self.string()?,
            relkind: if header.version.1 >= 16 { Some(self.int()?) } else { None },
            owner: self.string()?,
            with_oids: self.string()?,
            dependencies: self.dependencies()?,
            extra: self.extra(header)?,
        })
    }

    fn dependencies(&mut self) -> Result<Vec<i32>, TocError> {
        let mut dependencies = Vec::new();
        while let Some(text) = self.string()? {
            dependencies.push(parse(&text).ok_or_else(|| self.invalid("dependency"))?);
        }
        Ok(dependencies)
    }

    fn extra(&mut self, header: &Header) -> Result<Extra, TocError> {
        match header.format {
            Format::Custom => {
                let [state] = self.array()?;
                if !(1..=3).contains(&state) {
                    return Err(self.invalid("offset state"));
                }
                Ok(Extra::Custom { state, offset: self.bytes(header.off_size.into())? })
            }
            Format::Directory => Ok(Extra::Directory { file: self.required("file name")? }),
        }
    }

    /// A sign byte and `int_size` bytes, little-endian.
    fn int(&mut self) -> Result<i32, TocError> {
        let mut bytes = [0; 9];
        let width = usize::from(self.int_size);
        let field = &mut bytes[..=width];
        self.fill(field)?;
        let mut magnitude = [0; 8];
        magnitude[..width].copy_from_slice(&field[1..]);
        let magnitude = i64::try_from(u64::from_le_bytes(magnitude)).map_err(|_| self.invalid("integer"))?;
        let value = if bytes[0] == 0 { magnitude } else { -magnitude };
        i32::try_from(value).map_err(|_| self.invalid("integer"))
    }

    /// A length and as many bytes; a negative length is SQL's NULL.
    fn string(&mut self) -> Result<Option<Vec<u8>>, TocError> {
        let Ok(length) = usize::try_from(self.int()?) else { return Ok(None) };
        let bytes = self.bytes(length)?;
        // C strings: stock tools would read another string than we do.
        if bytes.contains(&0) { Err(self.invalid("string")) } else { Ok(Some(bytes)) }
    }

    fn required(&mut self, field: &'static str) -> Result<Vec<u8>, TocError> {
        self.string()?.ok_or_else(|| self.invalid(field))
    }

    fn number(&mut self, field: &'static str) -> Result<u32, TocError> {
        let text = self.required(field)?;
        parse(&text).ok_or_else(|| self.invalid(field))
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, TocError> {
        let mut bytes = Vec::with_capacity(length.min(PIECE));
        while bytes.len() < length {
            let start = bytes.len();
            bytes.resize(length.min(start + PIECE), 0);
            self.fill(&mut bytes[start..])?;
        }
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TocError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TocError> {
        let end = self.offset + buffer.len() as u64;
        if end > self.limits.max_bytes {
            return Err(TocError::TooLarge { limit: self.limits.max_bytes });
        }
        self.reader.read_exact(buffer).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => TocError::Truncated { offset: self.offset },
            _ => TocError::Read { offset: self.offset, source },
        })?;
        self.offset = end;
        Ok(())
    }

    fn invalid(&self, field: &'static str) -> TocError {
        TocError::Field { field, offset: self.offset }
    }
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
