//! Keys over time: made, changed, tried on what is kept, and drilled.

use std::fs;

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::Gpg;
use lifeboat_tests::{Lifeboat, StoreUnderTest};
use serde_json::Value;

use super::{
    Sealed,
    key::{Key, Kind},
};
use crate::shared::{call, fifteen};

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_once_for_their_owner_alone_and_tried_on_what_is_kept() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let sealed = Sealed::of("tried", Kind::Age)?;
    let file = sealed.key.file.as_ref().context("a file")?;
    let mode = fs::metadata(file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "others may read the key: {mode:o}");
    let before = fs::read_to_string(file)?;
    Lifeboat::new(["keys", "new"]).args([file]).run()?.expect(2)?;
    ensure!(fs::read_to_string(file)? == before, "a key was overwritten");

    // Rotated: the newer backup is encrypted to a new key, the older one is still there.
    let new = Key::make(sealed.folder.path(), "new.key")?;
    call(&sealed.store, sealed.database, &["dump", "--encrypt-to", &new.id])?.run()?.expect(0)?;
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
    let file = sealed.folder.path().join("both.key");
    fs::write(&file, format!("{before}{}", fs::read_to_string(new.file.as_ref().context("a file")?)?))?;
    let both = Key { file: Some(file), ..new.clone() };
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
        key.id
    );
    fs::write(&config, text)?;
    let lifeboat =
        |arguments: &[&str]| anyhow::Ok(call(&store, "configured", arguments)?.env("LIFEBOAT_CONFIG", &config));
    let made = lifeboat(&["dump"])?.json()?;
    ensure!(made["encryption"]["recipients"][0] == key.id.as_str(), "{made}");
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
    fs::remove_file(key.file.as_ref().context("a file")?)?;
    ensure!(lifeboat(&["verify"])?.json()?["decoded"] == false);
    cluster.create_database("configured_none")?;
    lifeboat(&["restore", "latest", "--to", "env:TARGET_URL"])?
        .env("TARGET_URL", cluster.url("configured_none"))
        .run()?
        .expect(5)
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_keys_tries_each_alone_on_every_kept_backup_and_leaves_a_report() -> Result<()> {
    let sealed = Sealed::of("escrow", Kind::OpenPgp)?;
    let folder = sealed.folder.path();
    let gpg = Gpg::new()?;
    let user = "Escrow <escrow@example.com>";
    let id = gpg.key(user, ("ed25519", "cv25519"), ("never", "1y"), None)?;
    let escrow = Key::export(&gpg, &id, folder, "escrow.asc")?;
    let of_age = Key::make(folder, "age.key")?;
    let (right, other) = (sealed.key.to.as_deref().context("a key")?, escrow.to.as_deref().context("a key")?);
    let dump = |arguments: &[&str]| call(&sealed.store, sealed.database, arguments)?.run()?.expect(0).map(drop);
    dump(&["dump", "--encrypt-to", right, "--encrypt-to", other])?;
    dump(&["dump", "--encrypt-to", &of_age.id])?;
    call(&sealed.store, sealed.database, &["dump"])?.env("LIFEBOAT_PASSPHRASE", "correct horse").run()?.expect(0)?;

    // Three files and a passphrase: everything is opened, and the report says by whom.
    let files: Vec<_> = [&sealed.key, &escrow, &of_age].into_iter().filter_map(|key| key.file.clone()).collect();
    let drill = |files: &[std::path::PathBuf]| -> Result<Lifeboat> {
        let flags = files.iter().flat_map(|file| ["--identity".into(), file.clone().into_os_string()]);
        let call = call(&sealed.store, sealed.database, &["drill", "--keys"])?.args(flags);
        Ok(call.env("LIFEBOAT_IDENTITY_PASSPHRASE", "correct horse"))
    };
    let all = drill(&files)?.env("LIFEBOAT_PASSPHRASE", "correct horse").json()?;
    let report = &all["drills"][0];
    ensure!(report["passed"] == true && report["backups"].as_array().map(Vec::len) == Some(4), "{report}");
    let opened = |key: &str| -> Result<(u64, u64)> {
        let keys = report["keys"].as_array().context("keys")?;
        let found = keys.iter().find(|found| found["key"] == key).with_context(|| format!("{key} in {report}"))?;
        Ok((found["opened"].as_u64().context("a number")?, found["backups"].as_u64().context("a number")?))
    };
    ensure!(opened(&sealed.key.id)? == (2, 2) && opened(&id)? == (1, 1), "{report}");
    ensure!(opened(&of_age.id)? == (1, 1) && opened("passphrase")? == (1, 1), "{report}");
    let expires = report["keys"].as_array().context("keys")?.iter().filter(|key| key["expires_at"].is_string());
    ensure!(expires.count() == 1, "{report}");
    let kept = sealed.store.path().context("a folder")?.join(".control/keys").join(sealed.database);
    let report_file = fs::read_dir(&kept)?.next().context("no report")??.path();
    let written: Value = serde_json::from_slice(&fs::read(report_file)?)?;
    ensure!(&written == report, "{written}");

    // One that is not brought is named, and what only it opens is lost; one that is revoked by now fails, though another opens.
    let ended =
        drill(&files[..2])?.env("LIFEBOAT_PASSPHRASE", "correct horse").args(["--output", "json"]).run()?.expect(5)?;
    ensure!(ended.stdout.contains(&of_age.id), "{}", ended.stdout);
    gpg.revoke(&id)?;
    let revoked = Key::export(&gpg, &id, folder, "revoked-escrow.asc")?;
    let brought = [files[0].clone(), revoked.file.context("a file")?, files[2].clone()];
    let ended =
        drill(&brought)?.env("LIFEBOAT_PASSPHRASE", "correct horse").args(["--output", "json"]).run()?.expect(5)?;
    let report: Value = serde_json::from_str(&ended.stdout)?;
    let failures: Vec<&Value> = report["drills"][0]["backups"]
        .as_array()
        .context("backups")?
        .iter()
        .filter(|b| b["failures"] != Value::Array(vec![]))
        .collect();
    ensure!(failures.len() == 1 && failures[0]["opened_by"][0] == sealed.key.id.as_str(), "{report}");

    // A check says whose keys there are, and until when they last.
    let checked = sealed.call(&["keys", "check"], Some(&escrow))?.run()?.expect(5)?;
    ensure!(checked.stdout.contains(&id) && checked.stdout.contains(user), "{}", checked.stdout);
    ensure!(checked.stdout.contains("expires on 20"), "{}", checked.stdout);
    Ok(())
}
