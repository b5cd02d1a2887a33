//! The recovery kit's commands: sound shell, and inert whatever the names in them are.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use lifeboat_core::{
    kit::{self, KitInput},
    manifest::{Encryption, Extension, KEY_NAME, ObjectRecord, Omitted, SourceFacts, TableRecord},
};

const HOSTILE: [&str; 9] = [
    "it's",
    "a b",
    "$(touch pwned)",
    "`touch pwned`",
    "x'; touch pwned; '",
    "\"; touch pwned; \"",
    "a\n```\n```sh\ntouch pwned\n```\n",
    "${IFS}\\'}",
    "-d=dbname=x} \u{fffd}\r\u{1b}[2J",
];

fn facts(name: &str) -> SourceFacts {
    SourceFacts {
        owner: None,
        system_identifier: None,
        database_name: name.to_owned(),
        server: "db.example.com:5432".to_owned(),
        server_version: "16.14".to_owned(),
        server_version_num: 160_014,
        client_version: "16.14".to_owned(),
        archive_version: "1.15".to_owned(),
        snapshot_at: "2026-11-20T02:00:01Z".parse().unwrap(),
        snapshot_lsn: Some("0/1A2B3C4".to_owned()),
        standby: false,
        encoding: "UTF8".to_owned(),
        collate: "en_US.UTF-8".to_owned(),
        ctype: "en_US.UTF-8".to_owned(),
        locale_provider: "libc".to_owned(),
        locale: None,
        lc_monetary: "en_US.UTF-8".to_owned(),
        extensions: vec![Extension { name: "pg_trgm".to_owned(), version: "1.6".to_owned() }],
        settings: BTreeMap::new(),
    }
}

fn hostile_facts(text: &str) -> SourceFacts {
    SourceFacts {
        server: text.to_owned(),
        collate: text.to_owned(),
        ctype: text.to_owned(),
        lc_monetary: text.to_owned(),
        locale_provider: "icu".to_owned(),
        locale: Some(text.to_owned()),
        archive_version: text.to_owned(),
        client_version: text.to_owned(),
        extensions: vec![Extension { name: text.to_owned(), version: text.to_owned() }],
        settings: BTreeMap::from([(text.to_owned(), text.to_owned())]),
        ..facts(text)
    }
}

fn table(schema: &str, name: &str, rows: u64, loads_into: Option<&str>) -> TableRecord {
    TableRecord {
        oid: 16_384,
        dump_id: 3344,
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns: Vec::new(),
        loads_into: loads_into.map(str::to_owned),
        rows,
        checksum: "0".repeat(32),
        raw_bytes: 10,
        stored_bytes: 5,
        chunks: Vec::new(),
    }
}

struct Case {
    store_url: String,
    source: SourceFacts,
    tables: Vec<TableRecord>,
    omitted: Vec<Omitted>,
    compression: &'static str,
    encryption: Option<Encryption>,
    extension_data: Vec<i32>,
}

impl Case {
    fn new(store_url: impl Into<String>) -> Self {
        Self {
            store_url: store_url.into(),
            source: facts("shop"),
            tables: vec![table("public", "orders", 12, None)],
            omitted: Vec::new(),
            compression: "zstd:1",
            encryption: None,
            extension_data: Vec::new(),
        }
    }

    fn render(&self) -> String {
        kit::render(&KitInput {
            database: &"orders".parse().unwrap(),
            backup_id: &"20261120T020000Z-abcd".parse().unwrap(),
            store_url: &self.store_url,
            lifeboat_version: "0.1.0",
            source: &self.source,
            tables: &self.tables,
            extension_data: &self.extension_data,
            large_objects: &[],
            omitted: &self.omitted,
            compression: self.compression,
            encryption: self.encryption.as_ref(),
            globals: true,
        })
        .unwrap()
    }
}

fn blocks(kit: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = kit.lines();
    while let Some(line) = lines.next() {
        if let Some(opened) = line.strip_prefix("```") {
            let body: Vec<_> = lines.by_ref().take_while(|l| *l != "```").collect();
            if opened == language {
                blocks.push(body.join("\n"));
            }
        }
    }
    blocks
}

/// Runs a script in `folder` with only the given programs and the shell's own on its PATH.
fn run(script: &str, folder: &Path, programs: &[(&str, &str)]) -> Output {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for (name, body) in programs {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    Command::new("sh").arg("-c").arg(script).current_dir(folder).env_clear().env("PATH", path).output().unwrap()
}

fn encrypted(kind: &str, recipient: &str) -> Encryption {
    Encryption { kind: kind.to_owned(), recipients: vec![recipient.to_owned()], key: None }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for url in ["s3://bucket/some/prefix", "file:///var/backups"] {
        for (compression, kind) in [("zstd:1", None), ("gzip:6", Some("age")), ("none", Some("openpgp"))] {
            let encryption = kind.map(|kind| encrypted(kind, "k"));
            cases.push(Case { compression, encryption, ..Case::new(url) });
        }
    }
    for text in HOSTILE {
        for url in [format!("s3://bucket/{text}"), format!("file:///tmp/{text}"), text.to_owned()] {
            cases.push(Case {
                source: hostile_facts(text),
                tables: vec![table(text, text, 1, None), table(text, text, 1, Some(text))],
                omitted: vec![Omitted { kind: text.to_owned(), object: text.to_owned(), reason: text.to_owned() }],
                encryption: Some(encrypted(text, text)),
                ..Case::new(url)
            });
        }
    }
    cases
}

#[test]
fn every_block_is_sound_shell() {
    for case in cases() {
        let kit = case.render();
        for block in blocks(&kit, "sh").into_iter().chain(blocks(&kit, "bash")) {
            let output = Command::new("sh").arg("-n").arg("-c").arg(&block).output().unwrap();
            assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn a_passphrase_opens_the_key_first_and_the_key_opens_the_rest() {
    let key = ObjectRecord { key: KEY_NAME.to_owned(), size: 1, sha256: "0".repeat(64), version_id: None };
    let encryption = Some(Encryption { key: Some(key), ..encrypted("age", "k") });
    let kit = Case { encryption, ..Case::new("file:///var/backups") }.render();
    let block = blocks(&kit, "sh").into_iter().find(|block| block.contains("age -d")).unwrap();
    assert!(Command::new("sh").arg("-n").arg("-c").arg(&block).status().unwrap().success(), "{block}");
    let (first, rest) = (block.find("key.age\")").unwrap(), block.find("! -name key.age").unwrap());
    assert!(first < rest, "{block}");
    assert!(!kit.contains("--identity"), "there is no file to name");
}

#[test]
fn hostile_names_add_no_block_and_run_nothing() {
    let expected =
        blocks(&Case { encryption: cases()[1].encryption.clone(), ..Case::new("s3://b/p") }.render(), "sh").len();
    let quiet: Vec<_> =
        ["aws", "cp", "psql", "createdb", "pg_restore", "age", "gpg", "zstd"].map(|name| (name, "exit 0")).to_vec();
    for case in cases().into_iter().skip(6) {
        let kit = case.render();
        let blocks = blocks(&kit, "sh");
        assert_eq!(blocks.len(), expected, "{kit}");
        assert!(!kit.contains('\r') && !kit.contains('\u{1b}'), "control characters in the kit");
        let folder = tempfile::tempdir().unwrap();
        // Each block for itself, so that none hides behind the failure of one before.
        for block in &blocks {
            run(&format!("{}\n{block}", blocks[0]), folder.path(), &quiet);
        }
        let found: Vec<_> = walk(folder.path()).into_iter().filter(|p| p.contains("pwned")).collect();
        assert!(found.is_empty(), "{found:?}\n{kit}");
    }
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.display().to_string());
        if path.is_dir() {
            found.extend(walk(&path));
        }
    }
    found
}

#[test]
fn the_database_name_reaches_the_tools_as_it_is() {
    for name in ["it's", "a b", "$(touch pwned)", "a=b", "back\\slash", "-x", "}", "\"q\""] {
        let case = Case { source: facts(name), ..Case::new("file:///x") };
        let first = blocks(&case.render(), "sh").remove(0);
        let folder = tempfile::tempdir().unwrap();
        let output = run(&format!("{first}\nprintf '%s\\n%s' \"$TARGET_DB\" \"$TARGET\""), folder.path(), &[]);
        let conninfo = name.replace('\\', "\\\\").replace('\'', "\\'");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{name}\ndbname='{conninfo}'"), "{output:?}");
    }
}

#[test]
fn chunks_are_joined_in_order_past_99999_and_strays_are_an_error() {
    let case = Case::new("file:///x");
    let join = blocks(&case.render(), "sh").into_iter().find(|b| b.contains("joining")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    fs::create_dir(&archive).unwrap();
    for number in 1..=12 {
        fs::write(archive.join(format!("7.dat.zst.{number:05}")), format!("{number},")).unwrap();
    }
    fs::write(archive.join("8.dat.zst"), "whole").unwrap();
    let work = format!("set -eu\nWORK='{}'\n", folder.path().display());
    let output = run(&format!("{work}{join}"), folder.path(), &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(archive.join("7.dat.zst")).unwrap(), "1,2,3,4,5,6,7,8,9,10,11,12,");
    assert_eq!(fs::read_dir(&archive).unwrap().count(), 2, "parts are left");

    // The counter itself goes on past its five digits.
    let output = run("printf '%05d' 100000", folder.path(), &[]);
    assert_eq!(output.stdout, b"100000");

    fs::write(archive.join("9.dat.zst.00002"), "second").unwrap();
    assert!(!run(&format!("{work}{join}"), folder.path(), &[]).status.success(), "a stray chunk went unnoticed");
}

#[test]
fn a_damaged_or_missing_object_or_manifest_stops_the_restore() {
    let case = Case::new("file:///x");
    let check = blocks(&case.render(), "sh").into_iter().find(|b| b.contains("objects.sha256")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("archive");
    fs::create_dir(&archive).unwrap();
    fs::write(archive.join("7.dat"), "rows").unwrap();
    let object = serde_json::json!({
        "key": "archive/7.dat",
        "size": 4,
        "sha256": lifeboat_core::manifest::sha256_hex(b"rows"),
    });
    let zeros = "0".repeat(64);
    // As a manifest is written: pretty, its own hash last.
    let body =
        format!("{{\n  \"tables\": {},\n  \"manifest_sha256\": \"", serde_json::to_string_pretty(&[object]).unwrap());
    let hash = lifeboat_core::manifest::sha256_hex(format!("{body}{zeros}\"\n}}").as_bytes());
    let manifest = format!("{body}{hash}\"\n}}");
    let run_check =
        || run(&format!("set -eu\nWORK='{}'\n{check}", folder.path().display()), folder.path(), &[]).status.success();
    fs::write(folder.path().join("manifest.json"), &manifest).unwrap();
    assert!(run_check(), "a whole backup was refused");
    fs::write(folder.path().join("manifest.json"), manifest.replace("\"size\": 4", "\"size\": 5")).unwrap();
    assert!(!run_check(), "a damaged manifest went unnoticed");
    fs::write(folder.path().join("manifest.json"), &manifest).unwrap();
    fs::write(archive.join("7.dat"), "row").unwrap();
    assert!(!run_check(), "a truncated object went unnoticed");
    fs::remove_file(archive.join("7.dat")).unwrap();
    assert!(!run_check(), "a missing object went unnoticed");
}

#[test]
fn the_oldest_pg_restore_follows_from_archive_version_and_codec() {
    for (version, compression, major) in [
        ("1.14", "gzip:6", 12),
        ("1.14", "none", 12),
        ("1.14", "zstd:1", 12),
        ("1.15", "gzip:6", 16),
        ("1.15", "zstd:1", 16),
        ("1.16", "zstd:3", 17),
    ] {
        let source = SourceFacts { archive_version: version.to_owned(), ..facts("x") };
        let kit = Case { source, compression, ..Case::new("s3://b/p") }.render();
        assert!(kit.contains(&format!("**{major} or newer**")), "{version} {compression}");
        let zstd = compression.starts_with("zstd");
        assert_eq!(kit.contains("zstd -d"), zstd, "{version} {compression}");
        assert_eq!(kit.contains("seek=11"), zstd && major >= 16, "{version} {compression}");
    }
}

#[test]
fn tables_that_load_through_a_root_are_counted_there() {
    let tables = vec![
        table("public", "leaf_1", 3, Some("public.root")),
        table("public", "leaf_2", 4, Some("public.root")),
        table("public", "plain", 5, None),
    ];
    let kit = Case { tables, ..Case::new("s3://b/p") }.render();
    assert!(kit.contains("VALUES ('public', 'root', 7, true);"), "{kit}");
    assert!(kit.contains("VALUES ('public', 'plain', 5, false);"));
    assert!(kit.contains("| **all 3 tables** | **12** |"));
}

#[test]
fn what_the_backup_does_not_hold_is_said() {
    let omitted = vec![Omitted {
        kind: "subscription".to_owned(),
        object: "sub_1".to_owned(),
        reason: "the role cannot see it".to_owned(),
    }];
    let kit = Case { omitted, ..Case::new("s3://b/p") }.render();
    assert!(kit.contains("- **subscription**: sub_1 (the role cannot see it)"));
    assert!(kit.contains("**role passwords**"));
}

#[test]
fn a_file_url_becomes_the_path_it_names() {
    let kit = Case::new("file:///var/my%20backups/").render();
    assert!(kit.contains("cp -a '/var/my backups/orders/20261120T020000Z-abcd'/. \"$WORK/\""), "{kit}");
}

/// Step 7 with a pg_restore whose jobs clash, and whose repetitions clash so often. Gives how often it repeated.
fn repetitions(clashes: usize) -> usize {
    let kit = Case::new("file:///x").render();
    let step = blocks(&kit, "sh").into_iter().find(|block| block.contains("restore --section=pre-data")).unwrap();
    let pg_restore = format!(
        r#"case " $* " in
*" -l "*) exit 0 ;;
*/others.list*) ;;
*" --section=post-data "*) echo >> again; [ "$(wc -l < again)" -le {clashes} ] || exit 0 ;;
*) exit 0 ;;
esac
echo 'pg_restore: error: could not execute query: ERROR:  deadlock detected' >&2
exit 1"#
    );
    let folder = tempfile::tempdir().unwrap();
    let tools = [("pg_restore", pg_restore.as_str()), ("psql", "exit 0")];
    let output = run(&format!("WORK=$PWD\nTARGET=t\nJOBS=4\n{step}"), folder.path(), &tools);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let again = fs::read_to_string(folder.path().join("again")).unwrap().lines().count();
    assert_eq!(said.matches("deadlock detected").count(), 1 + clashes.min(again), "every error is shown: {said}");
    again
}

#[test]
fn what_a_deadlock_left_out_is_made_again_while_that_helps() {
    assert_eq!((repetitions(0), repetitions(2), repetitions(100)), (1, 3, 5));
}
