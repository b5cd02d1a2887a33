//! Stock `pg_restore` takes what we write for its own.

use std::{collections::HashMap, fs, io::Read, path::Path};

use lifeboat_archive::{
    chunk,
    codec::{Codec, Encoder},
    data_file, large_objects,
    toc::{self, Toc},
};

use crate::fixtures::{self, DATABASES, MAJORS};

const GZIP: Codec = Codec::Gzip { level: 6 };

fn list(major: u32, archive: &Path) -> Vec<u8> {
    let output = fixtures::output(fixtures::tool(major, "pg_restore").arg("-l").arg(archive));
    let entries: Vec<_> = output.split(|&byte| byte == b'\n').filter(|line| !line.starts_with(b";")).collect();
    assert!(entries.len() > 3);
    entries.join(&b'\n')
}

#[test]
fn a_converted_archive_lists_the_same_entries_as_the_original() {
    for major in MAJORS {
        for database in DATABASES {
            let original = fixtures::path(major, &format!("{database}.dump"));
            let directory = tempfile::tempdir().unwrap();
            let toc = toc::read(&fs::read(&original).unwrap()).unwrap();
            fs::write(directory.path().join("toc.dat"), toc.to_directory(&GZIP).write()).unwrap();
            let entries = list(major, &original);
            assert_eq!(list(major, directory.path()), entries, "{major}/{database}");
            assert_eq!(list(18, directory.path()), list(18, &original), "{major}/{database} read by 18");
        }
    }
}

/// SQL of a whole restore, without the random tokens that current clients put around it.
fn script(major: u32, archive: &Path) -> Vec<u8> {
    let output = fixtures::output(fixtures::tool(major, "pg_restore").args(["-f", "-"]).arg(archive));
    let is_token = |line: &&[u8]| line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ");
    let lines: Vec<_> = output.split(|&byte| byte == b'\n').filter(|line| !is_token(line)).collect();
    lines.join(&b'\n')
}

fn encode(codec: Codec, chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in chunks {
        let mut encoder = Encoder::new(&codec).unwrap();
        encoder.write(chunk, &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
    }
    out
}

/// Data of a custom archive, read from the pipe's order of blocks (`_PrintTocData` in `pg_backup_custom.c`).
#[derive(Default)]
struct Contents {
    tables: HashMap<i32, Vec<u8>>,
    large_objects: HashMap<u32, Vec<u8>>,
}

struct Blocks<'a>(&'a [u8]);

impl Blocks<'_> {
    fn contents(mut self) -> Contents {
        let mut contents = Contents::default();
        while let Some((&kind, rest)) = self.0.split_first() {
            self.0 = rest;
            let dump_id = self.int();
            if kind == 1 {
                contents.tables.insert(dump_id, self.content());
            } else {
                loop {
                    let oid = self.int().cast_unsigned();
                    if oid == 0 {
                        break;
                    }
                    contents.large_objects.insert(oid, self.content());
                }
            }
        }
        contents
    }

    fn int(&mut self) -> i32 {
        let (field, rest) = self.0.split_at(5);
        self.0 = rest;
        let magnitude = i32::from_le_bytes(field[1..].try_into().unwrap());
        if field[0] == 0 { magnitude } else { -magnitude }
    }

    /// A zlib stream in pieces.
    fn content(&mut self) -> Vec<u8> {
        let mut compressed = Vec::new();
        loop {
            let length = usize::try_from(self.int()).unwrap();
            if length == 0 {
                break;
            }
            let (piece, rest) = self.0.split_at(length);
            self.0 = rest;
            compressed.extend_from_slice(piece);
        }
        let mut content = Vec::new();
        flate2::read::ZlibDecoder::new(&compressed[..]).read_to_end(&mut content).unwrap();
        content
    }
}

/// Writes the archive in directory format, every table's data in two chunks.
fn write_directory(directory: &Path, toc: &Toc, contents: &Contents, codec: Codec) {
    fs::write(directory.join("toc.dat"), toc.to_directory(&codec).write()).unwrap();
    for entry in toc.entries.iter().filter(|entry| entry.had_dumper) {
        if entry.is_blobs() {
            let oids = large_objects::oids_of(toc, entry).unwrap();
            let list = large_objects::toc_file_name(&toc.header, entry.dump_id);
            fs::write(directory.join(list), large_objects::blobs_toc(&oids)).unwrap();
            for oid in oids {
                let file = directory.join(large_objects::file_name(oid, &codec));
                fs::write(file, encode(codec, &[&contents.large_objects[&oid]])).unwrap();
            }
        } else {
            let data = &contents.tables[&entry.dump_id];
            assert!(data.ends_with(data_file::END));
            let (first, second) = data.split_at(data.len() / 2);
            let file = directory.join(chunk::data_file_name(entry.dump_id, &codec));
            fs::write(file, encode(codec, &[first, second])).unwrap();
        }
    }
}

#[test]
fn a_converted_archive_restores_to_the_same_sql_as_the_original() {
    for major in [15, 16] {
        let original = fixtures::path(major, "utf8.dump");
        let bytes = fs::read(&original).unwrap();
        let mut rest = bytes.as_slice();
        let toc = toc::read_stream(&mut rest).unwrap();
        let contents = Blocks(rest).contents();
        let expected = script(major, &original);
        assert!(expected.windows(4).any(|window| window == b"\n\\.\n"));
        for codec in [GZIP, Codec::None] {
            let directory = tempfile::tempdir().unwrap();
            write_directory(directory.path(), &toc, &contents, codec);
            let sql = script(major, directory.path());
            assert!(sql == expected, "{major} {codec}: the scripts differ");
        }
    }
}
