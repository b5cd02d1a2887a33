//! Reads `[deploy]`.

use lifeboat_core::{
    Result,
    config::{DeployConfig, LOG_RETENTION_DAYS, Replica, Schedule, Setting, Vpc, keys},
};

use super::{
    alerts::{flag, texts},
    section::Section,
};

/// The alarms of the dead man's switch count on figures that come at least once an hour.
const LONGEST_HEALTH_PAUSE: u64 = 3600;

pub(super) fn read(top: &Section<'_>) -> Result<DeployConfig> {
    let mut config = DeployConfig::default();
    let Some(section) = top.section("deploy", keys::DEPLOY)? else { return Ok(config) };
    config.name =
        matching(&section, "name", is_name, "is 2 to 20 of a-z, 0-9 and '-', a letter first")?.unwrap_or(config.name);
    config.region = matching(&section, "region", is_region, "is an AWS region such as eu-central-1")?;
    config.account = matching(&section, "account", is_account, "is the twelve digits of an AWS account")?;
    config.architecture = section.parsed("architecture")?.unwrap_or(config.architecture);
    config.object_lock = section.parsed("object_lock")?.unwrap_or(config.object_lock);
    config.vpc = vpc(&section)?;
    config.vpc_endpoints = flag(&section, "vpc_endpoints")?.unwrap_or(config.vpc_endpoints);
    config.replica = replica(&section, config.region.as_ref())?;
    config.fargate_image =
        matching(&section, "fargate_image", is_in_ecr, "lies in ECR: the network of drills reaches nothing else")?;
    config.log_retention_days = section.number("log_retention_days", 1, 3653)?.unwrap_or(config.log_retention_days);
    config.reserved_concurrency = section.number("reserved_concurrency", 1, 1000)?;
    config.emails = texts(&section, "emails")?.unwrap_or(config.emails);
    config.fleet_from = section.number("fleet_from", 1, 100)?.unwrap_or(config.fleet_from);
    config.fleet_concurrency = section.number("fleet_concurrency", 1, 1000)?.unwrap_or(config.fleet_concurrency);
    config.verify_schedule = section.parsed("verify_schedule")?.unwrap_or(config.verify_schedule);
    config.retention_schedule = section.parsed("retention_schedule")?.unwrap_or(config.retention_schedule);
    config.health_schedule = section.parsed::<Schedule>("health_schedule")?.unwrap_or(config.health_schedule);
    check(&section, &config)?;
    Ok(config)
}

/// What no single key shows.
fn check(section: &Section<'_>, config: &DeployConfig) -> Result<()> {
    if let Some(value) = section.value("health_schedule")
        && config.health_schedule.value.longest_pause_seconds() > LONGEST_HEALTH_PAUSE
    {
        return Err(section.wrong("health_schedule", value, "leaves more than an hour between two looks").with_hint(
            "the alarms take three hours without a figure for an outage: write rate(1 hour) or more often",
        ));
    }
    if let Some(value) = section.value("log_retention_days")
        && !LOG_RETENTION_DAYS.contains(&config.log_retention_days.value)
    {
        let days = LOG_RETENTION_DAYS.map(|days| days.to_string()).join(", ");
        return Err(section
            .wrong("log_retention_days", value, "is not a time for which CloudWatch keeps logs")
            .with_hint(format!("write one of {days}")));
    }
    if let Some(value) = section.value("emails")
        && let Some(strange) = config.emails.value.iter().find(|address| !address.contains('@'))
    {
        return Err(section.wrong("emails", value, format!("'{strange}' is not a mail address")));
    }
    match section.value("vpc_endpoints") {
        Some(value) if config.vpc_endpoints.value && config.vpc.is_none() => Err(section
            .wrong("vpc_endpoints", value, "needs the network they are made in")
            .with_hint("write vpc = { id = \"vpc-…\", subnets = [\"subnet-…\"], … }")),
        _ => Ok(()),
    }
}

fn matching(section: &Section<'_>, key: &str, fits: fn(&str) -> bool, is: &str) -> Result<Option<Setting<String>>> {
    match (section.text(key)?, section.value(key)) {
        (Some(text), Some(value)) if !fits(&text.value) => {
            Err(section.wrong(key, value, format!("'{}' cannot be it: {key} {is}", text.value)))
        }
        (text, _) => Ok(text),
    }
}

fn is_name(text: &str) -> bool {
    (2..=20).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() >= 3
        && parts.iter().all(|part| !part.is_empty())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && text.ends_with(|c: char| c.is_ascii_digit())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `123456789012.dkr.ecr.eu-central-1.amazonaws.com/lifeboat:1`
fn is_in_ecr(text: &str) -> bool {
    let Some((account, rest)) = text.split_once(".dkr.ecr.") else { return false };
    let Some((region, name)) = rest.split_once(".amazonaws.com/") else { return false };
    is_account(account) && is_region(region) && !name.is_empty()
}

fn vpc(section: &Section<'_>) -> Result<Option<Setting<Vpc>>> {
    let (Some(inner), Some(value)) = (section.section("vpc", keys::VPC)?, section.value("vpc")) else {
        return Ok(None);
    };
    let wrong = |message: String| section.wrong("vpc", value, message);
    let id = inner.text("id")?.map(|id| id.value).filter(|id| id.starts_with("vpc-"));
    let id = id.ok_or_else(|| wrong("needs id = \"vpc-…\"".to_owned()))?;
    let list = |key: &str, start: &str| -> Result<Vec<String>> {
        let found = texts(&inner, key)?.map(|list| list.value).unwrap_or_default();
        match found.iter().find(|text| !text.starts_with(start)) {
            Some(strange) => Err(wrong(format!("{key}: '{strange}' does not begin with {start}"))),
            None => Ok(found),
        }
    };
    let vpc = Vpc {
        subnets: list("subnets", "subnet-")?,
        security_groups: list("security_groups", "sg-")?,
        availability_zones: list("availability_zones", "")?,
        route_tables: list("route_tables", "rtb-")?,
        id,
    };
    if vpc.subnets.is_empty() || vpc.subnets.len() != vpc.availability_zones.len() {
        return Err(wrong("needs subnets, and the zone of each in availability_zones, in the same order".to_owned())
            .with_hint("nothing is looked up in the account: the template can be made without credentials"));
    }
    Ok(Some(Setting::new(vpc, section.source.origin(&value.span()))))
}

fn replica(section: &Section<'_>, home: Option<&Setting<String>>) -> Result<Option<Setting<Replica>>> {
    let (Some(inner), Some(value)) = (section.section("replica", keys::REPLICA)?, section.value("replica")) else {
        return Ok(None);
    };
    let wrong = |message: &str| section.wrong("replica", value, message);
    let text = |key: &str| -> Result<Option<String>> { Ok(inner.text(key)?.map(|text| text.value)) };
    let region = text("region")?.filter(|region| is_region(region)).ok_or_else(|| wrong("needs a region"))?;
    let replica = Replica { region, bucket: text("bucket")?, account: text("account")?, kms_key: text("kms_key")? };
    if replica.account.as_ref().is_some_and(|account| !is_account(account)) {
        return Err(wrong("account is the twelve digits of an AWS account"));
    }
    match (&replica.bucket, &replica.account, &replica.kms_key, home) {
        (None, None, None, None) => Err(wrong("needs deploy.region: what lies where must be known beforehand")),
        (None, None, None, Some(home)) if home.value == replica.region => {
            Err(wrong("lies in the region that it is to outlive").with_hint("name another region"))
        }
        (None, None, None, Some(_)) | (Some(_), _, Some(_), _) => {
            Ok(Some(Setting::new(replica, section.source.origin(&value.span()))))
        }
        (Some(_), _, None, _) => Err(wrong("needs kms_key, the ARN of the key of that bucket")),
        (None, ..) => Err(wrong("needs the bucket in that account")
            .with_hint("only in this account can a bucket be made; leave account and kms_key out for that")),
    }
}
