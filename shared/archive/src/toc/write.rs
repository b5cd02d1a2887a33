//! Writes a table of contents as `pg_dump` does.

use super::{Compression, Entry, Extra, Header, Toc};

impl Toc {
    /// Header and table of contents as stock tools write them: all of `toc.dat`, or the head of a custom archive.
    ///
    /// Reading the result gives an equal value, provided that this one could have been read: strings without zero bytes
    /// and below 2 GiB, `relkind` from version 1.16 on, `compression` and `extra` of the header's version and format.
    pub fn write(&self) -> Vec<u8> {
        let header = &self.header;
        let mut out = Output { bytes: Vec::new(), int_size: usize::from(header.int_size) };
        out.header(header);
        let at = &self.created;
        for field in [at.sec, at.min, at.hour, at.mday, at.mon, at.year, at.isdst] {
            out.int(field.into());
        }
        for field in [&self.dbname, &self.remote_version, &self.dump_version] {
            out.string(field.as_deref());
        }
        out.int(self.entries.len() as i64);
        for entry in &self.entries {
            out.entry(header, entry);
        }
        out.bytes
    }
}

struct Output {
    bytes: Vec<u8>,
    int_size: usize,
}

impl Output {
    fn header(&mut self, header: &Header) {
        let (major, minor, revision) = header.version;
        self.bytes.extend_from_slice(b"PGDMP");
        self.bytes.extend([major, minor, revision, header.int_size, header.off_size, header.format.code()]);
        match header.compression {
            Compression::Level(level) => self.int(level.into()),
            Compression::Algorithm(algorithm) => self.bytes.push(algorithm),
        }
    }

    fn entry(&mut self, header: &Header, entry: &Entry) {
        self.int(entry.dump_id.into());
        self.int(entry.had_dumper.into());
        self.number(entry.table_oid);
        self.number(entry.oid);
        self.string(Some(&entry.tag));
        self.string(Some(&entry.desc));
        self.int(entry.section.code().into());
        for field in
            [&entry.defn, &entry.drop_stmt, &entry.copy_stmt, &entry.namespace, &entry.tablespace, &entry.table_am]
        {
            self.string(field.as_deref());
        }
        if header.version.1 >= 16 {
            self.int(entry.relkind.unwrap_or(0).into());
        }
        self.string(entry.owner.as_deref());
        self.string(entry.with_oids.as_deref());
        for &dependency in &entry.dependencies {
            self.number(dependency);
        }
        self.string(None);
        match &entry.extra {
            Extra::Custom { state, offset } => {
                self.bytes.push(*state);
                self.bytes.extend_from_slice(offset);
            }
            Extra::Directory { file } => self.string(Some(file)),
        }
    }

    /// A sign byte and `int_size` bytes, little-endian.
    fn int(&mut self, value: i64) {
        let width = self.int_size.min(8);
        self.bytes.push(u8::from(value < 0));
        self.bytes.extend_from_slice(&value.unsigned_abs().to_le_bytes()[..width]);
    }

    fn string(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.int(value.len() as i64);
                self.bytes.extend_from_slice(value);
            }
            None => self.int(-1),
        }
    }

    /// OIDs and dependencies are decimal strings, for historical reasons.
    fn number(&mut self, value: impl std::fmt::Display) {
        self.string(Some(value.to_string().as_bytes()));
    }
}
