//! Another implementation of the format reads from our tables of contents what we mean by them.

use libpgdump::{OffsetState, Section as TheirSection, format::directory};
use lifeboat_archive::{
    codec::Codec,
    toc::{Entry, Section, Toc},
};

use crate::fixtures::{self, MAJORS};

fn text(bytes: Option<&Vec<u8>>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.clone()).unwrap())
}

fn assert_equal(ours: &Entry, theirs: &libpgdump::Entry) {
    assert_eq!(ours.dump_id, theirs.dump_id);
    assert_eq!(ours.had_dumper, theirs.had_dumper);
    assert_eq!(ours.table_oid.to_string(), theirs.table_oid);
    assert_eq!(ours.oid.to_string(), theirs.oid);
    assert_eq!(text(Some(&ours.tag)), theirs.tag);
    assert_eq!(ours.desc_str(), theirs.desc.as_str());
    let section = match theirs.section {
        TheirSection::None => Section::None,
        TheirSection::PreData => Section::PreData,
        TheirSection::Data => Section::Data,
        TheirSection::PostData => Section::PostData,
    };
    assert_eq!(ours.section, section);
    for (ours, theirs) in [
        (&ours.defn, &theirs.defn),
        (&ours.drop_stmt, &theirs.drop_stmt),
        (&ours.copy_stmt, &theirs.copy_stmt),
        (&ours.namespace, &theirs.namespace),
        (&ours.tablespace, &theirs.tablespace),
        (&ours.table_am, &theirs.tableam),
        (&ours.owner, &theirs.owner),
    ] {
        // The other implementation does not tell NULL from empty in every field.
        assert_eq!(text(ours.as_ref()).unwrap_or_default(), theirs.clone().unwrap_or_default());
    }
    assert_eq!(ours.dependencies, theirs.dependencies);
    assert_eq!(ours.file().map(|file| String::from_utf8(file.to_vec()).unwrap()).unwrap_or_default(), {
        theirs.filename.clone().unwrap_or_default()
    });
    assert_ne!(theirs.data_state, OffsetState::Set);
}

fn assert_read_by_them(toc: &Toc) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("toc.dat"), toc.write()).unwrap();
    let theirs = directory::read_metadata(directory.path()).unwrap();
    assert_eq!(text(toc.dbname.as_ref()).unwrap(), theirs.dbname);
    assert_eq!(text(toc.remote_version.as_ref()).unwrap(), theirs.server_version);
    assert_eq!(text(toc.dump_version.as_ref()).unwrap(), theirs.dump_version);
    assert_eq!(toc.entries.len(), theirs.entries.len());
    for (ours, theirs) in toc.entries.iter().zip(&theirs.entries) {
        assert_equal(ours, theirs);
    }
}

#[test]
fn libpgdump_reads_the_same_entries_from_a_converted_archive() {
    for major in MAJORS {
        for name in ["utf8.dump", "utf8.large_objects.dump"] {
            let toc = fixtures::read(major, name);
            for codec in [Codec::None, Codec::Gzip { level: 6 }] {
                assert_read_by_them(&toc.to_directory(&codec));
            }
        }
    }
}
