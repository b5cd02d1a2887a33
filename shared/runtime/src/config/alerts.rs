//! Reads `[alerts]` and its channels.

use std::path::Path;

use lifeboat_core::{
    Error, Result,
    config::{AlertsConfig, ChannelConfig, ChannelTo, Setting, keys},
    ids::DatabaseSlug,
};
use toml::{Spanned, de::DeValue};

use super::{
    file::secret,
    section::{Section, article},
};

/// Where a channel's secret is written otherwise than as a table, and what to write.
const KINDS: &str = "write slack = { env = \"SLACK_URL\" }, webhook = { routing_key = { env = \"PAGER_KEY\" } } or \
                     email = { from = \"…\", to = [\"…\"], smtp = { env = \"SMTP_URL\" } }";

pub(super) fn alerts(top: &Section<'_>, folder: &Path) -> Result<AlertsConfig> {
    let mut config = AlertsConfig::default();
    let Some(section) = top.section("alerts", keys::ALERTS)? else { return Ok(config) };
    config.topic = topic(&section)?;
    config.reminder = section.parsed("reminder")?.unwrap_or(config.reminder);
    config.escalate_after = section.parsed("escalate_after")?.unwrap_or(config.escalate_after);
    config.severity = section.parsed("severity")?.unwrap_or(config.severity);
    config.digest = section.parsed("digest")?.unwrap_or(config.digest);
    config.digest_day = section.parsed("digest_day")?.unwrap_or(config.digest_day);
    config.digest_hour = section.number("digest_hour", 0, 23)?.unwrap_or(config.digest_hour);
    config.contacts = texts(&section, "contacts")?.unwrap_or(config.contacts);
    config.escalation_contacts = texts(&section, "escalation_contacts")?.unwrap_or(config.escalation_contacts);
    config.per_run = databases(&section, "per_run")?.unwrap_or(config.per_run);
    let Some(value) = section.value("channels") else { return Ok(config) };
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("expected a table, found {}", article(value));
        return Err(section.wrong("channels", value, message).with_hint("write [alerts.channels.NAME]"));
    };
    for (name, value) in table {
        let text: &str = name.get_ref();
        let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if text.is_empty() || text.len() > 48 || !fits {
            return Err(section
                .source
                .error(&name.span(), format!("alerts.channels: '{text}' cannot name a channel"))
                .with_hint("use 1 to 48 of a-z, 0-9, '-' and '_'"));
        }
        let Some(table) = value.get_ref().as_table() else {
            return Err(section.wrong("channels", value, "expected a table").with_hint(KINDS));
        };
        let path = format!("alerts.channels.{text}");
        let inside = Section::open(section.source, table, path, keys::CHANNEL)?;
        config.channels.insert(text.to_owned(), channel(&inside, value, folder)?);
    }
    Ok(config)
}

fn topic(section: &Section<'_>) -> Result<Option<Setting<String>>> {
    let (Some(topic), Some(value)) = (section.text("topic")?, section.value("topic")) else { return Ok(None) };
    if topic.value.starts_with("arn:") && topic.value.contains(":sns:") {
        return Ok(Some(topic));
    }
    Err(section
        .wrong("topic", value, format!("'{}' is not the ARN of an SNS topic", topic.value))
        .with_hint("write arn:aws:sns:REGION:ACCOUNT:NAME"))
}

fn channel<'a>(section: &Section<'a>, value: &Spanned<DeValue<'a>>, folder: &Path) -> Result<ChannelConfig> {
    let given = ["slack", "webhook", "email"].iter().filter(|key| section.value(key).is_some()).count();
    if given != 1 {
        let place = section.source.error(
            &value.span(),
            format!("{}: needs exactly one of slack, webhook and email", section.name("").trim_end_matches('.')),
        );
        return Err(place.with_hint(KINDS));
    }
    let origin = section.source.origin(&value.span());
    let to = if let Some(url) = secret(section, "slack", folder)? {
        ChannelTo::Slack { url: url.value }
    } else if let Some(webhook) = section.section("webhook", keys::WEBHOOK)? {
        webhook_of(section, &webhook, folder)?
    } else {
        email(section, folder)?
    };
    let mut config = ChannelConfig::new(to, origin);
    config.severity = section.parsed("severity")?.unwrap_or(config.severity);
    config.escalation = flag(section, "escalation")?.unwrap_or(config.escalation);
    config.databases = databases(section, "databases")?.unwrap_or(config.databases);
    Ok(config)
}

fn webhook_of(section: &Section<'_>, webhook: &Section<'_>, folder: &Path) -> Result<ChannelTo> {
    let url = secret(webhook, "url", folder)?.map(|s| s.value);
    let routing_key = secret(webhook, "routing_key", folder)?.map(|s| s.value);
    match (&url, &routing_key, section.value("webhook")) {
        (None, None, Some(value)) => Err(section
            .wrong("webhook", value, "needs a routing_key (PagerDuty's integration key), or a url of another pager")
            .with_hint(KINDS)),
        _ => Ok(ChannelTo::Webhook { url, routing_key }),
    }
}

fn email(section: &Section<'_>, folder: &Path) -> Result<ChannelTo> {
    let (Some(email), Some(value)) = (section.section("email", keys::EMAIL)?, section.value("email")) else {
        return Ok(ChannelTo::Email { from: String::new(), to: Vec::new(), smtp: None });
    };
    let wrong = |message: &str| section.wrong("email", value, message).with_hint(KINDS);
    let from = email.text("from")?.ok_or_else(|| wrong("needs from, the sender's address"))?.value;
    let to = texts(&email, "to")?.map(|to| to.value).unwrap_or_default();
    if to.is_empty() {
        return Err(wrong("needs to, a list of addresses"));
    }
    if let Some(strange) = to.iter().chain([&from]).find(|address| !address.contains('@')) {
        return Err(wrong(&format!("'{strange}' is not a mail address")));
    }
    let smtp = secret(&email, "smtp", folder)?.map(|s| s.value);
    let ses = flag(&email, "ses")?.is_some_and(|ses| ses.value);
    if smtp.is_some() == ses {
        return Err(wrong("needs exactly one of smtp = { … } and ses = true"));
    }
    Ok(ChannelTo::Email { from, to, smtp })
}

pub(super) fn flag(section: &Section<'_>, key: &str) -> Result<Option<Setting<bool>>> {
    let Some(value) = section.value(key) else { return Ok(None) };
    match value.get_ref().as_bool() {
        Some(flag) => Ok(Some(Setting::new(flag, section.source.origin(&value.span())))),
        None => Err(section.wrong(key, value, format!("expected true or false, found {}", article(value)))),
    }
}

pub(super) fn texts(section: &Section<'_>, key: &str) -> Result<Option<Setting<Vec<String>>>> {
    let Some(value) = section.value(key) else { return Ok(None) };
    let wrong = || section.wrong(key, value, "expected a list of texts, such as [\"Ann, +49 30 1234\"]");
    let list = value.get_ref().as_array().ok_or_else(wrong)?;
    let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned).filter(|t| !t.is_empty());
    let texts: Vec<String> = list.iter().map(text).collect::<Option<_>>().ok_or_else(wrong)?;
    Ok(Some(Setting::new(texts, section.source.origin(&value.span()))))
}

pub(super) fn databases(section: &Section<'_>, key: &str) -> Result<Option<Setting<Vec<DatabaseSlug>>>> {
    let (Some(texts), Some(value)) = (texts(section, key)?, section.value(key)) else { return Ok(None) };
    let slugs = texts.value.iter().map(|text| text.parse()).collect::<Result<Vec<DatabaseSlug>>>();
    let slugs = slugs.map_err(|e: Error| {
        let hint = e.hint().to_owned();
        section.wrong(key, value, e).with_hint(hint)
    })?;
    Ok(Some(Setting::new(slugs, texts.origin)))
}
