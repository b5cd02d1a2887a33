//! Tests of reading and merging the configuration.

use std::path::Path;

use lifeboat_core::{
    config::{ChannelTo, DatabaseUrl, DigestEvery, EscalateAfter, Origin, ScratchSetting, SecretRef, Span, keys},
    events::Severity,
    maintenance::Operation,
    retention::StorageClass,
};

use super::*;

const WHOLE: &str = r#"
client_tools = "tools/16"
restorer = 16

[store]
url = "s3://acme-lifeboat/pg"
region = "eu-central-1"

[alerts]
topic = "arn:aws:sns:eu-central-1:123456789012:lifeboat-alerts"
reminder = "12h"
escalate_after = "4h"
severity = "info"
digest = "daily"
digest_day = "friday"
digest_hour = 6
contacts = ["Ann, +49 30 1234"]
escalation_contacts = ["Bob"]
per_run = ["orders"]

[alerts.channels.team]
slack = { env = "SLACK_URL" }
databases = ["orders"]

[alerts.channels.pager]
webhook = { routing_key = { secret = "lifeboat/pager", key = "routing_key" } }
severity = "critical"

[alerts.channels.chief]
email = { from = "lifeboat@acme.example", to = ["bob@acme.example"], smtp = { file = "smtp-url" } }
escalation = true

[databases.orders]
url = { env = "ORDERS_URL" }
schedule = "cron(0 2 * * ? *)"
timezone = "Europe/Berlin"
rpo = "26h"
rto = "30m"
jobs = 3
compress = "zstd:3"
chunk_size = "128MiB"

[databases.orders.retention]
daily = { keep = 9 }
weekly = { keep = 4, storage_class = "GLACIER_IR" }
min_good = 3

[databases.orders.drill]
schedule = "cron(0 4 ? * 1#1 *)"
scratch = { server = { env = "SCRATCH_URL" } }
checks = [{ name = "users exist", sql = "SELECT count(*) > 0 FROM users" }]

[databases.billing]
url = "postgres://backup@db.example/billing"
retention = "30-12-12"
"#;

fn read(text: &str) -> Result<Config> {
    file::read(Path::new("/etc/lifeboat/lifeboat.toml"), text)
}

fn error(text: &str) -> (String, String) {
    let error = read(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    (error.to_string(), error.hint().to_owned())
}

#[test]
fn a_whole_file_is_read() {
    let config = read(WHOLE).unwrap();
    let orders = &config.databases[&"orders".parse().unwrap()];
    assert_eq!(config.client_tools.unwrap().value, Path::new("/etc/lifeboat/tools/16"));
    assert_eq!(orders.url.as_ref().unwrap().value, DatabaseUrl::Env("ORDERS_URL".to_owned()));
    assert_eq!(orders.rpo.as_ref().unwrap().value.0, 93_600);
    assert_eq!(orders.compress.value.to_string(), "zstd:3");
    assert_eq!(orders.compress.origin, Origin::File { line: 40 });
    let policy = orders.retention.policy();
    assert_eq!((policy.daily.keep, policy.daily.storage_class), (Some(9), None));
    assert_eq!(policy.weekly.storage_class, Some(StorageClass::GlacierIr));
    assert_eq!(policy.monthly.keep, Some(6));
    assert_eq!(orders.retention.min_good.value, 3);
    assert_eq!(orders.drill.scratch.value, ScratchSetting::Server(DatabaseUrl::Env("SCRATCH_URL".to_owned())));
    assert_eq!(orders.drill.checks.value[0].name, "users exist");
    let billing = &config.databases[&"billing".parse().unwrap()];
    let policy = billing.retention.policy();
    assert_eq!((policy.daily.keep, policy.monthly.keep), (Some(30), Some(12)));
    assert_eq!(billing.jobs.origin, Origin::Default);
}

#[test]
fn a_database_may_be_named_by_a_secret_or_log_in_by_iam() {
    let url = |text: &str| {
        let config = read(&format!("[databases.a]\nurl = {text}\n")).unwrap();
        config.databases.into_values().next().unwrap().url.unwrap().value
    };
    let secret = |server: Option<&str>| DatabaseUrl::Secret {
        name: "orders/backup".to_owned(),
        server: server.map(str::to_owned),
    };
    assert_eq!(url("{ secret = 'orders/backup' }"), secret(None));
    let server = "postgres://db.example:5432/orders?sslrootcert=/ca.pem";
    assert_eq!(url(&format!("{{ secret = 'orders/backup', server = '{server}' }}")), secret(Some(server)));
    let iam = "postgres://backup@orders.abc.eu-central-1.rds.amazonaws.com:5432/orders";
    assert_eq!(url(&format!("{{ rds_iam = '{iam}' }}")), DatabaseUrl::RdsIam(iam.to_owned()));
    for (text, part) in [
        ("{ secret = 'x', env = 'Y' }", "exactly one of env, file, secret and rds_iam"),
        ("{ env = 'Y', server = 'postgres://h/d' }", "server belongs beside secret only"),
        ("{ secret = 'x', server = 'postgres://ann:hunter2@h/d' }", "names a user"),
        ("{ secret = 'x', server = 'postgres://h/d?password=hunter2' }", "must not hold a password"),
        ("{ rds_iam = 'postgres://ann:hunter2@h/d' }", "contains a password"),
        ("{ rds_iam = 'env:IAM_URL' }", "the URL itself"),
    ] {
        let (message, hint) = error(&format!("[databases.a]\nurl = {text}\n"));
        assert!(message.contains(part), "{text}: {message}");
        assert!(!format!("{message}{hint}").contains("hunter2"), "{message} {hint}");
    }
}

#[test]
fn bus_and_certificates_are_settings_of_the_whole() {
    let config = read("[events]\nbus = 'lifeboat'\n[tls]\nroot_cert = 'global-bundle.pem'\n").unwrap();
    assert_eq!(config.bus.as_ref().unwrap().value, "lifeboat");
    assert_eq!(config.root_cert.as_ref().unwrap().value, Path::new("/etc/lifeboat/global-bundle.pem"));
    let rows = config.in_force();
    assert!(rows.iter().any(|r| r.key == "events.bus" && r.value == "lifeboat" && r.origin == "file, line 2"));
    assert!(rows.iter().any(|r| r.key == "tls.root_cert"));
    let mut config = config;
    lay_environment(&mut config, &Environment::of([("LIFEBOAT_EVENT_BUS", "other")])).unwrap();
    assert_eq!(config.bus.unwrap().value, "other");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
    for (text, line, near) in [
        ("[stroe]\nurl = 'file:///x'\n", "line 1", "store"),
        ("[store]\nurl = 'file:///x'\nregoin = 'x'\n", "line 3", "region"),
        ("[databases.a]\ntime_zone = 'UTC'\n", "line 2", "timezone"),
        ("[databases.a.retention]\n\ndaly = { keep = 1 }\n", "line 3", "daily"),
        ("[databases.a.retention]\nweekly = { kep = 1 }\n", "line 2", "keep"),
        ("[databases.a]\nurl = { evn = 'X' }\n", "line 2", "env"),
    ] {
        let (message, hint) = error(text);
        assert!(message.contains("lifeboat.toml") && message.contains(line), "{message}");
        assert!(hint.contains(&format!("did you mean '{near}'")), "{text}: {hint}");
    }
    let (message, hint) = error("[wardrobe]\ncolour = 'red'\n");
    assert!(message.contains("'wardrobe'") && hint.contains("databases"), "{message} {hint}");
}

#[test]
fn wrong_values_are_refused_with_their_line() {
    for (text, part) in [
        ("[databases.a]\nrpo = '26'\n", "line 2: databases.a.rpo"),
        ("[databases.a]\nrto = 30\n", "expected a text, found a number"),
        ("[databases.a]\njobs = 0\n", "from 1 to 64"),
        ("[databases.a]\njobs = '4'\n", "from 1 to 64"),
        ("[databases.a]\nchunk_size = '1KiB'\n", "from 1MiB"),
        ("[databases.a]\ncompress = 'lz4'\n", "no compression"),
        ("[databases.a]\ntimezone = 'Berlin'\n", "not a time zone"),
        ("[databases.a]\nschedule = '0 2 * * *'\n", "not a schedule"),
        ("[databases.a]\nretention = '7-5'\n", "is not a retention preset"),
        ("[databases.a.retention]\nweekly = { storage_class = 'GLACER' }\n", "storage_class"),
        ("[databases.a]\nrunner = 'ecs'\n", "none of lambda, fargate and auto"),
        ("[databases.latest]\n", "reserved word"),
        ("[databases.Orders]\n", "cannot name a database"),
        ("[store]\nurl = '/var/backups'\n", "store.url"),
        ("restorer = 3\n", "line 1: restorer"),
        ("store = 'file:///x'\n", "expected a table"),
        ("[store\n", "line 1"),
    ] {
        let (message, _) = error(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn a_password_in_the_file_is_refused_and_not_repeated() {
    let (message, hint) = error("[databases.a]\nurl = 'postgres://ann:hunter2@db/orders'\n");
    assert!(message.contains("line 2") && hint.contains("env:NAME"));
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn flags_beat_the_environment_and_the_environment_beats_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lifeboat.toml");
    std::fs::write(&path, "[store]\nurl = 'file:///of/file'\n").unwrap();
    let file_only = Environment::of([("LIFEBOAT_CONFIG", path.to_str().unwrap())]);
    let with_store =
        Environment::of([("LIFEBOAT_CONFIG", path.to_str().unwrap()), ("LIFEBOAT_STORE", "file:///of/environment")]);
    let flags = Flags { store: Some("file:///of/flag".to_owned()), ..Flags::default() };
    for (flags, environment, url, origin) in [
        (&Flags::default(), &file_only, "file:///of/file", Origin::File { line: 2 }),
        (&Flags::default(), &with_store, "file:///of/environment", Origin::Environment("LIFEBOAT_STORE")),
        (&flags, &with_store, "file:///of/flag", Origin::Flag("--store")),
    ] {
        let store = load(flags, environment).unwrap().store.unwrap();
        assert_eq!((store.value.as_str(), store.origin), (url, origin));
    }
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let environment = Environment::of([("LIFEBOAT_CONFIG", "/nowhere/lifeboat.toml")]);
    let error = load(&Flags::default(), &environment).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("/nowhere/lifeboat.toml"));
}

#[test]
fn the_restorer_chooses_the_codec_unless_one_is_written() {
    let codec = |text: &str| read(text).unwrap().databases.into_values().next().unwrap().compress.value.to_string();
    assert_eq!(codec("[databases.a]\n"), "zstd:1");
    assert_eq!(codec("restorer = 15\n[databases.a]\n"), "gzip:1");
    assert_eq!(codec("restorer = 16\n[databases.a]\n"), "zstd:1");
    let (message, hint) = error("restorer = 15\n[databases.a]\ncompress = 'zstd'\n");
    assert!(message.contains("restorer") && hint.contains("gzip"), "{message} {hint}");
}

#[test]
fn everything_in_force_is_told_with_its_origin() {
    let config = read(WHOLE).unwrap();
    let rows = config.in_force();
    let find = |key: &str| rows.iter().find(|r| r.key == key).unwrap();
    assert_eq!(find("databases.orders.jobs").origin, "file, line 39");
    assert_eq!(find("databases.billing.jobs").origin, "default");
    assert_eq!(find("databases.billing.retention.daily.keep").origin, "from preset");
    assert_eq!(find("control_store.url").value, "s3://acme-lifeboat/pg/.control");
    assert_eq!(find("databases.orders.url").value, serde_json::json!({ "env": "ORDERS_URL" }));
    // Whatever can be written is told.
    for key in keys::DATABASE.keys.iter().filter(|k| !matches!(**k, "retention" | "drill" | "health" | "maintenance")) {
        find(&format!("databases.orders.{key}"));
    }
    for (name, section) in [("drill", keys::DRILL), ("maintenance", keys::MAINTENANCE)] {
        for key in section.keys {
            find(&format!("databases.orders.{name}.{key}"));
        }
    }
}

#[test]
fn alerts_and_their_channels_are_read() {
    let alerts = read(WHOLE).unwrap().alerts;
    assert_eq!((alerts.reminder.value, alerts.escalate_after.value), (Span(43_200), EscalateAfter(Some(Span(14_400)))));
    assert_eq!((alerts.severity.value, alerts.digest.value), (Severity::Info, DigestEvery::Daily));
    let to = |name: &str| alerts.channels[name].to.value.clone();
    assert_eq!(to("team"), ChannelTo::Slack { url: SecretRef::Env("SLACK_URL".to_owned()) });
    let key = SecretRef::Secret { name: "lifeboat/pager".to_owned(), key: Some("routing_key".to_owned()) };
    assert_eq!(to("pager"), ChannelTo::Webhook { url: None, routing_key: Some(key) });
    let smtp = Some(SecretRef::File("/etc/lifeboat/smtp-url".into()));
    let (from, addressees) = ("lifeboat@acme.example".to_owned(), vec!["bob@acme.example".to_owned()]);
    assert_eq!(to("chief"), ChannelTo::Email { from, to: addressees, smtp });
    assert!(alerts.channels["chief"].escalation.value);
    assert_eq!(alerts.channels["team"].databases.value, ["orders".parse().unwrap()]);
    let rows = read(WHOLE).unwrap().in_force();
    for key in keys::ALERTS.keys.iter().filter(|key| **key != "channels") {
        assert!(rows.iter().any(|row| row.key == format!("alerts.{key}")), "{key}");
    }
    let pager = rows.iter().find(|row| row.key == "alerts.channels.pager.webhook").unwrap();
    assert_eq!(pager.value["routing_key"], serde_json::json!({ "secret": "lifeboat/pager", "key": "routing_key" }));
}

#[test]
fn alerts_that_make_no_sense_are_refused_with_the_way_out() {
    for (text, told, hinted) in [
        ("[alerts]\ntopic = 'lifeboat'\n", "not the ARN", "arn:aws:sns"),
        ("[alerts]\nremindr = '1h'\n", "remindr", "did you mean 'reminder'"),
        ("[alerts]\ndigest = 'hourly'\n", "none of weekly", ""),
        ("[alerts]\nescalate_after = 'soon'\n", "not a duration", ""),
        ("[alerts.channels.team]\nslack = 'https://hooks.slack.com/x'\n", "must not stand in the file", "env"),
        ("[alerts.channels.team]\nseverity = 'info'\n", "exactly one of slack", "slack ="),
        (
            "[alerts.channels.team]\nslack = { env = 'A' }\nemail = { from = 'a@b' }\n",
            "exactly one of slack",
            "slack =",
        ),
        ("[alerts.channels.pager]\nwebhook = {}\n", "needs a routing_key", "routing_key"),
        ("[alerts.channels.mail]\nemail = { from = 'a@b', to = ['c@d'] }\n", "exactly one of smtp", "smtp"),
        ("[alerts.channels.mail]\nemail = { from = 'a@b', to = ['c'], ses = true }\n", "'c' is not a mail address", ""),
        ("[alerts.channels.'A b']\nslack = { env = 'A' }\n", "cannot name a channel", "a-z"),
    ] {
        let (message, hint) = error(text);
        assert!(message.contains(told) && hint.contains(hinted), "{text}: {message} ({hint})");
        assert!(!message.contains("hooks.slack.com"), "{message}");
    }
}

#[test]
fn every_key_and_variable_is_documented() {
    let documentation = include_str!("../../../../docs/CONFIG.md");
    for section in keys::SECTIONS.iter().filter(|s| !matches!(s.path, "url" | "secret" | "health")) {
        for key in section.keys {
            let full = if section.path.is_empty() { (*key).to_owned() } else { format!("{}.{key}", section.path) };
            assert!(documentation.contains(&format!("`{full}`")), "docs/CONFIG.md does not tell of {full}");
        }
    }
    for (name, _) in VARIABLES {
        assert!(documentation.contains(&format!("`{name}`")), "docs/CONFIG.md does not tell of {name}");
    }
}

#[test]
fn every_error_kind_is_documented_with_its_exit_code() {
    use lifeboat_core::ErrorKind::{
        AlreadyExists, AlreadyRunning, ClientTool, Config, Corrupt, Database, Deadline, FleetPartial, Interrupted,
        Keys, NotFound, ObjectiveMissed, Refused, SnapshotLost, Store, Unexpected, Usage,
    };
    let documentation = include_str!("../../../../docs/ERRORS.md");
    for kind in [
        Usage,
        Config,
        ClientTool,
        Database,
        SnapshotLost,
        Keys,
        Store,
        NotFound,
        AlreadyExists,
        Corrupt,
        ObjectiveMissed,
        Refused,
        Deadline,
        FleetPartial,
        AlreadyRunning,
        Interrupted,
        Unexpected,
    ] {
        let name = kind.name();
        assert!(documentation.contains(&format!("| `{name}` |")), "docs/ERRORS.md does not tell of {name}");
        let row = documentation.lines().find(|l| l.starts_with(&format!("| {} |", kind.exit_code())));
        assert!(row.is_some_and(|r| r.contains(&format!("`{name}`"))), "exit code of {name}");
    }
}

#[test]
fn maintenance_is_read_with_limits_and_without_what_shuts_the_application_out() {
    let text = "[databases.orders.maintenance]\nschedule = 'cron(0 3 ? * SUN *)'\noperations = ['reindex', 'vacuum']\n\
                time_budget = '1h'\nlock_timeout = '5s'\nattempts = 1\ncost_delay_ms = 0\nbloat_least = '1GiB'\n\
                unused_index_after = '90d'\n";
    let config = read(text).unwrap().databases.remove(&"orders".parse().unwrap()).unwrap().maintenance;
    let (limits, thresholds) = (config.limits(), config.thresholds());
    assert_eq!(config.operations.value, [Operation::Reindex, Operation::Vacuum]);
    assert_eq!((limits.time_budget_seconds, limits.lock_timeout_seconds, limits.attempts), (3600, 5, 1));
    assert_eq!((limits.cost_delay_ms, limits.cost_limit, limits.parallel), (0, 200, 0));
    assert_eq!((thresholds.bloat_least_bytes, thresholds.bloat_percent), (1 << 30, 30));
    assert_eq!(thresholds.unused_index_after_seconds, 90 * 86_400);
    assert_eq!(config.attempts.origin, Origin::File { line: 6 });
    for (line, says, hint) in [
        ("operations = ['full']", "never done by a schedule", "--full --table"),
        ("operations = ['vaccum']", "'vaccum' is not an operation", "did you mean 'vacuum'?"),
        ("operations = ['vacuum', 'vacuum']", "names vacuum twice", ""),
        ("operations = 'vacuum'", "expected a list", "vacuum, analyze, reindex"),
        ("lock_timeout = '2m'", "must be from 1s to 1m", ""),
        ("attempts = 0", "from 1 to 20", ""),
        ("budget = '1h'", "'budget' is not a key", "time_budget"),
    ] {
        let (message, told) = error(&format!("[databases.orders.maintenance]\n{line}\n"));
        assert!(message.contains("line 2") && message.contains(says), "{message}");
        assert!(told.contains(hint), "{told}");
    }
}
