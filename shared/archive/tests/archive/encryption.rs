//! What is sealed is opened again by any of its recipients, and by nobody else; what was changed is never opened whole.

use std::io::{self, BufReader};

use lifeboat_archive::encryption::{
    Identities, Kind, OpenError, ParseKeyError, PassphraseKey, Recipients, Sealer, open,
};
use proptest::prelude::*;
use secrecy::ExposeSecret;

/// `age` seals in pieces of this size.
const PIECE: usize = 64 * 1024;

fn key() -> (Identities, Recipients) {
    let (identities, public, _) = Identities::generate();
    (identities, Recipients::parse([public.as_str()]).unwrap())
}

fn opened(identities: &Identities, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut content = Vec::new();
    open(Kind::Age, identities, BufReader::with_capacity(1000, sealed), |block| {
        content.extend_from_slice(&block);
        Ok(())
    })?;
    Ok(content)
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

#[test]
fn contents_of_any_length_are_opened_as_they_were_sealed() {
    let (identities, recipients) = key();
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 4 * PIECE, 1_000_000] {
        let content = content(length);
        let sealed = Sealer::seal(&recipients, &content).unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1\n"));
        assert_eq!(opened(&identities, &sealed).unwrap(), content, "{length} bytes");
    }
}

#[test]
fn every_recipient_opens_it_and_a_stranger_does_not() {
    let (first, one, _) = Identities::generate();
    let (second, other, _) = Identities::generate();
    let (stranger, ..) = Identities::generate();
    let recipients = Recipients::parse([one.as_str(), other.as_str(), one.as_str()]).unwrap();
    assert_eq!(recipients.ids(), [one, other]);
    let sealed = Sealer::seal(&recipients, b"rows").unwrap();
    assert_eq!(opened(&first, &sealed).unwrap(), b"rows");
    assert_eq!(opened(&second, &sealed).unwrap(), b"rows");
    for without in [&stranger, &Identities::default()] {
        assert!(matches!(opened(without, &sealed), Err(OpenError::NoMatch)));
    }
}

#[test]
fn no_byte_can_be_changed_and_no_place_cut_unseen() {
    let (identities, recipients) = key();
    let content = content(3000);
    let sealed = Sealer::seal(&recipients, &content).unwrap();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(opened(&identities, &changed).is_err(), "byte {at}");
        assert!(opened(&identities, &sealed[..at]).is_err(), "cut at {at}");
    }
    assert!(opened(&identities, &[sealed, b"more".to_vec()].concat()).is_err(), "more behind it");
}

#[test]
fn pieces_that_were_exchanged_or_left_out_are_refused() {
    let (identities, recipients) = key();
    let sealed = Sealer::seal(&recipients, &content(3 * PIECE)).unwrap();
    // Each piece is 16 bytes longer than its content.
    let piece = PIECE + 16;
    let begin = sealed.len() - 3 * piece;
    let exchanged = [
        &sealed[..begin],
        &sealed[begin + piece..begin + 2 * piece],
        &sealed[begin..begin + piece],
        &sealed[begin + 2 * piece..],
    ]
    .concat();
    let left_out = [&sealed[..begin], &sealed[begin + piece..]].concat();
    for wrong in [exchanged, left_out, sealed[..begin + 2 * piece].to_vec()] {
        assert!(matches!(opened(&identities, &wrong), Err(OpenError::Damaged(_))));
    }
}

#[test]
fn what_is_no_file_of_age_is_damaged() {
    let (identities, _) = key();
    for bytes in [&b""[..], b"rows", b"age-encryption.org/v2\n-> X\n"] {
        assert!(matches!(opened(&identities, bytes), Err(OpenError::Damaged(_))));
    }
}

#[test]
fn whoever_takes_no_more_ends_it() {
    let (identities, recipients) = key();
    let sealed = Sealer::seal(&recipients, &content(1_000_000)).unwrap();
    let refuse = |_| Err(io::Error::other("enough"));
    assert!(matches!(open(Kind::Age, &identities, &sealed[..], refuse), Err(OpenError::Io(_))));
}

#[test]
fn a_file_of_identities_is_read_as_age_keygen_writes_it() {
    let (_, one, first) = Identities::generate();
    let (_, other, second) = Identities::generate();
    let (first, second) = (first.expose_secret(), second.expose_secret());
    let text = format!("# created: 2026-11-29\n# public key: {one}\n{first}\n\n  {second}  \r\n");
    let identities = Identities::parse(&text).unwrap();
    assert_eq!(identities.recipients(), [one.clone(), other]);
    assert!(!format!("{identities:?}").contains(first));
    let wrong = |text: &str| Identities::parse(text).unwrap_err();
    assert_eq!(wrong("# nothing\n"), ParseKeyError::Empty);
    assert_eq!(wrong(&format!("\n{one}\n")), ParseKeyError::RecipientForSecret { line: 2 });
    assert_eq!(wrong("age-encryption.org/v1\n"), ParseKeyError::Encrypted);
    let (begin, end) = first.split_at(first.len() - 1);
    let mistyped = format!("{begin}{}", if end == "Q" { "P" } else { "Q" });
    let error = wrong(&mistyped);
    assert!(matches!(error, ParseKeyError::Identity { line: 1, .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains(&mistyped[20..]), "{error:?}");
    assert_eq!(Recipients::parse([first]).unwrap_err(), ParseKeyError::SecretForRecipient);
    assert_eq!(Recipients::parse([]).unwrap_err(), ParseKeyError::Empty);
}

#[test]
fn a_kind_is_told_by_name_and_by_suffix() {
    assert_eq!(Kind::from_name("age"), Some(Kind::Age));
    assert_eq!(Kind::from_name("rot13"), None);
    assert_eq!(Kind::strip("archive/1.dat.zst.00001.age"), Some(("archive/1.dat.zst.00001", Kind::Age)));
    assert_eq!(Kind::strip("archive/1.dat.zst"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn how_it_is_pushed_makes_no_difference(pushes in prop::collection::vec(0_usize..100_000, 0..8)) {
        let (identities, recipients) = key();
        let (mut sealer, mut sealed, mut whole) = (Sealer::new(&recipients).unwrap(), Vec::new(), Vec::new());
        for length in pushes {
            let bytes = content(length);
            sealer.write(&bytes, &mut sealed).unwrap();
            whole.extend(bytes);
        }
        sealer.finish(&mut sealed).unwrap();
        prop_assert_eq!(opened(&identities, &sealed).unwrap(), whole);
    }
}

#[test]
fn a_passphrase_opens_the_key_of_one_backup_and_another_does_not() {
    let made = PassphraseKey::make(&"correct horse".into()).unwrap();
    let other = PassphraseKey::make(&"correct horse".into()).unwrap();
    assert_ne!(made.recipients.ids(), other.recipients.ids(), "every backup has a key of its own");
    assert!(made.file.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let sealed = Sealer::seal(&made.recipients, b"rows").unwrap();
    let right = Identities::of_passphrase("correct horse".into());
    assert!(matches!(opened(&right, &sealed), Err(OpenError::NoMatch)), "its key has not been opened yet");
    right.unseal(&made.file).unwrap();
    assert!(right.hold(&made.recipients.ids()) && !right.hold(&other.recipients.ids()));
    assert_eq!(opened(&right, &sealed).unwrap(), b"rows");
    assert_eq!(opened(&made.identities, &sealed).unwrap(), b"rows");
    let wrong = Identities::of_passphrase("battery staple".into());
    for _ in 0..2 {
        assert!(matches!(wrong.unseal(&made.file), Err(OpenError::NoMatch)));
    }
    assert!(matches!(right.unseal(&made.file[..made.file.len() - 1]), Err(OpenError::Damaged(_))));
    assert!(!format!("{right:?}").contains("horse"));
}
