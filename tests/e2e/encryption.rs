//! Keys that are wrong, missing or not wanted, and ciphertext that is not what was written: nobody reads or loses anything.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest};
use serde_json::Value;
use tempfile::TempDir;

use crate::shared::{call, fifteen};

/// A key that the program made.
struct Key {
    file: PathBuf,
    public: String,
}

impl Key {
    fn make(folder: &Path, name: &str) -> Result<Self> {
        let file = folder.join(name);
        let made = Lifeboat::new(["keys", "new"]).args([&file]).json()?;
        let public = made["public_key"].as_str().context("no public key was printed")?.to_owned();
        Ok(Self { file, public })
    }

    fn flag(&self) -> Result<[&str; 2]> {
        Ok(["--identity", self.file.to_str().context("a path that is text")?])
    }
}

/// A database with a table of several chunks and a large object, its encrypted backup, and the key to it.
struct Sealed {
    database: &'static str,
    store: StoreUnderTest,
    folder: TempDir,
    key: Key,
    /// `database/id`.
    reference: String,
}

impl Sealed {
    fn of(database: &'static str) -> Result<Self> {
        let cluster = fifteen()?;
        cluster.create_database(database)?;
        cluster.sql(
            database,
            "CREATE TABLE t AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 60000) AS i;
             CREATE TABLE other AS SELECT i AS id, md5(i::text) AS name FROM generate_series(1, 60000) AS i;
             SELECT lo_from_bytea(0, 'a large object')",
        )?;
        let folder = tempfile::tempdir()?;
        let key = Key::make(folder.path(), "right.key")?;
        let store = StoreUnderTest::folder()?;
        let made = call(&store, database, &["dump", "--encrypt-to", &key.public, "--compress", "none"])?.json()?;
        let id = made["backup_id"].as_str().context("the dump names no backup")?;
        Ok(Self { database, store, reference: format!("{database}/{id}"), folder, key })
    }

    /// A call that is given a key, or none.
    fn call(&self, arguments: &[&str], key: Option<&Key>) -> Result<Lifeboat> {
        let call = call(&self.store, self.database, arguments)?;
        Ok(match key {
            Some(key) => call.args(key.flag()?),
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

    /// The first chunk of a table.
    fn chunk(&self, table: &str) -> Result<PathBuf> {
        let manifest = self.manifest()?;
        let tables = manifest["tables"].as_array().context("tables")?;
        let found = tables.iter().find(|t| t["name"] == table).context("the table is in the manifest")?;
        self.path_of(found["chunks"][0]["key"].as_str().context("a key")?)
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
    let sealed = Sealed::of("wrong_key")?;
    let wrong = Key::make(sealed.folder.path(), "wrong.key")?;
    let broken = Key { file: sealed.folder.path().join("broken.key"), public: String::new() };
    fs::write(&broken.file, "AGE-SECRET-KEY-1 is missing\n")?;
    let nowhere = Key { file: sealed.folder.path().join("nowhere.key"), public: String::new() };
    for (number, key) in [None, Some(&wrong), Some(&broken), Some(&nowhere)].into_iter().enumerate() {
        let target = format!("wrong_key_{number}");
        sealed.restore(&target, key)?.run()?.expect(5)?;
        ensure!(contents(&target)? == "0\n0", "{}", contents(&target)?);
        let archive = sealed.folder.path().join(format!("archive-{number}"));
        let path = archive.to_str().context("a path that is text")?;
        sealed.call(&["fetch", &sealed.reference, path], key)?.run()?.expect(5)?;
        ensure!(!archive.exists() || fs::read_dir(&archive)?.next().is_none(), "something was written to {path}");
        sealed.call(&["drill", "--select", "latest", "--scratch", "local"], key)?.run()?.expect(5)?;
        // Without a key a verify has its hashes; with one that does not fit it says so.
        let verified = sealed.call(&["verify"], key)?.run()?;
        verified.expect(if key.is_some() { 5 } else { 0 })?;
    }
    let said = sealed.restore("wrong_key_said", Some(&wrong))?.run()?;
    ensure!(said.stderr.contains(&sealed.key.public), "the hint names the right key: {}", said.stderr);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_says_whether_it_decoded() -> Result<()> {
    let sealed = Sealed::of("decoded")?;
    let hashed = sealed.call(&["verify"], None)?.json()?;
    ensure!(hashed["decoded"] == false && hashed["rows"] == 0 && hashed["damage"] == Value::Array(vec![]), "{hashed}");
    let opened = sealed.call(&["verify"], Some(&sealed.key))?.json()?;
    ensure!(opened["decoded"] == true && opened["rows"] == 120_000, "{opened}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ciphertext_that_was_flipped_cut_or_swapped_is_corrupt_with_the_key_and_without() -> Result<()> {
    let sealed = Sealed::of("damaged")?;
    let (one, other) = (sealed.chunk("t")?, sealed.chunk("other")?);
    let (whole, whole_other) = (fs::read(&one)?, fs::read(&other)?);
    let writable = |path: &Path, bytes: &[u8]| {
        // What is stored is written once: a test goes behind it.
        fs::remove_file(path)?;
        fs::write(path, bytes)
    };
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let (middle, end) = (whole.len() / 2, whole.len() - 1);
    let damages = [
        ("flipped in the header", flipped(30), whole_other.clone()),
        ("flipped in the middle", flipped(middle), whole_other.clone()),
        ("flipped at the end", flipped(end), whole_other.clone()),
        ("cut", whole[..middle].to_vec(), whole_other.clone()),
        ("swapped", whole_other.clone(), whole.clone()),
    ];
    for (number, (what, first, second)) in damages.into_iter().enumerate() {
        writable(&one, &first)?;
        writable(&other, &second)?;
        for key in [None, Some(&sealed.key)] {
            let ended = sealed.call(&["verify", &sealed.reference], key)?.run()?.expect(7).context(what)?;
            ensure!(ended.stderr.contains(".age"), "{what}: {}", ended.stderr);
        }
        let target = format!("damaged_{number}");
        sealed.restore(&target, Some(&sealed.key))?.run()?.expect(7).context(what)?;
        let there = fifteen()?.sql(&target, "SELECT to_regclass('public.t') IS NOT NULL")?.trim() == "t";
        if there {
            ensure!(fifteen()?.sql(&target, "SELECT count(*) FROM t")?.trim() == "0", "{what}: rows of it were kept");
        }
        let archive = sealed.folder.path().join(format!("damaged-{number}"));
        let path = archive.to_str().context("a path that is text")?;
        sealed.call(&["fetch", &sealed.reference, path], Some(&sealed.key))?.run()?.expect(7).context(what)?;
        ensure!(!archive.join("toc.dat").exists(), "{what}: what was fetched can be taken for an archive");
    }
    writable(&one, &whole)?;
    writable(&other, &whole_other)?;
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
    dump(&["dump", "--encrypt-to", &key.public])?.run()?.expect(0)?;
    // A secret key is no recipient, and is not repeated.
    let secret = fs::read_to_string(&key.file)?;
    let secret = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).context("a secret key")?;
    let ended = dump(&["dump", "--encrypt-to", secret])?.run()?.expect(2)?;
    ensure!(!ended.stderr.contains(secret), "the secret key was repeated");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_safety_backup_is_encrypted_as_the_backup_is_that_is_restored() -> Result<()> {
    let sealed = Sealed::of("safe")?;
    let cluster = fifteen()?;
    cluster.create_database("safe_target")?;
    cluster.sql("safe_target", "CREATE TABLE before AS SELECT 1 AS one")?;
    let done = sealed
        .call(&["restore", &sealed.reference, "--to", "env:TARGET_URL", "--force", "--yes"], Some(&sealed.key))?
        .env("TARGET_URL", cluster.url("safe_target"))
        .json()?;
    let safety = done["safety_backup"].as_str().context("a safety backup was taken")?;
    let path = sealed.store.path().context("a folder")?.join(safety).join("manifest.json");
    let manifest: Value = serde_json::from_slice(&fs::read(path)?)?;
    ensure!(manifest["encryption"]["recipients"][0] == sealed.key.public.as_str(), "{}", manifest["encryption"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_once_for_their_owner_alone_and_tried_on_what_is_kept() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let sealed = Sealed::of("tried")?;
    let mode = fs::metadata(&sealed.key.file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "others may read the key: {mode:o}");
    let before = fs::read_to_string(&sealed.key.file)?;
    Lifeboat::new(["keys", "new"]).args([&sealed.key.file]).run()?.expect(2)?;
    ensure!(fs::read_to_string(&sealed.key.file)? == before, "a key was overwritten");

    // Rotated: the newer backup is encrypted to a new key, the older one is still there.
    let new = Key::make(sealed.folder.path(), "new.key")?;
    call(&sealed.store, sealed.database, &["dump", "--encrypt-to", &new.public])?.run()?.expect(0)?;
    let checked = |key: &Key| {
        let ended = sealed.call(&["keys", "check", "--output", "json"], Some(key))?.run()?;
        anyhow::Ok((ended.code, serde_json::from_str::<Value>(&ended.stdout)?))
    };
    let (code, found) = checked(&new)?;
    ensure!(code == 5, "{found}");
    let opened: Vec<bool> =
        found["backups"].as_array().context("backups")?.iter().map(|b| b["opened"] == true).collect();
    ensure!(opened == [true, false], "{found}");
    // Both keys in one file open both.
    let both = Key { file: sealed.folder.path().join("both.key"), public: String::new() };
    fs::write(&both.file, format!("{before}{}", fs::read_to_string(&new.file)?))?;
    let (code, found) = checked(&both)?;
    ensure!(code == 0, "{found}");
    sealed.call(&["keys", "check"], None)?.run()?.expect(5).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_identity_opens_what_is_configured_to_be_encrypted() -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_database("configured")?;
    cluster.sql("configured", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS id")?;
    let folder = tempfile::tempdir()?;
    let store = StoreUnderTest::folder()?;
    let key = Key::make(folder.path(), "orders.key")?;
    let config = folder.path().join("lifeboat.toml");
    let text = format!(
        "[databases.configured]\nencrypt_to = [\"{}\"]\nidentity = {{ file = \"orders.key\" }}\nrequire_encryption = true\n",
        key.public
    );
    fs::write(&config, text)?;
    let lifeboat =
        |arguments: &[&str]| anyhow::Ok(call(&store, "configured", arguments)?.env("LIFEBOAT_CONFIG", &config));
    let made = lifeboat(&["dump"])?.json()?;
    ensure!(made["encryption"]["recipients"][0] == key.public.as_str(), "{made}");
    ensure!(made["verified"]["decoded"] == false, "what makes backups does not read them: {made}");
    let checked = lifeboat(&["keys", "check"])?.json()?;
    ensure!(checked["to_come"][0]["opened"] == true && checked["backups"][0]["opened"] == true, "{checked}");
    let verified = lifeboat(&["verify"])?.json()?;
    ensure!(verified["decoded"] == true && verified["rows"] == 1000, "{verified}");
    cluster.create_database("configured_back")?;
    lifeboat(&["restore", "latest", "--to", "env:TARGET_URL"])?
        .env("TARGET_URL", cluster.url("configured_back"))
        .run()?
        .expect(0)?;
    ensure!(cluster.sql("configured_back", "SELECT count(*) FROM t")?.trim() == "1000");
    // The key is gone: a verify goes on with hashes, a restore does not go on at all.
    fs::remove_file(&key.file)?;
    ensure!(lifeboat(&["verify"])?.json()?["decoded"] == false);
    cluster.create_database("configured_none")?;
    lifeboat(&["restore", "latest", "--to", "env:TARGET_URL"])?
        .env("TARGET_URL", cluster.url("configured_none"))
        .run()?
        .expect(5)
        .map(drop)
}
