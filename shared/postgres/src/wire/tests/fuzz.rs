//! Whatever a server sends, the client answers or gives up: generated and mutated inputs, and a corpus of known ones.

use std::{fs, path::Path, sync::LazyLock};

use lifeboat_testkit::fuzz_cases;

use super::*;

/// Inputs of a usual run; `LIFEBOAT_FUZZ_CASES` says otherwise.
const USUAL: u32 = 100_000;

/// Inputs of a run that takes its time.
const LONG: u32 = 10_000_000;

/// What servers have sent or could send, by name.
static CORPUS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire");
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
});

/// A message that a server may send, or one that none would.
fn part() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..40),
        (prop::sample::select(&b"RSKZTDCEHNdcGI1vA"[..]), vec(any::<u8>(), 0..40)).prop_map(|(t, b)| message(t, &b)),
        (0_u8..14, vec(any::<u8>(), 0..40)).prop_map(|(kind, b)| message(b'R', &[&[0, 0, 0, kind], &b[..]].concat())),
        vec(any::<u8>(), 0..40).prop_map(|bytes| row(&[Some(&bytes), None])),
        Just(message(b'G', &[0, 0, 0])),
        Just(message(b'C', b"COPY 1\0")),
        Just(ready()),
        Just(refusal()),
        Just(copied(&[b"1\n".to_vec()])),
    ]
}

/// One of the corpus, with bytes of it changed and others put in between.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (0..CORPUS.len(), changes, any::<prop::sample::Index>(), part()).prop_map(|(which, changes, place, between)| {
        let mut bytes = CORPUS[which].1.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let place = place.index(bytes.len() + 1);
        bytes.splice(place..place, between);
        bytes
    })
}

fn sent() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop_oneof![2 => vec(part(), 0..8).prop_map(|parts| parts.concat()), 1 => mutated()];
    (whole, any::<prop::sample::Index>()).prop_map(|(mut bytes, cut)| {
        bytes.truncate(cut.index(bytes.len() + 1));
        bytes
    })
}

/// What comes of it for who starts a session, asks, reads a table or writes one.
fn outcomes(bytes: &[u8], piece: usize) -> [String; 4] {
    let password = SecretString::from("hunter2");
    let script = || Script::new(bytes.to_vec(), piece);
    run(async {
        let started = start(&mut Frames::new(script()), &login(Some(&password), true)).await;
        let answered = session_on(script()).query("SELECT 1").await.map(|rows| rows.len());
        let read = read_copy(&mut session_on(script())).await;
        let written = async {
            let mut script = script();
            script.hesitates = true;
            let mut session = session_on(script);
            let mut copy = session.copy_in("COPY t FROM STDIN").await?;
            copy.send(b"1\n").await?;
            copy.finish().await
        };
        [format!("{started:?}"), format!("{answered:?}"), format!("{read:?}"), format!("{:?}", written.await)]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(fuzz_cases(USUAL)))]

    #[test]
    fn nothing_that_a_server_sends_breaks_us(bytes in sent(), piece in 1_usize..64) {
        outcomes(&bytes, piece);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(fuzz_cases(LONG)))]

    #[test]
    #[ignore = "ten million inputs: run by `make soak`"]
    fn nothing_that_a_server_sends_breaks_us_in_a_long_time(bytes in sent(), piece in 1_usize..64) {
        outcomes(&bytes, piece);
    }
}

#[test]
fn what_is_in_the_corpus_means_the_same_in_any_pieces() {
    assert!(CORPUS.len() >= 20, "{} files", CORPUS.len());
    for (name, bytes) in &*CORPUS {
        // A session that has time to write may be further on when it hears of an error; the other three only read.
        let read = |piece| outcomes(bytes, piece)[..3].to_vec();
        for piece in [1, 2, 7, 64] {
            assert_eq!(read(piece), read(1 << 20), "{name}, {piece} bytes at once");
        }
        for cut in 0..bytes.len() {
            outcomes(&bytes[..cut], 16);
        }
    }
}
