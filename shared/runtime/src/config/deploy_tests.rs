//! Tests of reading `[deploy]`, and of what the alarms are derived from.

use std::path::Path;

use lifeboat_core::config::{Architecture, Config, ObjectLock, keys};
use serde_json::{Value, json};

use super::{Result, file};

fn read(text: &str) -> Result<Config> {
    file::read(Path::new("/etc/lifeboat/lifeboat.toml"), text)
}

const WHOLE: &str = r#"
[deploy]
name = "acme"
region = "eu-central-1"
account = "123456789012"
architecture = "x86_64"
object_lock = "governance"
vpc_endpoints = true
fargate_image = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/lifeboat:1"
log_retention_days = 90
reserved_concurrency = 5
emails = ["ops@acme.example"]
fleet_from = 10
fleet_concurrency = 50
verify_schedule = "rate(7 days)"
retention_schedule = "rate(1 day)"
health_schedule = "rate(30 minutes)"
replica = { region = "eu-west-1" }

[deploy.vpc]
id = "vpc-1"
subnets = ["subnet-1", "subnet-2"]
availability_zones = ["eu-central-1a", "eu-central-1b"]
"#;

fn told(config: &Config, key: &str) -> (Value, String) {
    let row = config.in_force().into_iter().find(|row| row.key == key);
    row.map_or_else(|| panic!("{key} is not told"), |row| (row.value, row.origin))
}

#[test]
fn a_whole_deployment_is_read_and_told() {
    let config = read(WHOLE).unwrap();
    let deploy = &config.deploy;
    assert_eq!((deploy.name.value.as_str(), deploy.architecture.value), ("acme", Architecture::X86));
    assert_eq!(deploy.object_lock.value, ObjectLock::Governance);
    let vpc = &deploy.vpc.as_ref().unwrap().value;
    assert_eq!((vpc.subnets.len(), vpc.security_groups.len()), (2, 0));
    assert_eq!(deploy.replica.as_ref().unwrap().value.region, "eu-west-1");
    for key in keys::DEPLOY.keys {
        let (value, origin) = told(&config, &format!("deploy.{key}"));
        assert!(!value.is_null() && origin.starts_with("file, line"), "{key}: {value} ({origin})");
    }
}

#[test]
fn without_a_section_the_defaults_are_in_force() {
    let config = read("").unwrap();
    for (key, value) in [
        ("deploy.name", json!("lifeboat")),
        ("deploy.architecture", json!("arm64")),
        ("deploy.object_lock", json!("off")),
        ("deploy.fleet_from", json!(25)),
        ("deploy.vpc", Value::Null),
        ("deploy.health_schedule", json!("rate(1 hour)")),
    ] {
        assert_eq!(told(&config, key), (value, "default".to_owned()), "{key}");
    }
    // What is not read from a file is not checked either: the defaults must hold by themselves.
    let deploy = read("").unwrap().deploy;
    for schedule in [deploy.verify_schedule, deploy.retention_schedule, deploy.health_schedule] {
        schedule.value.as_str().parse::<lifeboat_core::config::Schedule>().unwrap();
    }
}

#[test]
fn what_cannot_be_deployed_is_refused_with_the_way_out() {
    for (line, message, hint) in [
        ("nam = 'x'", "'nam' is not a key", "did you mean 'name'"),
        ("name = 'Lifeboat'", "'Lifeboat' cannot be it", ""),
        ("name = 'a-name-that-is-far-too-long'", "2 to 20", ""),
        ("region = 'Frankfurt'", "an AWS region", ""),
        ("account = '1234'", "twelve digits", ""),
        ("architecture = 'arm'", "none of arm64, x86_64", ""),
        ("object_lock = true", "expected a text", ""),
        ("log_retention_days = 100", "not a time for which", "120"),
        ("emails = ['ops']", "'ops' is not a mail address", ""),
        ("fargate_image = 'docker.io/acme/lifeboat:1'", "lies in ECR", ""),
        ("vpc_endpoints = true", "needs the network", "vpc ="),
        ("health_schedule = 'rate(2 hours)'", "more than an hour", "rate(1 hour)"),
        ("vpc = { id = 'my-vpc' }", "needs id", ""),
        ("vpc = { id = 'vpc-1', subnets = ['subnet-1'] }", "availability_zones", "looked up"),
        ("vpc = { id = 'vpc-1', subnets = ['x'], availability_zones = ['a'] }", "'x' does not begin with subnet-", ""),
        ("replica = { region = 'eu-west-1' }", "needs deploy.region", ""),
        ("region = 'eu-west-1'\nreplica = { region = 'eu-west-1' }", "it is to outlive", "another region"),
        ("replica = { region = 'eu-west-1', bucket = 'b' }", "needs kms_key", ""),
        ("replica = { region = 'eu-west-1', account = '123456789012' }", "needs the bucket", "leave account"),
    ] {
        let error = read(&format!("[deploy]\n{line}\n")).unwrap_err();
        assert!(error.to_string().contains(message), "{line}: {error}");
        assert!(error.hint().contains(hint), "{line}: {}", error.hint());
    }
}

#[test]
fn alarms_follow_from_objectives_and_schedules() {
    let config = read(
        "[databases.a]\nrpo = '26h'\nschedule = 'rate(1 day)'\n[databases.a.drill]\nschedule = 'cron(0 4 ? * 1#1 *)'\n
[databases.b]\nschedule = 'rate(1 day)'\n[databases.b.health]\nbackup_age = '2d'\n[databases.c]\n",
    )
    .unwrap();
    let of = |key: &str| told(&config, &format!("databases.{key}"));
    assert_eq!(of("a.alarms.backup_age_seconds"), (json!(26 * 3600), "from rpo".to_owned()));
    assert_eq!(of("a.alarms.drill_age_seconds"), (json!(35 * 86_400 + 3 * 3600), "from drill.schedule".to_owned()));
    assert_eq!(of("b.alarms.backup_age_seconds"), (json!(2 * 86_400), "from health.backup_age".to_owned()));
    assert_eq!(of("b.alarms.drill_age_seconds").0, Value::Null);
    assert_eq!(of("c.alarms.backup_age_seconds").0, Value::Null);
}
