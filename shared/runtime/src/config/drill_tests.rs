//! Tests of reading `[databases.<name>.drill]` and where drills restore.

use std::path::Path;

use lifeboat_core::config::{Config, RdsScratch, ScratchSetting, Span};

use super::{Result, file};

fn read(text: &str) -> Result<Config> {
    file::read(Path::new("lifeboat.toml"), text)
}

#[test]
fn an_instance_for_drills_is_read_and_what_is_not_given_has_its_default() {
    let scratch = |text: &str| {
        let text = format!("[databases.a.drill]\nscratch = {{ rds = {{ {text} }} }}\n");
        match read(&text).unwrap().databases.into_values().next().unwrap().drill.scratch.value {
            ScratchSetting::Rds(rds) => *rds,
            other => panic!("{other}"),
        }
    };
    assert_eq!(scratch("class = 'db.t4g.medium'"), RdsScratch::of_class("db.t4g.medium"));
    let whole = scratch(
        "class = 'db.m7g.large', storage_gb = 200, engine_version = '16.4', parameter_group = 'drills', \
         subnet_group = 'isolated', security_groups = ['sg-1'], kms_key = 'alias/drills', ttl = '3h', available_within = '40m'",
    );
    assert_eq!((whole.storage_gb, whole.engine_version.as_deref()), (Some(200), Some("16.4")));
    assert_eq!(
        (whole.subnet_group.as_deref(), whole.security_groups.as_slice()),
        (Some("isolated"), ["sg-1".to_owned()].as_slice())
    );
    assert_eq!(
        (whole.times.ttl, whole.times.available_within, whole.times.look_every),
        (Span(10_800), Span(2400), Span(30))
    );
}

#[test]
fn an_unknown_key_of_drills_is_refused_with_the_nearest_key() {
    for (text, near) in [
        ("[databases.a.drill]\nselekt = 'latest'\n", "select"),
        ("[databases.a.drill]\nchecks = [{ nam = 'x', sql = 'y' }]\n", "name"),
        (
            "[databases.a.drill]\nscratch = { rds = { class = 'db.x', restore_test_plan = 'y' } }\n",
            "restore_testing_plan",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(error.hint().contains(&format!("did you mean '{near}'")), "{text}: {}", error.hint());
    }
}

#[test]
fn wrong_values_of_drills_are_refused() {
    for (text, part) in [
        ("[databases.a.drill]\nselect = 'newest'\n", "databases.a.drill.select"),
        ("[databases.a.drill]\nscratch = 'remote'\n", "not a scratch target"),
        ("[databases.a.drill]\nscratch = { rds = { } }\n", "class: is missing"),
        ("[databases.a.drill]\nscratch = { rds = { class = 't4g.medium' } }\n", "not a class of instances"),
        ("[databases.a.drill]\nscratch = { rds = { class = 'db.x', storage_gb = 5 } }\n", "from 20 to 65536"),
        ("[databases.a.drill]\nscratch = { rds = { class = 'db.x', engine_version = 'new' } }\n", "is not a version"),
        (
            "[databases.a.drill]\nscratch = { rds = { class = 'db.x', ttl = '1h' } }\n",
            "available_within: must be shorter",
        ),
        (
            "[databases.a.drill]\nscratch = { rds = { class = 'db.x', security_groups = ['default'] } }\n",
            "a list of ids",
        ),
        (
            "[databases.a.drill]\nscratch = { server = { env = 'X' }, rds = { class = 'db.x' } }\n",
            "both a server and rds",
        ),
        (
            "[databases.a]\nrunner = 'auto'\n[databases.a.drill]\nscratch = { rds = { class = 'db.t4g.medium', ttl = '25h' } }\n",
            "the instance lives for 1d1h, and a drill on Fargate may take longer",
        ),
        (
            "[databases.a.drill]\nscratch = { rds = { class = 'db.x', restore_testing_plan = 'weekly' } }\n",
            "restore_testing_plan: needs source_instance",
        ),
        (
            "[databases.a.drill]\nscratch = { rds = { class = 'db.x', source_instance = 'b', restore_testing_plan = 'a b' } }\n",
            "neither the name nor the ARN of a restore testing plan",
        ),
    ] {
        let message = read(text).unwrap_err().to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn a_restore_testing_plan_is_named_as_aws_backup_does() {
    let arn = "arn:aws:backup:eu-central-1:123456789012:restore-testing-plan:weekly-9d0c1f6e";
    for plan in ["weekly", "Weekly_2", arn] {
        let rds = format!("class = 'db.x', source_instance = 'orders', restore_testing_plan = '{plan}'");
        let config = read(&format!("[databases.a.drill]\nscratch = {{ rds = {{ {rds} }} }}\n")).unwrap();
        let row = config.in_force().into_iter().find(|row| row.key == "databases.a.drill.scratch").unwrap();
        assert_eq!(row.value["rds"]["restore_testing_plan"], plan);
    }
}
