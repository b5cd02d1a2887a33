//! Keys that are wrong, missing or not wanted, and ciphertext that is not what was written: nobody reads or loses anything.

mod key;
mod rotated;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::Gpg;
use lifeboat_tests::{Lifeboat, StoreUnderTest};
use serde_json::Value;
use tempfile::TempDir;

use crate::shared::{call, fifteen};
use key::{Key, Kind};

/// A database with a table of several chunks and a large object, its encrypted backup, and the key to it.
struct Sealed {
    database: &'static str,
    store: StoreUnderTest,
    folder: TempDir,
    key: Key,
    /// What does not open it.
    wrong: Vec<(&'static str, Option<Key>)>,
    kind: Kind,
    /// `database/id`.
    reference: String,
}

impl Sealed {
    fn of(database: &'static str, kind: Kind) -> Result<Self> {
        let cluster = fifteen()?;
        cluster.create_database(database)?;
        cluster.sql(
            database,
            "CREATE TABLE t AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 60000) AS i;
             CREATE TABLE other AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 60000) AS i;
             SELECT lo_from_bytea(0, 'a large object')",
        )?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("chunks.toml");
        fs::write(&config, format!("[databases.{database}]\nchunk_size = \"1MiB\"\n"))?;
        let (key, wrong) = Key::right_and_wrong(kind, folder.path())?;
        let store = StoreUnderTest::folder()?;
        let to = key.to.iter().flat_map(|to| ["--encrypt-to", to.as_str()]);
        let dump =
            call(&store, database, &["dump", database, "--compress", "none"])?.args(to).env("LIFEBOAT_CONFIG", config);
        let made = key.environment.iter().fold(dump, |dump, (name, value)| dump.env(name, value)).json()?;
        let id = made["backup_id"].as_str().context("the dump names no backup")?;
        let sealed = Self { database, store, reference: format!("{database}/{id}"), folder, key, wrong, kind };
        ensure!(sealed.chunks("t")?.len() > 1, "the table is one chunk");
        Ok(sealed)
    }

    /// A call that is given a key, or none.
    fn call(&self, arguments: &[&str], key: Option<&Key>) -> Result<Lifeboat> {
        let call = call(&self.store, self.database, arguments)?;
        let Some(key) = key else { return Ok(call) };
        let call = key.environment.iter().fold(call, |call, (name, value)| call.env(name, value));
        Ok(match &key.file {
            Some(file) => call.args(["--identity".into(), file.clone().into_os_string()]),
            None => call,
        })
    }

    /// A new, empty database to restore into, and the arguments.
    fn restore(&self, target: &str, key: Option<&Key>) -> Result<Lifeboat> {
        let cluster = fifteen()?;
        cluster.create_database(target)?;
        Ok(self
            .call(&["restore", &self.reference, "--to", "env:TARGET_URL"], key)?
            .env("TARGET_URL", cluster.url(target)))
    }

    fn path_of(&self, key: &str) -> Result<PathBuf> {
        Ok(self.store.path().context("the store is a folder")?.join(&self.reference).join(key))
    }

    fn manifest(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path_of("manifest.json")?)?)?)
    }

    /// The chunks of a table.
    fn chunks(&self, table: &str) -> Result<Vec<PathBuf>> {
        let manifest = self.manifest()?;
        let tables = manifest["tables"].as_array().context("tables")?;
        let found = tables.iter().find(|t| t["name"] == table).context("the table is in the manifest")?;
        let chunks = found["chunks"].as_array().context("chunks")?;
        chunks.iter().map(|chunk| self.path_of(chunk["key"].as_str().context("a key")?)).collect()
    }

    /// The first chunk of a table.
    fn chunk(&self, table: &str) -> Result<PathBuf> {
        self.chunks(table)?.into_iter().next().context("a chunk")
    }
}

/// Everything that a user has in a database.
fn contents(database: &str) -> Result<String> {
    let found = fifteen()?.sql(
        database,
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
         UNION ALL SELECT count(*) FROM pg_largeobject_metadata",
    )?;
    Ok(found.trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_or_missing_key_opens_nothing_and_nothing_is_written() -> Result<()> {
    for (database, kind) in ["wrong_age", "wrong_openpgp", "wrong_passphrase"].into_iter().zip(Kind::ALL) {
        let sealed = Sealed::of(database, kind)?;
        for (number, (what, key)) in sealed.wrong.iter().enumerate() {
            let of = || format!("{kind:?}, {what}");
            let target = format!("{database}_{number}");
            let ended = sealed.restore(&target, key.as_ref())?.run()?.expect(5).with_context(of)?;
            ensure!(contents(&target)? == "0\n0", "{}: {}", of(), contents(&target)?);
            if matches!(*what, "none" | "another" | "of another person") {
                let named = ended.stderr.contains(&sealed.key.id);
                ensure!(named, "{}: the hint names what is wanted: {}", of(), ended.stderr);
            }
            let archive = sealed.folder.path().join(format!("archive-{number}"));
            let path = archive.to_str().context("a path that is text")?;
            sealed.call(&["fetch", &sealed.reference, path], key.as_ref())?.run()?.expect(5).with_context(of)?;
            let empty = !archive.exists() || fs::read_dir(&archive)?.next().is_none();
            ensure!(empty, "{}: something was written to {path}", of());
            let drill = ["drill", "--select", "latest", "--scratch", "local"];
            let drilled = sealed.call(&drill, key.as_ref())?.run()?.expect(5).with_context(of)?;
            if matches!(*what, "none" | "another" | "of another person") {
                ensure!(drilled.stdout.contains(&sealed.key.id), "{}: the report does too: {}", of(), drilled.stdout);
            }
            // Without a key a verify has its hashes; with one that does not fit it says so.
            let verified = sealed.call(&["verify"], key.as_ref())?.run()?;
            verified.expect(if key.is_some() { 5 } else { 0 }).with_context(of)?;
            if matches!(*what, "expired" | "revoked") {
                let accepted = sealed.call(&["verify"], key.as_ref())?.env("LIFEBOAT_ACCEPT_EXPIRED_KEYS", "true");
                ensure!(accepted.json()?["decoded"] == true, "{}", of());
            }
        }
        sealed.restore(&format!("{database}_right"), Some(&sealed.key))?.run()?.expect(0)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_to_a_key_that_has_expired_or_was_revoked_is_refused_before_anything_is_written() -> Result<()> {
    fifteen()?.create_database("unfit")?;
    let folder = tempfile::tempdir()?;
    let store = StoreUnderTest::folder()?;
    let gpg = Gpg::new()?;
    let then = Some("20200101T000000");
    let curves = ("ed25519", "cv25519");
    let whole = gpg.key("Whole <whole@example.com>", curves, ("1y", "never"), then)?;
    let part = gpg.key("Part <part@example.com>", curves, ("never", "1y"), then)?;
    let revoked = gpg.usual_key("Revoked <revoked@example.com>")?;
    gpg.revoke(&revoked)?;
    let part_revoked = gpg.usual_key("Partly <partly@example.com>")?;
    gpg.revoke_part(&part_revoked)?;
    let good = gpg.usual_key("Good <good@example.com>")?;
    let good = Key::export(&gpg, &good, folder.path(), "good.asc")?.to.context("a public key")?;
    for (id, said) in [
        (whole, "expired on 2020-12-31"),
        (part, "expired on 2020-12-31"),
        (revoked, "is revoked"),
        (part_revoked, "is revoked"),
    ] {
        let to = Key::export(&gpg, &id, folder.path(), &id)?.to.context("a public key")?;
        // One good key among them does not make up for it: whoever holds the other counts on it.
        for arguments in [vec!["dump", "--encrypt-to", &to], vec!["dump", "--encrypt-to", &good, "--encrypt-to", &to]] {
            let ended = call(&store, "unfit", &arguments)?.run()?.expect(5)?;
            ensure!(ended.stderr.contains(&id) && ended.stderr.contains(said), "{}", ended.stderr);
        }
    }
    ensure!(!store.path().context("a folder")?.join("unfit").exists(), "something was written");
    call(&store, "unfit", &["dump", "--encrypt-to", &good])?.run()?.expect(0).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_says_whether_it_decoded() -> Result<()> {
    let sealed = Sealed::of("decoded", Kind::OpenPgp)?;
    let hashed = sealed.call(&["verify"], None)?.json()?;
    ensure!(hashed["decoded"] == false && hashed["rows"] == 0 && hashed["damage"] == Value::Array(vec![]), "{hashed}");
    let opened = sealed.call(&["verify"], Some(&sealed.key))?.json()?;
    ensure!(opened["decoded"] == true && opened["rows"] == 120_000, "{opened}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ciphertext_of_age_that_was_flipped_cut_or_swapped_is_corrupt_with_the_key_and_without() -> Result<()> {
    damaged_is_corrupt(&Sealed::of("damaged_age", Kind::Age)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn ciphertext_of_openpgp_that_was_flipped_cut_or_swapped_is_corrupt_with_the_key_and_without() -> Result<()> {
    damaged_is_corrupt(&Sealed::of("damaged_openpgp", Kind::OpenPgp)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_backup_that_was_flipped_or_cut_is_corrupt_whatever_the_passphrase() -> Result<()> {
    let sealed = Sealed::of("damaged_key", Kind::Passphrase)?;
    let path = sealed.path_of("key.age")?;
    let whole = fs::read(&path)?;
    let mut flipped = whole.clone();
    flipped[whole.len() - 3] ^= 1;
    for (what, damaged) in [("flipped", &flipped[..]), ("cut", &whole[..whole.len() / 2])] {
        fs::remove_file(&path)?;
        fs::write(&path, damaged)?;
        for key in [None, Some(&sealed.key), Some(&Key::passphrase("another"))] {
            let ended = sealed.call(&["verify", &sealed.reference], key)?.run()?.expect(7).context(what)?;
            ensure!(ended.stderr.contains("key.age"), "{what}: {}", ended.stderr);
        }
        let target = format!("damaged_key_{what}");
        sealed.restore(&target, Some(&sealed.key))?.run()?.expect(7).context(what)?;
        ensure!(contents(&target)? == "0\n0", "{what}: something was written");
    }
    Ok(())
}

/// The object that trying a key reads.
const GLOBALS: &str = "/globals/key";

fn damaged_is_corrupt(sealed: &Sealed) -> Result<()> {
    let (one, other) = (sealed.chunk("t")?, sealed.chunk("other")?);
    let (whole, whole_other) = (fs::read(&one)?, fs::read(&other)?);
    let writable = |path: &Path, bytes: &[u8]| {
        // What is stored is written once: a test goes behind it.
        fs::remove_file(path)?;
        fs::write(path, bytes)
    };
    let flipped = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let (middle, end) = (whole.len() / 2, whole.len() - 1);
    let mut damages = vec![
        ("flipped in the header", vec![(one.clone(), flipped(&whole, 30))]),
        ("flipped in the middle", vec![(one.clone(), flipped(&whole, middle))]),
        ("flipped at the end", vec![(one.clone(), flipped(&whole, end))]),
        ("cut", vec![(one.clone(), whole[..middle].to_vec())]),
        ("swapped", vec![(one, whole_other.clone()), (other, whole)]),
    ];
    let manifest = sealed.manifest()?;
    for object in ["/toc/key", GLOBALS, "/large_objects/0/object/key"] {
        let path = sealed.path_of(manifest.pointer(object).and_then(Value::as_str).context(object)?)?;
        let bytes = fs::read(&path)?;
        damages.push((object, vec![(path.clone(), flipped(&bytes, bytes.len() / 2))]));
        damages.push((object, vec![(path, bytes[..bytes.len() - 1].to_vec())]));
    }
    let cluster = fifteen()?;
    let (_, id) = sealed.reference.split_once('/').context("database and id")?;
    for (number, (what, damaged)) in damages.into_iter().enumerate() {
        let mut before = Vec::new();
        for (path, bytes) in &damaged {
            before.push((path, fs::read(path)?));
            writable(path, bytes)?;
        }
        for key in [None, Some(&sealed.key)] {
            let ended = sealed.call(&["verify", &sealed.reference], key)?.run()?.expect(7).context(what)?;
            ensure!(ended.stderr.contains(sealed.kind.suffix()), "{what}: {}", ended.stderr);
        }
        let target = format!("{}_{number}", sealed.database);
        sealed.restore(&target, Some(&sealed.key))?.run()?.expect(7).context(what)?;
        ensure!(contents(&target)? == "0\n0", "{what}: something was written");
        let archive = sealed.folder.path().join(format!("damaged-{number}"));
        let path = archive.to_str().context("a path that is text")?;
        sealed.call(&["fetch", &sealed.reference, path], Some(&sealed.key))?.run()?.expect(7).context(what)?;
        let left = fs::read_dir(&archive).map_or(0, Iterator::count);
        ensure!(left == 0, "{what}: {left} files were left by fetch");
        let drill = sealed.call(&["drill", "--select", id, "--scratch", "env:SCRATCH_URL"], Some(&sealed.key))?;
        let drilled = drill.env("SCRATCH_URL", cluster.url("postgres")).run()?.expect(7).context(what)?;
        ensure!(drilled.stdout.contains("FAILED") && !drilled.stdout.contains("PASSED"), "{what}: {}", drilled.stdout);
        if what == GLOBALS {
            sealed.call(&["keys", "check"], Some(&sealed.key))?.run()?.expect(7).context(what)?;
            sealed.call(&["drill", "--keys"], Some(&sealed.key))?.run()?.expect(7).context(what)?;
        }
        for (path, bytes) in before {
            writable(path, &bytes)?;
        }
    }
    sealed.call(&["verify", &sealed.reference], Some(&sealed.key))?.run()?.expect(0).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_must_be_encrypted_and_would_not_be_is_refused_before_anything_is_written() -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_database("must")?;
    let folder = tempfile::tempdir()?;
    let store = StoreUnderTest::folder()?;
    let config = folder.path().join("lifeboat.toml");
    fs::write(&config, "require_encryption = true\n")?;
    let dump = |arguments: &[&str]| anyhow::Ok(call(&store, "must", arguments)?.env("LIFEBOAT_CONFIG", &config));
    let ended = dump(&["dump"])?.run()?.expect(9)?;
    ensure!(ended.stderr.contains("--encrypt-to"), "{}", ended.stderr);
    ensure!(!store.path().context("a folder")?.join("must").exists(), "something was written");
    let key = Key::make(folder.path(), "key")?;
    dump(&["dump", "--encrypt-to", &key.id])?.run()?.expect(0)?;
    let ended = dump(&["dump"])?.env("LIFEBOAT_PASSPHRASE", "correct horse").run()?.expect(0)?;
    ensure!(ended.stderr.contains("age, by a passphrase"), "{}", ended.stderr);
    let ended = dump(&["dump", "--encrypt-to", "/nowhere/key.pub"])?.run()?.expect(2)?;
    ensure!(ended.stderr.contains("read the public keys in /nowhere/key.pub: No such file"), "{}", ended.stderr);
    // A secret key is no recipient, and is not repeated.
    let secret = fs::read_to_string(key.file.context("a file")?)?;
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).context("a secret key")?;
    let ended = dump(&["dump", "--encrypt-to", secret])?.run()?.expect(2)?;
    ensure!(!ended.stderr.contains(secret), "the secret key was repeated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safety_backup_is_encrypted_as_the_backup_is_that_is_restored() -> Result<()> {
    let cluster = fifteen()?;
    for (database, kind) in ["safe_age", "safe_openpgp", "safe_passphrase"].into_iter().zip(Kind::ALL) {
        let sealed = Sealed::of(database, kind)?;
        let target = format!("{database}_target");
        cluster.create_database(&target)?;
        cluster.sql(&target, "CREATE TABLE before AS SELECT 1 AS one")?;
        let done = sealed
            .call(&["restore", &sealed.reference, "--to", "env:TARGET_URL", "--force", "--yes"], Some(&sealed.key))?
            .env("TARGET_URL", cluster.url(&target))
            .json()?;
        let safety = done["safety_backup"].as_str().context("a safety backup was taken")?;
        let path = sealed.store.path().context("a folder")?.join(safety).join("manifest.json");
        let manifest: Value = serde_json::from_slice(&fs::read(path)?)?;
        let encryption = &manifest["encryption"];
        match kind {
            Kind::Passphrase => ensure!(encryption["key"]["key"] == "key.age", "{encryption}"),
            _ => ensure!(encryption["recipients"][0] == sealed.key.id.as_str(), "{encryption}"),
        }
    }
    Ok(())
}
