//! Keys of OpenPGP against the stock program: what is sealed here `gpg` opens, what must not be used is refused.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use std::time::{SystemTime, UNIX_EPOCH};

use lifeboat_archive::encryption::{
    Identities, Kind, OpenError, ParseKeyError, Recipients, Sealer, Unfit, UnfitKey, open,
};
use lifeboat_testkit::Gpg;

const CURVES: (&str, &str) = ("ed25519", "cv25519");
const NEVER: (&str, &str) = ("never", "never");

/// What partial lengths are cut to.
const PIECE: usize = 64 * 1024;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn opened(identities: &Identities, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut content = Vec::new();
    open(Kind::OpenPgp, identities, sealed, |block| {
        content.extend_from_slice(&block);
        Ok(())
    })?;
    Ok(content)
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect()
}

fn recipients(keys: &[&str]) -> Recipients {
    Recipients::parse(keys.iter().copied()).unwrap().fit_at(now()).unwrap()
}

#[test]
fn stock_gpg_opens_contents_of_any_length_by_any_of_the_recipients_and_so_do_we() {
    let (mine, theirs, strange) = (Gpg::new().unwrap(), Gpg::new().unwrap(), Gpg::new().unwrap());
    let curves = mine.usual_key("Mine <mine@example.com>").unwrap();
    let rsa = theirs.key("Theirs <theirs@example.com>", ("rsa2048", "rsa2048"), NEVER, None).unwrap();
    let stranger = strange.usual_key("Strange <strange@example.com>").unwrap();
    let (public, other) = (mine.public(&curves).unwrap(), theirs.public(&rsa).unwrap());
    let to = recipients(&[&public, &other, &public]);
    assert_eq!(to.kind(), Kind::OpenPgp);
    assert_eq!(to.ids(), [rsa.clone(), curves.clone()]);
    let identities = |gpg: &Gpg, key: &str| Identities::parse(&gpg.secret(key).unwrap()).unwrap();
    let (first, second) = (identities(&mine, &curves), identities(&theirs, &rsa));
    // Six octets of each first piece are a header.
    for length in
        [0, 1, 180, 185, 186, 187, 8377, 8378, 8379, PIECE - 7, PIECE - 6, PIECE - 5, 2 * PIECE - 6, 1_000_000]
    {
        let content = content(length);
        let sealed = Sealer::seal(&to, &content).unwrap();
        assert_eq!(opened(&first, &sealed).unwrap(), content, "{length} bytes");
        assert_eq!(opened(&second, &sealed).unwrap(), content, "{length} bytes");
        assert_eq!(mine.open(&sealed).unwrap(), content, "{length} bytes by gpg");
    }
    let sealed = Sealer::seal(&to, b"rows").unwrap();
    assert_eq!(theirs.open(&sealed).unwrap(), b"rows");
    strange.open(&sealed).unwrap_err();
    for none in [identities(&strange, &stranger), Identities::default()] {
        assert!(matches!(opened(&none, &sealed), Err(OpenError::NoMatch)));
    }
    // What gpg sealed itself, compressed as it likes to.
    let of_gpg =
        mine.run(&["--trust-model", "always", "--encrypt", "--recipient", &curves], &content(300_000)).unwrap();
    assert_eq!(opened(&first, &of_gpg).unwrap(), content(300_000));
}

#[test]
fn how_it_is_pushed_makes_no_difference() {
    let gpg = Gpg::new().unwrap();
    let key = gpg.usual_key("Pushed <pushed@example.com>").unwrap();
    let to = recipients(&[&gpg.public(&key).unwrap()]);
    let identities = Identities::parse(&gpg.secret(&key).unwrap()).unwrap();
    let (mut sealer, mut file, mut whole) = (Sealer::new(&to).unwrap(), Vec::new(), Vec::new());
    for length in [0, 1, PIECE - 7, 1, 0, 3 * PIECE + 5, 99_999, 2] {
        let bytes = content(length);
        sealer.write(&bytes, &mut file).unwrap();
        whole.extend(bytes);
    }
    sealer.finish(&mut file).unwrap();
    assert_eq!(opened(&identities, &file).unwrap(), whole);
}

#[test]
fn no_byte_can_be_changed_and_no_place_cut_unseen() {
    let gpg = Gpg::new().unwrap();
    let key = gpg.usual_key("Changed <changed@example.com>").unwrap();
    let to = recipients(&[&gpg.public(&key).unwrap()]);
    let identities = Identities::parse(&gpg.secret(&key).unwrap()).unwrap();
    let sealed = Sealer::seal(&to, &content(300)).unwrap();
    // What stands before the encrypted packet is a key, not content: a length in there may be told in another way.
    let head = sealed.len() - (300 + 6 + 3 + 1 + 18 + 22 + 3);
    assert_eq!(sealed[head], 0xC0 | 0x12);
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        match opened(&identities, &changed) {
            Err(_) => {}
            Ok(opened) => assert!(at < head && opened == content(300), "byte {at}"),
        }
        assert!(opened(&identities, &sealed[..at]).is_err(), "cut at {at}");
    }
    assert!(opened(&identities, &[sealed, b"more".to_vec()].concat()).is_err(), "more behind it");
    // A long one, cut between its pieces and within them.
    let long = Sealer::seal(&to, &content(5 * PIECE)).unwrap();
    for at in (0..long.len()).step_by(PIECE / 2 + 1) {
        assert!(opened(&identities, &long[..at]).is_err(), "cut at {at}");
    }
    for bytes in [&b""[..], b"rows", b"age-encryption.org/v1\n"] {
        assert!(matches!(opened(&identities, bytes), Err(OpenError::Damaged(_))));
    }
}

#[test]
fn keys_and_parts_that_have_expired_or_were_revoked_neither_seal_nor_open() {
    let gpg = Gpg::new().unwrap();
    let then = Some("20200101T000000");
    let of = |name: &str| format!("{name} <{name}@example.com>");
    let whole = gpg.key(&of("whole"), CURVES, ("1y", "never"), then).unwrap();
    let part = gpg.key(&of("part"), CURVES, ("never", "1y"), then).unwrap();
    let revoked = gpg.key(&of("revoked"), CURVES, NEVER, then).unwrap();
    let part_revoked = gpg.key(&of("partrevoked"), CURVES, NEVER, then).unwrap();
    let public_before = gpg.public(&revoked).unwrap();
    // 2020 was a leap year, and to gpg a year has 365 days.
    let expired = Unfit::Expired { since: 1_609_372_800 };
    let before = 1_590_000_000;
    let publics: Vec<String> =
        [&whole, &part, &revoked, &part_revoked].into_iter().map(|key| gpg.public(key).unwrap()).collect();
    let sealed: Vec<Vec<u8>> = publics
        .iter()
        .map(|public| {
            let to = Recipients::parse([public.as_str()]).unwrap().fit_at(before).unwrap();
            Sealer::seal(&to, b"rows").unwrap()
        })
        .collect();
    gpg.revoke(&revoked).unwrap();
    gpg.revoke_part(&part_revoked).unwrap();
    let cases = [(&whole, expired), (&part, expired), (&revoked, Unfit::Revoked), (&part_revoked, Unfit::Revoked)];
    for ((key, why), sealed) in cases.into_iter().zip(&sealed) {
        let public = gpg.public(key).unwrap();
        let parsed = Recipients::parse([public.as_str()]).unwrap();
        let unfit = UnfitKey { id: key.clone(), why };
        assert_eq!(parsed.fit_at(now()).unwrap_err(), unfit);
        let identities = Identities::parse(&gpg.secret(key).unwrap()).unwrap();
        match opened(&identities.clone().judged_at(now()), sealed) {
            Err(OpenError::Unfit(found)) => assert_eq!(found, unfit),
            other => panic!("{key} {why:?}: {other:?}"),
        }
        // Whoever wants to opens it all the same, as gpg does.
        assert_eq!(opened(&identities, sealed).unwrap(), b"rows");
        assert_eq!(gpg.open(sealed).unwrap(), b"rows");
    }
    // The newest word of a key holds, whatever copy of it is older.
    let both = Recipients::parse([public_before.as_str(), gpg.public(&revoked).unwrap().as_str()]).unwrap();
    assert_eq!(both.fit_at(now()).unwrap_err().why, Unfit::Revoked);
    // A new part makes the key good again.
    gpg.run(&["--quick-add-key", &part_revoked, "cv25519", "encr", "never"], b"").unwrap();
    let renewed = Recipients::parse([gpg.public(&part_revoked).unwrap().as_str()]).unwrap();
    let facts = renewed.facts();
    assert_eq!((facts[0].expires_at, facts[0].revoked), (None, false));
    let again = Sealer::seal(&renewed.fit_at(now()).unwrap(), b"rows").unwrap();
    let identities = Identities::parse(&gpg.secret(&part_revoked).unwrap()).unwrap().judged_at(now());
    assert_eq!(opened(&identities, &again).unwrap(), b"rows");
}

#[test]
fn a_locked_key_wants_its_passphrase_and_none_of_it_is_told() {
    let gpg = Gpg::locked_by("correct horse").unwrap();
    let key = gpg.usual_key("Locked <locked@example.com>").unwrap();
    let secret = gpg.secret(&key).unwrap();
    let sealed = Sealer::seal(&recipients(&[&gpg.public(&key).unwrap()]), b"rows").unwrap();
    assert_eq!(Identities::parse(&secret).unwrap_err(), ParseKeyError::Locked { id: key.clone() });
    let wrong = Identities::parse_locked(&secret, Some(&"battery staple".into())).unwrap_err();
    assert_eq!(wrong, ParseKeyError::WrongPassphrase { id: key.clone() });
    let right = Identities::parse_locked(&secret, Some(&"correct horse".into())).unwrap();
    assert_eq!(opened(&right, &sealed).unwrap(), b"rows");
    let facts = right.facts();
    assert_eq!(facts[0].user.as_deref(), Some("Locked <locked@example.com>"));
    assert_eq!(right.recipients(), [key]);
    assert!(!format!("{right:?} {wrong:?}").contains("horse"));
}

#[test]
fn what_is_no_key_or_the_wrong_half_of_one_is_refused() {
    let gpg = Gpg::new().unwrap();
    let key = gpg.usual_key("Halves <halves@example.com>").unwrap();
    let (public, secret) = (gpg.public(&key).unwrap(), gpg.secret(&key).unwrap());
    let (_, of_age, age_secret) = Identities::generate();
    assert_eq!(Recipients::parse([secret.as_str()]).unwrap_err(), ParseKeyError::SecretForRecipient);
    assert_eq!(Recipients::parse([public.as_str(), &of_age]).unwrap_err(), ParseKeyError::Mixed);
    assert_eq!(Identities::parse(&public).unwrap_err(), ParseKeyError::RecipientForSecret { line: 1 });
    for cut in
        [&public[..public.len() / 2], "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n-----END PGP PUBLIC KEY BLOCK-----\n"]
    {
        let error = Recipients::parse([cut]).unwrap_err();
        assert!(matches!(error, ParseKeyError::OpenPgp(_) | ParseKeyError::Empty), "{error}");
    }
    assert!(Identities::parse(&secret[..secret.len() / 2]).is_err());
    // A key for signatures alone seals nothing.
    gpg.run(&["--quick-generate-key", "Signs <signs@example.com>", "ed25519", "sign", "never"], b"").unwrap();
    let signs = Recipients::parse([gpg.public("signs@example.com").unwrap().as_str()]).unwrap_err();
    assert!(signs.to_string().contains("for encryption"), "{signs}");
    // Both kinds of secret keys in one file: old backups are of the one, new ones of the other.
    let text = format!("# of age\n{}\n{secret}", secrecy::ExposeSecret::expose_secret(&age_secret));
    let both = Identities::parse(&text).unwrap();
    assert_eq!(both.recipients(), [of_age, key]);
    assert_eq!(both.each().len(), 2);
}
