//! Tests of reading `[health]`, of all databases and of each.

use std::path::Path;

use lifeboat_core::config::Config;

use super::{Result, file};

fn read(text: &str) -> Result<Config> {
    file::read(Path::new("/etc/lifeboat/lifeboat.toml"), text)
}

/// Message and hint.
fn error(text: &str) -> (String, String) {
    let error = read(text).unwrap_err();
    (error.to_string(), error.hint().to_owned())
}

#[test]
fn thresholds_of_health_are_set_for_all_databases_and_for_each() {
    let config = read(
        "[health]\nbackup_age = '2d'\nslot_wal = '4GiB'\ndisk_free_percent = 20\nignore = ['size_changed']\n
[databases.a]\n[databases.b.health]\nslot_wal = '8GiB'\nignore = []\n",
    )
    .unwrap();
    let of = |name: &str| &config.databases[&name.parse().unwrap()].health;
    let (a, b) = (of("a"), of("b"));
    assert_eq!((a.thresholds.backup_age.0, a.thresholds.slot_wal.0), (2 * 86_400, 4 << 30));
    assert_eq!((b.thresholds.backup_age.0, b.thresholds.slot_wal.0), (2 * 86_400, 8 << 30));
    assert_eq!((b.thresholds.disk_free_percent, b.thresholds.long_transaction.0), (20, 3600));
    assert_eq!((a.ignore.as_slice(), b.ignore.as_slice()), (["size_changed".to_owned()].as_slice(), [].as_slice()));
    let rows = config.in_force();
    let origin = |key: &str| rows.iter().find(|r| r.key == key).unwrap().origin.clone();
    assert_eq!(origin("databases.a.health.backup_age"), "file, line 2");
    assert_eq!(origin("databases.b.health.slot_wal"), "file, line 9");
    assert_eq!(origin("databases.b.health.run_age"), "default");
    for (text, part, hint) in [
        ("[health]\nbackup_agee = '1d'\n", "'backup_agee' is not a key", "did you mean 'backup_age'"),
        ("[health]\nbackup_age = 3\n", "expected a text", ""),
        ("[databases.a.health]\ndisk_free_percent = 101\n", "from 1 to 100", ""),
        (
            "[health]\nignore = ['size_change']\n",
            "'size_change' is not the name of a finding",
            "did you mean 'size_changed'",
        ),
        ("[health]\nignore = 'size_changed'\n", "expected a list", ""),
    ] {
        let (message, said) = error(text);
        assert!(message.contains(part) && said.contains(hint), "{text}: {message} {said}");
    }
}
