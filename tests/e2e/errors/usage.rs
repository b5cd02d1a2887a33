//! Calls and configurations that make no sense: refused before anything is touched, with what was meant instead.

use std::fs;

use anyhow::{Context, Result};
use lifeboat_tests::{Lifeboat, StoreUnderTest};

use super::failing::{Failure, fails};

/// A URL that nobody may write on a command line.
const WITH_PASSWORD: &str = "postgres://ann:hunter2@db.example/orders";

fn usage<'a>(says: &'a [&'a str], hint: &'a [&'a str]) -> Failure<'a> {
    Failure { code: 2, kind: "usage", says, hint }
}

#[test]
fn a_store_url_that_leads_out_of_its_place() -> Result<()> {
    for url in ["file:///var/backups/../etc", "s3://bucket/../other"] {
        fails(|| Ok(Lifeboat::new(["list", "--store", url])), &usage(&[url, "'..'"], &["write "]))?;
    }
    Ok(())
}

#[test]
fn a_store_of_an_unknown_kind() -> Result<()> {
    fails(
        || Ok(Lifeboat::new(["list", "--store", "ftp://host/backups"])),
        &usage(&["ftp://"], &["file:///absolute/folder", "s3://bucket/prefix"]),
    )
}

#[test]
fn no_store_and_no_database() -> Result<()> {
    let expected = Failure { code: 2, kind: "config", says: &["no store is named"], hint: &["--store file:///folder"] };
    fails(|| Ok(Lifeboat::new(["list"])), &expected)?;
    let store = StoreUnderTest::folder()?;
    fails(|| Ok(store.lifeboat(["dump"])), &usage(&["no database is named"], &["--database-url", "lifeboat.toml"]))
}

#[test]
fn a_password_on_the_command_line() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let refused = usage(&["contains a password"], &["PGPASSWORD", "env:NAME"]);
    for arguments in [
        &["dump", "--database-url", WITH_PASSWORD] as &[&str],
        &["preflight", "--database-url", WITH_PASSWORD],
        &["drill", "orders", "--scratch", WITH_PASSWORD],
        &["dump", "--database-url", "postgres://ann@db.example/orders?password=hunter2"],
    ] {
        fails(|| Ok(store.lifeboat(arguments)), &refused).with_context(|| format!("{arguments:?}"))?;
    }
    fails(|| Ok(store.lifeboat(["restore", "latest", "--to", WITH_PASSWORD])), &refused)?;
    // In the wrong place it is no URL to Lifeboat, and must not be repeated either.
    for (arguments, hint) in [
        (&["dump", WITH_PASSWORD] as &[&str], "a-z, 0-9"),
        (&["list", WITH_PASSWORD], "a-z, 0-9"),
        (&["dump", "--jobs", WITH_PASSWORD], "--help"),
    ] {
        fails(|| Ok(store.lifeboat(arguments)), &usage(&["postgres://…"], &[hint]))?;
    }
    Ok(())
}

#[test]
fn a_mistyped_word_is_told_with_the_right_one() -> Result<()> {
    fails(|| Ok(Lifeboat::new(["dmup"])), &usage(&["'dmup'"], &["'dump'"]))?;
    fails(
        || Ok(Lifeboat::new(["dump", "--databse-url", "env:X"])),
        &usage(&["'--databse-url'"], &["'--database-url'"]),
    )?;
    fails(|| Ok(Lifeboat::new(["dump", "--jobs", "0"])), &usage(&["'--jobs <N>'", "1..=64"], &["--help"]))?;
    fails(|| Ok(Lifeboat::new(["dump", "latest"])), &usage(&["'latest' is a reserved word"], &["'orders'"]))?;
    fails(|| Ok(Lifeboat::new(["dump", "Orders"])), &usage(&["'Orders' cannot name"], &["a-z, 0-9"]))?;
    let slashless = || Ok(Lifeboat::new(["restore", "orders", "--to", "env:X"]));
    fails(slashless, &usage(&["'orders' is not a backup id"], &["`orders/latest`"]))
}

#[test]
fn words_that_contradict_each_other() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let call = || Ok(store.lifeboat(["dump", "--compress", "zstd:3"]).env("LIFEBOAT_RESTORER", "15"));
    fails(call, &usage(&["--compress zstd:3", "restorer = 15"], &["gzip"]))?;
    // What may be lost is never a database that holds something already.
    for live in [&["--swap"] as &[&str], &["--into-schema", "rescued"], &["--data-only"], &["--force"]] {
        let fast = || Ok(store.lifeboat(["restore", "latest", "--to", "env:X", "--fast-scratch"]).args(live));
        fails(fast, &usage(&["--fast-scratch", live[0]], &["--help"]))?;
    }
    let undo = || Ok(store.lifeboat(["retention", "undo", "latest"]));
    fails(undo, &usage(&["latest backup is never one that expires"], &["lifeboat list"]))
}

#[test]
fn variables_that_say_nothing() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fails(
        || Ok(store.lifeboat(["dump", "--database-url", "env:NOT_SET"])),
        &Failure { code: 2, kind: "config", says: &["NOT_SET", "not set"], hint: &["export NOT_SET="] },
    )
}

/// A configuration that is wrong in its last line.
fn misconfigured(line: &str, says: &[&str], hint: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lifeboat.toml");
    fs::write(&file, format!("[store]\nurl = \"file:///var/backups/lifeboat\"\n[databases.orders]\n{line}\n"))?;
    let says: Vec<&str> = ["lifeboat.toml, line 4"].iter().chain(says).copied().collect();
    let expected = Failure { code: 2, kind: "config", says: &says, hint };
    for command in [&["config", "check"] as &[&str], &["dump", "orders"]] {
        fails(|| Ok(Lifeboat::new(command).env("LIFEBOAT_CONFIG", &file)), &expected).context(line.to_owned())?;
    }
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_meant() -> Result<()> {
    misconfigured("retension = '7-5-6'", &["'retension' is not a key"], &["did you mean 'retention'?"])?;
    misconfigured("timezone = 'Europe/Berln'", &["'Europe/Berln' is not a time zone"], &["Europe/Berlin"])?;
    misconfigured("rpo = '26 hours'", &["databases.orders.rpo", "26h"], &["config check"])?;
    misconfigured("schedule = '0 2 * * *'", &["databases.orders.schedule", "cron("], &["config check"])?;
    misconfigured("compress = 'brotli:3'", &["databases.orders.compress", "brotli", "zstd"], &["config check"])?;
    misconfigured("retention = '90d'", &["'90d'"], &["7-5-6"])?;
    misconfigured("retention = { min_good = 0 }", &["min_good", "from 1 to"], &["config check"])?;
    misconfigured(&format!("url = '{WITH_PASSWORD}'"), &["contains a password"], &["env"])
}

#[test]
fn a_configuration_that_is_not_there() -> Result<()> {
    fails(
        || Ok(Lifeboat::new(["config", "check", "--config", "/not/there.toml"])),
        &Failure { code: 2, kind: "config", says: &["read /not/there.toml"], hint: &["--config", "LIFEBOAT_CONFIG"] },
    )
}
