//! Properties of reading and writing tables of contents: arbitrary ones round-trip, damaged ones are refused in order.

use lifeboat_archive::{
    codec::Codec,
    copy_statement,
    toc::{
        self, Compression, CreatedAt, Entry, Extra, Format, Header, Limits, Section, Toc, TocError, read_stream_within,
    },
};
use proptest::{collection::vec, option, prelude::*};

use crate::fixtures::{self, DATABASES, MAJORS};

fn string() -> impl Strategy<Value = Vec<u8>> {
    vec(1..=u8::MAX, 0..40)
}

fn header() -> impl Strategy<Value = Header> {
    (14_u8..=16, any::<u8>(), 4_u8..=8, 1_u8..=16, any::<bool>(), any::<i32>()).prop_map(
        |(minor, revision, int_size, off_size, custom, compression)| Header {
            version: (1, minor, revision),
            int_size,
            off_size,
            format: if custom { Format::Custom } else { Format::Directory },
            compression: if minor < 15 {
                Compression::Level(compression)
            } else {
                Compression::Algorithm(compression.to_le_bytes()[0])
            },
        },
    )
}

fn entry(header: Header) -> impl Strategy<Value = Entry> {
    let offset = vec(any::<u8>(), usize::from(header.off_size));
    let extra = (1_u8..=3, offset, string()).prop_map(move |(state, offset, file)| match header.format {
        Format::Custom => Extra::Custom { state, offset },
        Format::Directory => Extra::Directory { file },
    });
    let desc = prop_oneof![Just(b"TABLE DATA".to_vec()), Just(b"BLOBS".to_vec()), string()];
    (
        (1..=i32::MAX, any::<bool>(), any::<u32>(), any::<u32>(), string(), desc, any::<i32>()),
        vec(option::of(string()), 8),
        (any::<i32>(), vec(any::<i32>(), 0..5), extra),
    )
        .prop_map(move |(first, mut strings, (relkind, dependencies, extra))| {
            let (dump_id, had_dumper, table_oid, oid, tag, desc, section) = first;
            let mut string = || strings.pop().flatten();
            Entry {
                dump_id,
                had_dumper,
                table_oid,
                oid,
                tag,
                desc,
                section: Section::from_code(section),
                defn: string(),
                drop_stmt: string(),
                copy_stmt: string(),
                namespace: string(),
                tablespace: string(),
                table_am: string(),
                relkind: (header.version.1 >= 16).then_some(relkind),
                owner: string(),
                with_oids: string(),
                dependencies,
                extra,
            }
        })
}

pub(crate) fn toc() -> impl Strategy<Value = Toc> {
    header().prop_flat_map(|header| {
        let strings = (option::of(string()), option::of(string()), option::of(string()));
        (any::<[i32; 7]>(), strings, vec(entry(header), 0..6)).prop_map(
            move |([sec, min, hour, mday, mon, year, isdst], (dbname, remote_version, dump_version), entries)| Toc {
                header,
                created: CreatedAt { sec, min, hour, mday, mon, year, isdst },
                dbname,
                remote_version,
                dump_version,
                entries,
            },
        )
    })
}

proptest! {
    #[test]
    fn any_table_of_contents_is_read_back(toc in toc()) {
        prop_assert_eq!(toc::read(&toc.write()).unwrap(), toc);
    }

    #[test]
    fn any_table_of_contents_cut_short_is_refused(toc in toc(), cut in any::<prop::sample::Index>()) {
        let bytes = toc.write();
        let error = toc::read(&bytes[..cut.index(bytes.len())]).unwrap_err();
        prop_assert!(matches!(error, TocError::Truncated { .. }), "{}", error);
    }

    #[test]
    fn any_table_of_contents_is_converted_with_nothing_lost_but_offsets(toc in toc()) {
        let converted = toc.to_directory(&Codec::None);
        prop_assert_eq!(&toc::read(&converted.write()).unwrap(), &converted);
        let mut back = converted;
        back.header = toc.header;
        for (entry, original) in back.entries.iter_mut().zip(&toc.entries) {
            prop_assert_eq!(entry.file().is_some(), original.had_dumper || original.is_blobs());
            entry.extra = original.extra.clone();
        }
        prop_assert_eq!(back, toc);
    }

    #[test]
    fn a_damaged_archive_is_read_or_refused_but_never_breaks_the_reader(
        major in prop::sample::select(&MAJORS),
        database in prop::sample::select(&DATABASES),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = fixtures::bytes(major, &format!("{database}/toc.dat"));
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(toc) = toc::read(bytes) {
                prop_assert_eq!(toc::read(&toc.write()).unwrap(), toc);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_break_the_reader(minor in 13_u8..18, bytes in vec(any::<u8>(), 0..300)) {
        let _ = toc::read(&bytes);
        let mut behind_a_header = vec![b'P', b'G', b'D', b'M', b'P', 1, minor, 0, 4, 8, 3];
        behind_a_header.extend(bytes);
        let _ = toc::read(&behind_a_header);
    }

    #[test]
    fn quoted_names_of_a_copy_statement_are_split_where_they_end(names in vec("[ -~é\n]{1,12}", 2..6)) {
        let quoted: Vec<String> = names.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\""))).collect();
        let target = quoted[..2].join(".");
        let list = if quoted.len() > 2 { format!("({})", quoted[2..].join(", ")) } else { String::new() };
        let parts = copy_statement::parse(format!("COPY {target} {list} FROM stdin;\n").as_bytes()).unwrap();
        prop_assert_eq!(parts.target, target.into_bytes());
        prop_assert_eq!(parts.column_list, list.into_bytes());
        prop_assert_eq!(parts.columns, quoted[2..].iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_copy_statements_never_break_the_parser(text in vec(any::<u8>(), 0..60)) {
        let _ = copy_statement::parse(&text);
        let _ = copy_statement::parse(&[b"COPY ", &text[..], b" FROM stdin;\n"].concat());
    }
}

#[test]
fn every_cut_of_a_real_table_of_contents_is_refused() {
    for major in MAJORS {
        let bytes = fixtures::bytes(major, "ascii/toc.dat");
        for length in 0..bytes.len() {
            let error = toc::read(&bytes[..length]).unwrap_err();
            assert!(matches!(error, TocError::Truncated { offset } if offset <= length as u64), "{length}: {error}");
        }
    }
}

#[test]
fn what_follows_a_directory_archives_table_of_contents_is_refused() {
    let mut bytes = fixtures::bytes(18, "ascii/toc.dat");
    bytes.extend(b"\n\n");
    assert!(matches!(toc::read(&bytes).unwrap_err(), TocError::TrailingBytes { bytes: 2 }));
    let mut rest = bytes.as_slice();
    toc::read_stream(&mut rest).unwrap();
    assert_eq!(rest, b"\n\n");
}

#[test]
fn a_table_of_contents_above_the_limit_is_refused() {
    let bytes = fixtures::bytes(18, "ascii/toc.dat");
    let length = bytes.len() as u64;
    assert!(toc::read_within(&bytes, Limits { max_bytes: length }).is_ok());
    let error = read_stream_within(&bytes[..], Limits { max_bytes: length - 1 }).unwrap_err();
    assert!(matches!(error, TocError::TooLarge { limit } if limit == length - 1));
}

#[test]
fn other_files_and_versions_are_refused_by_name() {
    let bytes = fixtures::bytes(18, "ascii/toc.dat");
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        toc::read(&bytes).unwrap_err()
    };
    assert!(matches!(with(0, b'p'), TocError::Magic));
    assert!(matches!(with(5, 2), TocError::Version(2, 16, 0)));
    assert!(matches!(with(6, 13), TocError::Version(1, 13, 0)));
    assert!(matches!(with(6, 17), TocError::Version(1, 17, 0)));
    assert!(matches!(with(8, 2), TocError::Width { what: "integers", size: 2 }));
    assert!(matches!(with(9, 0), TocError::Width { what: "offsets", size: 0 }));
    assert!(matches!(with(10, 5), TocError::Format(5)));
}
