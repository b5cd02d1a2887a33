//! What a harvest does with real archives: read the head of a custom archive, convert it, list the large objects.

use std::{fs, io::Read};

use lifeboat_archive::{
    checksum::RowReader,
    chunk,
    codec::Codec,
    copy_statement, data_file, large_objects,
    toc::{self, Compression, Extra, Format, Section},
};

use crate::fixtures::{self, DATABASES, MAJORS};

const GZIP: Codec = Codec::Gzip { level: 6 };

#[test]
fn the_head_of_a_custom_archive_is_read_up_to_the_first_data_block_and_written_back_the_same() {
    for major in MAJORS {
        for name in ["utf8.dump", "ascii.dump", "utf8.large_objects.dump", "ascii.large_objects.dump"] {
            let bytes = fixtures::bytes(major, name);
            let mut rest = bytes.as_slice();
            let toc = toc::read_stream(&mut rest).unwrap();
            let head = bytes.len() - rest.len();
            assert_eq!(toc.write(), bytes[..head], "{major}/{name}");
            // BLK_DATA or BLK_BLOBS: the type of a block of data.
            assert!(matches!(rest[0], 1 | 3), "{major}/{name}");
            assert_eq!(toc::read(&bytes).unwrap(), toc);
        }
    }
}

#[test]
fn a_stream_that_gives_one_byte_at_a_time_is_read_the_same() {
    struct Slow<'a>(&'a [u8]);
    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = buffer.len().min(1);
            self.0.read(&mut buffer[..count])
        }
    }
    let bytes = fixtures::bytes(18, "utf8.dump");
    assert_eq!(toc::read_stream(Slow(&bytes)).unwrap(), toc::read(&bytes).unwrap());
}

#[test]
fn a_converted_table_of_contents_is_that_of_a_stock_directory_dump() {
    for major in MAJORS {
        for database in DATABASES {
            let stock = fixtures::bytes(major, &format!("{database}/toc.dat"));
            let custom = fixtures::read(major, &format!("{database}.dump"));
            let mut converted = custom.to_directory(&GZIP);
            converted.created = toc::read(&stock).unwrap().created;
            assert_eq!(converted, toc::read(&stock).unwrap(), "{major}/{database}");
            assert_eq!(converted.write(), stock, "{major}/{database}");
            assert_eq!(converted.to_directory(&GZIP), converted, "{major}/{database}");
        }
    }
}

#[test]
fn the_compression_field_is_that_of_stock_tools() {
    for major in MAJORS {
        let toc = fixtures::read(major, "utf8.dump");
        let none = toc.to_directory(&Codec::None).header;
        assert_eq!(none, fixtures::read(major, "none/toc.dat").header, "{major}");
    }
    let zstd = Codec::Zstd { level: 3 };
    let converted = fixtures::read(16, "utf8.dump").to_directory(&zstd);
    assert_eq!(converted.header.compression, Compression::Algorithm(3));
    let old = fixtures::read(15, "utf8.dump").to_directory(&zstd);
    assert_eq!(old.header.compression, Compression::Level(-1));
}

#[test]
fn the_fields_of_an_entry_are_where_they_belong() {
    for (major, version) in MAJORS.into_iter().zip([(1, 14, 0), (1, 15, 0), (1, 16, 0)]) {
        let toc = fixtures::read(major, "utf8.dump");
        assert_eq!((toc.header.version, toc.header.format), (version, Format::Custom));
        assert_eq!(toc.dbname.as_deref(), Some(&b"utf8"[..]));
        assert!(toc.remote_version.as_ref().unwrap().starts_with(major.to_string().as_bytes()));
        assert_eq!((toc.created.year, toc.created.isdst), (126, 0));
        let entry = |desc: &str, tag: &str| {
            toc.entries.iter().find(|entry| entry.desc_str() == desc && entry.tag_str() == tag).unwrap()
        };

        let table = entry("TABLE", "dropped_column");
        assert!(table.defn.as_ref().unwrap().starts_with(b"CREATE TABLE public.dropped_column ("));
        assert_eq!(table.drop_stmt.as_deref(), Some(&b"DROP TABLE public.dropped_column;\n"[..]));
        assert_eq!(table.table_am.as_deref(), Some(&b"heap"[..]));
        assert_eq!(table.relkind, (version.1 >= 16).then_some(i32::from(b'r')));
        assert_eq!((table.section, table.table_oid), (Section::PreData, 1259));

        let data = entry("TABLE DATA", "dropped_column");
        assert!(data.is_table_data() && data.had_dumper && !data.is_blobs());
        assert_eq!(data.oid, table.oid);
        assert_eq!(data.section, Section::Data);
        assert_eq!(data.dependencies, [table.dump_id]);
        assert_eq!(toc.entry(data.dump_id), Some(data));
        assert_eq!(data.copy_stmt.as_deref(), Some(&b"COPY public.dropped_column (a, d) FROM stdin;\n"[..]));
        assert_eq!(data.extra, Extra::Custom { state: 1, offset: vec![0; 8] });
        assert_eq!(data.file(), None);

        let owned = entry("TABLE", "referencing");
        assert_eq!(owned.owner.as_deref(), Some(&b"fixture_owner"[..]));
        assert_eq!(entry("MATERIALIZED VIEW DATA", "a_matview").section, Section::PostData);
    }
}

#[test]
fn names_that_are_no_text_in_any_encoding_survive() {
    for major in MAJORS {
        let toc = fixtures::read(major, "ascii.dump").to_directory(&GZIP);
        let data = toc.entries.iter().find(|entry| entry.tag == b"caf\xe9 \xff\xfe" && entry.is_table_data()).unwrap();
        let statement = copy_statement::parse(data.copy_stmt.as_ref().unwrap()).unwrap();
        assert_eq!(statement.target, b"public.\"caf\xe9 \xff\xfe\"");
        assert_eq!(statement.columns, [&b"\"na\xefve\""[..], b"b"]);
        assert_eq!(data.file(), Some(format!("{}.dat", data.dump_id).as_bytes()));
    }
}

#[test]
fn every_copy_statement_is_the_sum_of_its_parts() {
    let mut columns_of_weird_table = Vec::new();
    for major in MAJORS {
        for database in DATABASES {
            let toc = fixtures::read(major, &format!("{database}.dump"));
            for entry in toc.entries.iter().filter(|entry| entry.is_table_data()) {
                let written = entry.copy_stmt.as_ref().unwrap();
                let parts = copy_statement::parse(written).unwrap();
                let again = [&b"COPY "[..], &parts.target, b" ", &parts.column_list, b" FROM stdin;\n"].concat();
                assert_eq!(&again, written);
                let list = [&b"("[..], &parts.columns.join(&b", "[..]), b")"].concat();
                assert_eq!(parts.column_list, if parts.columns.is_empty() { Vec::new() } else { list });
                if entry.tag == b"FROM stdin; (a, b)" {
                    columns_of_weird_table = parts.columns;
                } else if entry.tag == b"no_columns" {
                    assert_eq!((parts.target, parts.columns), (b"public.no_columns".to_vec(), vec![]));
                } else if entry.tag == b"hashed_0" {
                    assert_eq!(parts.target, b"public.hashed", "an enum's hashes are loaded through the root");
                }
            }
        }
    }
    let expected = ["\"a, b\"", "\"c)\"\"(d\"", "\"FROM\"", "\"über\"", "\"line\nbreak\""];
    assert_eq!(columns_of_weird_table, expected.map(|column| column.as_bytes().to_vec()));
}

#[test]
fn large_objects_are_listed_as_stock_tools_list_them() {
    for (major, groups, large_objects) in [(15, 1, 13), (16, 1, 13), (18, 5, 1041)] {
        let (toc, stock) = (fixtures::read(major, "utf8.dump"), fixtures::read(major, "utf8/toc.dat"));
        let blobs: Vec<_> = toc.entries.iter().filter(|entry| entry.is_blobs()).collect();
        assert_eq!(blobs.len(), groups, "{major}");
        let mut all = Vec::new();
        for entry in blobs {
            let file = large_objects::toc_file_name(&toc.header, entry.dump_id);
            assert_eq!(stock.entry(entry.dump_id).unwrap().file(), Some(file.as_bytes()));
            let list = fs::read(fixtures::path(major, "utf8").join(&file)).unwrap();
            let oids = large_objects::oids_of(&toc, entry).unwrap();
            assert_eq!(large_objects::blobs_toc(&oids), list, "{major} {file}");
            assert_eq!(large_objects::parse_blobs_toc(&list).unwrap(), oids);
            assert!(oids.len() <= 1000);
            all.extend(oids);
        }
        all.sort_unstable();
        let expected: Vec<u32> = (900_001..900_000 + large_objects).chain([u32::MAX]).collect();
        assert_eq!(all, expected, "{major}");
    }
}

#[test]
fn large_objects_of_a_second_dump_have_the_same_groups_under_other_dump_ids() {
    for major in MAJORS {
        for database in DATABASES {
            let groups = |name: &str| {
                let toc = fixtures::read(major, name);
                let mut groups: Vec<_> = toc
                    .entries
                    .iter()
                    .filter(|entry| entry.is_blobs())
                    .map(|entry| (entry.tag.clone(), large_objects::oids_of(&toc, entry).unwrap()))
                    .collect();
                groups.sort();
                groups
            };
            let (whole, second) = (format!("{database}.dump"), format!("{database}.large_objects.dump"));
            assert_eq!(groups(&whole), groups(&second), "{major}/{database}");
        }
    }
}

#[test]
fn a_blobs_entry_that_does_not_say_which_large_objects_it_holds_is_an_error() {
    let mut toc = fixtures::read(18, "ascii.dump");
    let table = toc.entries.iter().find(|entry| entry.is_table_data()).unwrap();
    assert!(large_objects::oids_of(&toc, table).is_err());
    let blobs = toc.entries.iter().find(|entry| entry.is_blobs()).unwrap().clone();
    assert_eq!(large_objects::oids_of(&toc, &blobs), Ok(vec![800_001]));
    for defn in [None, Some(""), Some("800001"), Some("\n"), Some("800001\nx\n")] {
        for entry in toc.entries.iter_mut().filter(|entry| entry.desc == b"BLOB METADATA") {
            entry.defn = defn.map(|defn| defn.as_bytes().to_vec());
        }
        assert!(large_objects::oids_of(&toc, &blobs).is_err(), "{defn:?}");
    }
    toc.entries.retain(|entry| entry.desc != b"BLOB METADATA");
    assert!(large_objects::oids_of(&toc, &blobs).is_err());
}

#[test]
fn a_stock_data_file_is_read_to_its_end() {
    for major in MAJORS {
        let toc = fixtures::read(major, "none/toc.dat");
        let entry = toc.entries.iter().find(|entry| entry.is_table_data()).unwrap();
        let file = String::from_utf8(entry.file().unwrap().to_vec()).unwrap();
        assert_eq!(file, chunk::data_file_name(entry.dump_id, &Codec::None));
        let data = fs::read(fixtures::path(major, "none").join(file)).unwrap();
        assert_eq!(data, [b"\n", data_file::END].concat());
        let mut rows = RowReader::new();
        rows.push(&data);
        let (checksum, ended) = rows.finish().unwrap();
        assert_eq!((checksum.rows, ended), (1, true));
    }
}
