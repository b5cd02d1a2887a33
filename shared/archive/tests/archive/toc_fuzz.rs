//! Whatever an archive begins with, it is read or refused: generated and mutated inputs, and a corpus of known ones.

use std::{collections::BTreeMap, fs, path::Path, sync::LazyLock};

use lifeboat_archive::toc;
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    fixtures::{self, MAJORS},
    toc_properties,
};

/// Inputs of a usual run; `LIFEBOAT_FUZZ_CASES` says otherwise.
const USUAL: u32 = 100_000;

/// Inputs of a run that takes its time.
const LONG: u32 = 10_000_000;

fn cases(unless_told: u32) -> u32 {
    std::env::var("LIFEBOAT_FUZZ_CASES").map_or(unless_told, |text| text.parse().unwrap())
}

/// Tables of contents, each named by whether it is read or refused, and why.
static CORPUS: LazyLock<BTreeMap<String, Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/toc");
    fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect()
});

/// The corpus, and small archives of stock tools.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let real =
        MAJORS.iter().flat_map(|major| ["none", "ascii"].map(|of| fixtures::bytes(*major, &format!("{of}/toc.dat"))));
    CORPUS.values().filter(|bytes| !bytes.is_empty()).cloned().chain(real).collect()
});

fn written() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..SEEDS.len()).prop_map(|which| SEEDS[which].clone()),
        1 => toc_properties::toc().prop_map(|toc| toc.write()),
        1 => (13_u8..18, vec(any::<u8>(), 1..300))
            .prop_map(|(minor, bytes)| [b"PGDMP\x01", &[minor, 0, 4, 8, 3][..], &bytes].concat()),
    ]
}

/// Bytes changed, parts left out and doubled, the end cut off.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(0x7f), Just(0xff), any::<u8>()];
    let changes = vec((any::<Index>(), byte), 0..4);
    let moved = proptest::option::weighted(0.3, (any::<Index>(), any::<Index>(), any::<Index>()));
    let cut = proptest::option::weighted(0.3, any::<Index>());
    (written(), changes, moved, cut).prop_map(|(mut bytes, changes, moved, cut)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some((from, to, place)) = moved {
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let part = bytes[from.min(to)..from.max(to)].to_vec();
            if from < to {
                bytes.drain(from..to);
            }
            let place = place.index(bytes.len() + 1);
            bytes.splice(place..place, part);
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes
    })
}

/// Whether it is read, and then again what was written of it.
fn is_read(bytes: &[u8]) -> bool {
    let Ok(toc) = toc::read(bytes) else { return false };
    assert_eq!(toc::read(&toc.write()).unwrap(), toc);
    true
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(USUAL)))]

    #[test]
    fn nothing_that_an_archive_begins_with_breaks_the_reader(bytes in damaged()) {
        is_read(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(LONG)))]

    #[test]
    #[ignore = "ten million inputs: run by `make soak`"]
    fn nothing_that_an_archive_begins_with_breaks_the_reader_in_a_long_time(bytes in damaged()) {
        is_read(&bytes);
    }
}

#[test]
fn what_is_in_the_corpus_is_read_or_refused_as_it_is_named() {
    assert!(CORPUS.len() >= 40, "{} files", CORPUS.len());
    for (name, bytes) in &*CORPUS {
        assert_eq!(is_read(bytes), name.starts_with("read-"), "{name}: {:?}", toc::read(bytes).err());
        for cut in 0..bytes.len() {
            is_read(&bytes[..cut]);
        }
    }
}
