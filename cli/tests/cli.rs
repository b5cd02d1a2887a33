//! What the command line does without any server: usage, exit codes, JSON, configuration, help.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use lifeboat_archive::toc::{Compression, CreatedAt, Format, Header, Toc};
use lifeboat_core::manifest::Manifest;
use lifeboat_testkit::BackupBuilder;
use serde_json::Value;

fn lifeboat(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    command
}

fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    lifeboat(folder.path(), arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stdout(output)))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

const COMMANDS: [&[&str]; 19] = [
    &["dump"],
    &["list"],
    &["show"],
    &["verify"],
    &["restore"],
    &["fetch"],
    &["drill"],
    &["retention"],
    &["retention", "plan"],
    &["retention", "apply"],
    &["retention", "lint"],
    &["retention", "undo"],
    &["hold"],
    &["release"],
    &["status"],
    &["preflight"],
    &["config", "check"],
    &["demo"],
    &["completions"],
];

#[test]
fn every_command_has_help_with_an_example() {
    for command in COMMANDS {
        let output = run(&[command, &["--help"][..]].concat());
        assert_eq!(code(&output), 0);
        let text = stdout(&output);
        assert!(text.contains(&format!("lifeboat {}", command.join(" "))), "{command:?}: {text}");
        assert!(text.contains("Example"), "{command:?} has no example");
    }
    let whole = stdout(&run(&["--help"]));
    for command in COMMANDS {
        assert!(whole.contains(&format!("  {}", command[0])), "{command:?} is not listed");
    }
}

#[test]
fn usage_errors_end_with_2_and_are_json_where_json_was_asked_for() {
    for arguments in [
        &["frobnicate"][..],
        &["dump", "--jobs", "0"],
        &["dump", "--compress", "lz4"],
        &["dump", "orders", "--all"],
        &["restore", "latest"],
        &["restore", "--to", "env:A"],
        &["restore", "latest", "--to", "env:A", "--target", "b"],
        &["restore", "latest", "--to", "env:A", "--swap", "--table", "t"],
        &["restore", "latest", "--to", "env:A", "--swap", "--force"],
        &["restore", "latest", "--to", "env:A", "--swap-back"],
        &["restore", "latest", "--to", "env:A", "--into-schema", "s"],
        &["list", "Not A Slug"],
        &["list", "latest"],
        &["show", "orders/yesterday"],
        &["-v", "-q", "list"],
        &["drill", "--select", "newest"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(stdout(&output).is_empty() && !stderr(&output).is_empty(), "{arguments:?}");
        let output = run(&[arguments, &["--output", "json"][..]].concat());
        assert_eq!(code(&output), 2, "{arguments:?}");
        let document = json(&output);
        assert_eq!(document["error"]["kind"], "usage", "{document}");
        assert!(document["error"]["hint"].as_str().is_some_and(|h| !h.is_empty()));
        assert!(!document["error"]["message"].as_str().unwrap().contains('\n'), "{document}");
    }
}

#[test]
fn no_command_at_all_shows_the_help_and_ends_with_2() {
    let output = run(&[]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("lifeboat demo"));
}

#[test]
fn a_password_in_a_url_is_refused_and_repeated_nowhere() {
    let url = "postgres://ann:hunter2@localhost:1/orders";
    for arguments in [
        &["dump", "--store", "file:///tmp/x", "--database-url", url][..],
        &["preflight", "--database-url", url],
        &["restore", "latest", "--store", "file:///tmp/x", "--to", url],
        &["drill", "orders", "--store", "file:///tmp/x", "--scratch", url],
        &["dump", url],
        &["verify", url],
        &["list", "--store", url],
    ] {
        for output in [run(arguments), run(&[arguments, &["--output", "json"][..]].concat())] {
            assert_eq!(code(&output), 2, "{arguments:?}: {}{}", stdout(&output), stderr(&output));
            let said = stdout(&output) + &stderr(&output);
            assert!(!said.contains("hunter2"), "{arguments:?}: {said}");
        }
    }
    let said = stderr(&run(&["preflight", "--database-url", url]));
    for alternative in ["env:NAME", "PGPASSFILE", "PGPASSWORD"] {
        assert!(said.contains(alternative), "{said}");
    }
}

#[test]
fn a_password_that_does_not_look_like_one_is_refused_and_repeated_nowhere() {
    for url in [
        "postgres://ann:hun/ter2@localhost:1/orders",
        "postgres://ann@localhost:1/orders?pass%77ord=hun/ter2",
        "postgres://ann:hun ter2@localhost:1/orders",
        "postgres://ann:p?hun/ter2@localhost:1/orders",
    ] {
        let with_jobs = format!("--jobs={url}");
        for arguments in [
            &["preflight", "--database-url", url][..],
            &["restore", "latest", "--store", "file:///tmp/x", "--to", url],
            &["drill", "orders", "--store", "file:///tmp/x", "--scratch", url],
            &["dump", url],
            &["list", url],
            &["verify", url],
            &[url],
            &["dump", with_jobs.as_str()],
            &["list", "--store", url],
        ] {
            for output in [run(arguments), run(&[arguments, &["-vv", "--output", "json"][..]].concat())] {
                let said = stdout(&output) + &stderr(&output);
                assert_eq!(code(&output), 2, "{arguments:?}: {said}");
                assert!(!said.contains("ter2"), "{arguments:?}: {said}");
            }
        }
    }
}

#[test]
fn errors_say_what_and_what_to_do() {
    for (arguments, expected, kind, hint) in [
        (&["dump"][..], 2, "usage", "--database-url"),
        (&["dump", "orders"], 2, "config", "databases.orders.url"),
        (&["dump", "--all"], 2, "config", "lifeboat.toml"),
        (&["list"], 2, "config", "--store"),
        (&["list", "--store", "/var/backups"], 2, "usage", "file:///var/backups"),
        (&["list", "--store", "file:///nowhere/at/all"], 6, "not_found", "store's URL"),
        (&["list", "--store", "file:///var/../etc"], 2, "usage", "full path"),
        (&["--config", "/nowhere.toml", "list"], 2, "config", "--config"),
        (&["preflight", "--database-url", "env:NOT_SET_ANYWHERE"], 2, "config", "export NOT_SET_ANYWHERE"),
        (&["preflight", "--database-url", "postgres://ann@127.0.0.1:1/x"], 4, "database", "host and port"),
        (&["retention", "undo", "latest"], 2, "usage", "by its id"),
    ] {
        let output = run(&[arguments, &["--output", "json"][..]].concat());
        let document = json(&output);
        assert_eq!(code(&output), expected, "{arguments:?}: {document}");
        assert_eq!(document["error"]["kind"], kind, "{arguments:?}: {document}");
        let said = document["error"]["hint"].as_str().unwrap();
        assert!(said.contains(hint), "{arguments:?}: {said}");
        let output = run(arguments);
        assert_eq!(code(&output), expected);
        let text = stderr(&output);
        assert!(text.starts_with("error: ") && text.contains("\nhint: "), "{text}");
        assert!(stdout(&output).is_empty());
    }
}

#[test]
fn an_empty_store_is_told_as_empty() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("file://{}", folder.path().display());
    let listed = run(&["list", "--store", &store, "--output", "json"]);
    assert_eq!(code(&listed), 0);
    assert_eq!(json(&listed)["backups"], serde_json::json!([]));
    for arguments in [&["show"][..], &["verify"], &["fetch", "latest", "somewhere"], &["hold", "latest"]] {
        let output = run(&[arguments, &["--store", store.as_str(), "--output", "json"][..]].concat());
        assert_eq!(code(&output), 6, "{arguments:?}: {}", stdout(&output));
        assert_eq!(json(&output)["error"]["kind"], "not_found");
    }
    assert_eq!(code(&run(&["verify", "all", "--store", &store])), 0);
}

/// A table of contents without an entry.
fn no_entries() -> Vec<u8> {
    let header = Header {
        version: (1, 14, 0),
        int_size: 4,
        off_size: 8,
        format: Format::Directory,
        compression: Compression::Level(0),
    };
    let created = CreatedAt { mday: 20, mon: 10, year: 126, ..CreatedAt::default() };
    let entries = Vec::new();
    Toc { header, created, dbname: None, remote_version: None, dump_version: None, entries }.write()
}

/// Makes the builder's backup one without tables, which verifies once [`no_entries`] is its table of contents.
fn whole(manifest: &mut Manifest) {
    manifest.tables.clear();
    let toc = no_entries();
    manifest.toc.size = toc.len() as u64;
    manifest.toc.sha256 = lifeboat_core::manifest::sha256_hex(&toc);
}

#[tokio::test]
async fn verify_all_goes_on_past_a_backup_that_cannot_be_read_and_ends_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let store = lifeboat_store::open(&url, &lifeboat_store::S3Settings::default()).await.unwrap();
    let of = |day: u32| BackupBuilder::new("orders", &format!("2026-11-{day}T02:00:00Z")).change(whole);
    let oldest = of(20).store(&*store).await.unwrap();
    // Newest first: the one that this Lifeboat cannot read is neither the first nor the last to be verified.
    let newer = of(21).change(|m| m.format_version = 99).store(&*store).await.unwrap();
    let newest = of(22).store(&*store).await.unwrap();
    for manifest in [&oldest, &newest] {
        std::fs::write(folder.path().join(manifest.folder()).join("archive/toc.dat"), no_entries()).unwrap();
    }
    let output = run(&["verify", "all", "--store", &url, "--output", "json"]);
    let document = json(&output);
    assert_eq!(code(&output), 1, "{document}");
    assert_eq!((&document["checked"], &document["damaged"], &document["unread"]), (&2.into(), &0.into(), &1.into()));
    let rows = document["backups"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{document}");
    assert_eq!(rows[1]["backup_id"], newer.backup_id.to_string());
    assert_eq!(rows[1]["error"]["hint"], "use a newer Lifeboat");
    assert!(rows[0]["damage"] == serde_json::json!([]) && rows[2]["damage"] == serde_json::json!([]), "{document}");
    let output = run(&["verify", "all", "--store", &url]);
    assert_eq!(code(&output), 1);
    let said = stdout(&output);
    assert!(said.matches("verified: ").count() == 2 && said.contains("not read: "), "{said}");
    // Damage beside it is the graver news.
    std::fs::write(folder.path().join(oldest.folder()).join("globals.sql"), "DROP ROLE app;\n").unwrap();
    let output = run(&["verify", "all", "--store", &url, "--output", "json"]);
    let document = json(&output);
    assert_eq!((code(&output), &document["damaged"], &document["unread"]), (7, &1.into(), &1.into()), "{document}");
}

#[test]
fn the_configuration_is_shown_with_origins_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[store]\nurl = \"file:///of/file\"\n\n[databases.orders]\nurl = { env = \"ORDERS_URL\" }\njobs = 2\n";
    std::fs::write(folder.path().join("lifeboat.toml"), file).unwrap();
    let check = |arguments: &[&str]| {
        lifeboat(folder.path(), &[&["config", "check"], arguments].concat())
            .env("ORDERS_URL", "postgres://ann:hunter2@db/orders")
            .env("LIFEBOAT_STORE", "file:///of/environment")
            .env("PGPASSWORD", "hunter3")
            .output()
            .unwrap()
    };
    let output = check(&["--output", "json"]);
    let document = json(&output);
    assert_eq!(code(&output), 0);
    assert_eq!(document["file"], "lifeboat.toml");
    assert_eq!(document["store"]["url"], "file:///of/environment");
    assert_eq!(document["origins"]["store.url"], "LIFEBOAT_STORE");
    assert_eq!(document["databases"]["orders"]["jobs"], 2);
    assert_eq!(document["origins"]["databases.orders.jobs"], "file, line 6");
    assert_eq!(document["databases"]["orders"]["compress"], "zstd:1");
    assert_eq!(document["databases"]["orders"]["url"], serde_json::json!({ "env": "ORDERS_URL" }));
    let text = stdout(&check(&[]));
    assert!(text.contains("databases.orders.retention.daily.keep") && text.contains("default"), "{text}");
    let flag = json(&check(&["--store", "file:///of/flag", "--output", "json"]));
    assert_eq!(flag["origins"]["store.url"], "--store");
    for said in [stdout(&output), text] {
        assert!(!said.contains("hunter"), "{said}");
    }
}

#[test]
fn a_misspelt_key_is_named_with_its_line_and_the_nearest_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lifeboat.toml"), "[databases.orders]\n\ntimezon = \"UTC\"\n").unwrap();
    let output = lifeboat(folder.path(), &["config", "check"]).output().unwrap();
    assert_eq!(code(&output), 2);
    let said = stderr(&output);
    assert!(said.contains("lifeboat.toml, line 3") && said.contains("did you mean 'timezone'?"), "{said}");
}

#[test]
fn retention_that_makes_no_sense_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = "[databases.orders.retention]\nweekly = { keep = 1, storage_class = \"DEEP_ARCHIVE\" }\n";
    std::fs::write(folder.path().join("lifeboat.toml"), file).unwrap();
    let output = lifeboat(folder.path(), &["retention", "lint"]).output().unwrap();
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).contains("DEEP_ARCHIVE, which bills at least 180 days"), "{}", stdout(&output));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("retention"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = lifeboat(folder.path(), &["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"));
}
