//! Reads where drills restore: `"local"`, `{ server = … }` or `{ rds = { … } }`.

use std::path::Path;

use lifeboat_core::{
    Result,
    config::{InstanceTimes, RdsScratch, ScratchSetting, Setting, Span, keys},
};
use toml::{Spanned, de::DeValue};

use super::{file, section::Section};

/// From a minute on: an instance takes longer than that to come and go.
const SHORTEST_LIFE: u64 = 600;
const LONGEST_LIFE: u64 = 7 * 86_400;
/// The storage that RDS offers: GiB of gp3.
const STORAGE: (u32, u32) = (20, 65_536);

const FORMS: &str =
    "write \"local\", { server = { env = \"SCRATCH_URL\" } } or { rds = { class = \"db.t4g.medium\" } }";

pub(super) fn read<'a>(
    section: &Section<'a>,
    value: &'a Spanned<DeValue<'a>>,
    times: InstanceTimes,
    folder: &Path,
) -> Result<Setting<ScratchSetting>> {
    let origin = section.source.origin(&value.span());
    if let Some(text) = value.get_ref().as_str() {
        if text == "local" {
            return Ok(Setting::new(ScratchSetting::Local, origin));
        }
        return Err(section.wrong("scratch", value, format!("'{text}' is not a scratch target")).with_hint(FORMS));
    }
    let Some(inner) = section.section("scratch", keys::SCRATCH)? else {
        return Err(section.wrong("scratch", value, "expected \"local\" or a table"));
    };
    let setting = match (inner.value("server"), inner.section("rds", keys::RDS)?) {
        (Some(server), None) => ScratchSetting::Server(file::url(&inner, "server", server, folder)?.value),
        (None, Some(rds)) => ScratchSetting::Rds(Box::new(instance(&rds, value, times)?)),
        (Some(_), Some(_)) => {
            return Err(section.wrong("scratch", value, "names both a server and rds").with_hint(FORMS));
        }
        (None, None) => return Err(section.wrong("scratch", value, "names neither a server nor rds").with_hint(FORMS)),
    };
    Ok(Setting::new(setting, origin))
}

fn instance<'a>(section: &Section<'a>, whole: &'a Spanned<DeValue<'a>>, default: InstanceTimes) -> Result<RdsScratch> {
    let Some(class) = section.text("class")? else {
        return Err(section.wrong("class", whole, "is missing").with_hint("write class = \"db.t4g.medium\""));
    };
    if let (false, Some(value)) = (class.value.starts_with("db."), section.value("class")) {
        let error = section.wrong("class", value, format!("'{}' is not a class of instances", class.value));
        return Err(error.with_hint("write one of RDS, such as db.t4g.medium"));
    }
    let text = |key: &str| Ok(section.text(key)?.map(|setting| setting.value));
    let rds = RdsScratch {
        storage_gb: section.number("storage_gb", STORAGE.0, STORAGE.1)?.map(|setting| setting.value),
        engine_version: text("engine_version")?,
        parameter_group: text("parameter_group")?,
        subnet_group: text("subnet_group")?,
        security_groups: security_groups(section)?,
        kms_key: text("kms_key")?,
        source_instance: text("source_instance")?,
        restore_testing_plan: text("restore_testing_plan")?,
        times: times(section, default)?,
        class: class.value,
    };
    if let (Some(version), Some(value)) = (&rds.engine_version, section.value("engine_version"))
        && !version.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err(section.wrong("engine_version", value, "is not a version: write \"16\" or \"16.4\""));
    }
    if let (Some(plan), Some(value)) = (&rds.restore_testing_plan, section.value("restore_testing_plan")) {
        let wrong = |message: String| section.wrong("restore_testing_plan", value, message);
        if !is_plan(plan) {
            return Err(wrong(format!("'{plan}' is neither the name nor the ARN of a restore testing plan"))
                .with_hint("names have letters, digits and underscores; AWS Backup lists both"));
        }
        if rds.source_instance.is_none() {
            return Err(wrong("needs source_instance: a plan may restore the instances of others as well".to_owned())
                .with_hint("name the instance of RDS that the database runs on"));
        }
    }
    Ok(rds)
}

/// A name as AWS Backup allows it, or an ARN.
fn is_plan(text: &str) -> bool {
    let named = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    named(text) || (text.starts_with("arn:") && text.contains(":backup:") && text.contains(":restore-testing-plan:"))
}

fn times(section: &Section<'_>, default: InstanceTimes) -> Result<InstanceTimes> {
    let span = |key: &str, otherwise: Span, least: u64, most: u64| -> Result<Span> {
        match (section.parsed::<Span>(key)?, section.value(key)) {
            (Some(span), Some(value)) if !(least..=most).contains(&span.value.0) => {
                let message = format!("must be from {} to {}", Span(least), Span(most));
                Err(section.wrong(key, value, message))
            }
            (Some(span), _) => Ok(span.value),
            (None, _) => Ok(otherwise),
        }
    };
    let times = InstanceTimes {
        ttl: span("ttl", default.ttl, SHORTEST_LIFE, LONGEST_LIFE)?,
        available_within: span("available_within", default.available_within, 1, LONGEST_LIFE)?,
        gone_within: span("gone_within", default.gone_within, 1, LONGEST_LIFE)?,
        look_every: span("look_every", default.look_every, 1, 600)?,
    };
    if let (false, Some(value)) =
        (times.available_within < times.ttl, section.value("available_within").or_else(|| section.value("ttl")))
    {
        return Err(section.wrong("available_within", value, format!("must be shorter than ttl ({})", times.ttl)));
    }
    Ok(times)
}

fn security_groups(section: &Section<'_>) -> Result<Vec<String>> {
    let Some(value) = section.value("security_groups") else { return Ok(Vec::new()) };
    let wrong =
        |value| section.wrong("security_groups", value, "expected a list of ids such as \"sg-0123456789abcdef0\"");
    let Some(list) = value.get_ref().as_array() else { return Err(wrong(value)) };
    list.iter()
        .map(|item| match item.get_ref().as_str() {
            Some(id) if id.starts_with("sg-") => Ok(id.to_owned()),
            _ => Err(wrong(item)),
        })
        .collect()
}
