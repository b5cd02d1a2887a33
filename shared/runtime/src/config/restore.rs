//! Reads `[restore.targets.<name>]`: where restores may go by name, and the hooks around them.

use std::{collections::BTreeMap, ops::RangeInclusive, path::Path};

use lifeboat_core::{
    Result,
    config::{Hook, RestoreTarget, Setting, Span, keys},
};
use toml::{Spanned, de::DeValue};

use super::{
    alerts::{databases, flag},
    file::{secret, url},
    section::{Section, article},
};

/// How hooks are written.
const HOOKS: &str =
    "write a list such as [{ command = [\"systemctl\", \"stop\", \"shop\"] }, { webhook = { env = \"STOP_URL\" } }]";

/// A hook, or an address to answer, may take so long, in seconds.
const LIMITS: RangeInclusive<u64> = 1..=3600;

pub(super) fn targets(top: &Section<'_>, folder: &Path) -> Result<BTreeMap<String, RestoreTarget>> {
    let mut targets = BTreeMap::new();
    let Some(section) = top.section("restore", keys::RESTORE)? else { return Ok(targets) };
    let Some(value) = section.value("targets") else { return Ok(targets) };
    let Some(table) = value.get_ref().as_table() else {
        let message = format!("expected a table, found {}", article(value));
        return Err(section.wrong("targets", value, message).with_hint("write [restore.targets.NAME]"));
    };
    for (name, value) in table {
        let text: &str = name.get_ref();
        let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if text.is_empty() || text.len() > 48 || !fits {
            return Err(section
                .source
                .error(&name.span(), format!("restore.targets: '{text}' cannot name a target"))
                .with_hint("use 1 to 48 of a-z, 0-9, '-' and '_'"));
        }
        let path = format!("restore.targets.{text}");
        let Some(table) = value.get_ref().as_table() else {
            return Err(section.source.error(&value.span(), format!("{path}: expected a table")));
        };
        let inside = Section::open(section.source, table, path, keys::RESTORE_TARGET)?;
        targets.insert(text.to_owned(), target(&inside, value, folder)?);
    }
    Ok(targets)
}

fn target<'a>(section: &Section<'a>, whole: &Spanned<DeValue<'a>>, folder: &Path) -> Result<RestoreTarget> {
    let Some(value) = section.value("url") else {
        let path = section.name("");
        return Err(section
            .source
            .error(&whole.span(), format!("{}: needs url", path.trim_end_matches('.')))
            .with_hint("write url = { env = \"TARGET_URL\" }, or { secret = \"NAME\" }"));
    };
    let mut target = RestoreTarget::new(url(section, "url", value, folder)?);
    target.databases = databases(section, "databases")?.unwrap_or(target.databases);
    target.overwrite = flag(section, "overwrite")?.unwrap_or(target.overwrite);
    target.before = hooks(section, "before", folder)?.unwrap_or(target.before);
    target.after = hooks(section, "after", folder)?.unwrap_or(target.after);
    target.hook_timeout = limit(section, "hook_timeout")?.unwrap_or(target.hook_timeout);
    target.answers_within = limit(section, "answers_within")?.unwrap_or(target.answers_within);
    if let (Some(address), Some(value)) = (section.text("answers")?, section.value("answers")) {
        if !address.value.starts_with("https://") && !address.value.starts_with("http://") {
            return Err(section
                .wrong("answers", value, "is not the address of a page")
                .with_hint("write https://shop.example/health; it is no secret, so put none into it"));
        }
        target.answers = Some(address);
    }
    Ok(target)
}

fn limit(section: &Section<'_>, key: &str) -> Result<Option<Setting<Span>>> {
    match (section.parsed::<Span>(key)?, section.value(key)) {
        (Some(found), Some(value)) if !LIMITS.contains(&found.value.0) => {
            let (least, most) = (Span(*LIMITS.start()), Span(*LIMITS.end()));
            Err(section.wrong(key, value, format!("must be from {least} to {most}")))
        }
        (found, _) => Ok(found),
    }
}

fn hooks(section: &Section<'_>, key: &str, folder: &Path) -> Result<Option<Setting<Vec<Hook>>>> {
    let Some(value) = section.value(key) else { return Ok(None) };
    let Some(list) = value.get_ref().as_array() else {
        return Err(section.wrong(key, value, "expected a list").with_hint(HOOKS));
    };
    let mut hooks = Vec::new();
    for item in list {
        let Some(table) = item.get_ref().as_table() else {
            return Err(section
                .wrong(key, item, "expected { command = [\"…\"] } or { webhook = { … } }")
                .with_hint(HOOKS));
        };
        let hook = Section::open(section.source, table, section.name(key), keys::HOOK)?;
        let webhook = secret(&hook, "webhook", folder)?;
        hooks.push(match (hook.value("command"), webhook) {
            (Some(words), None) => Hook::Command(command(&hook, words)?),
            (None, Some(address)) => Hook::Webhook(address.value),
            _ => {
                return Err(section.wrong(key, item, "needs exactly one of command and webhook").with_hint(HOOKS));
            }
        });
    }
    Ok(Some(Setting::new(hooks, section.source.origin(&value.span()))))
}

fn command<'a>(hook: &Section<'a>, value: &Spanned<DeValue<'a>>) -> Result<Vec<String>> {
    let words = value.get_ref().as_array().and_then(|list| {
        list.iter().map(|word| word.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
    });
    match words {
        Some(words) if words.first().is_some_and(|program| !program.is_empty()) => Ok(words),
        _ => Err(hook
            .wrong("command", value, "expected a list of texts: the program, then its arguments")
            .with_hint(HOOKS)),
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_core::config::{Config, DatabaseUrl, SecretRef};

    use super::{super::file::read, *};

    const TARGET: &str = r#"
[restore.targets.production]
url = { secret = "orders/restore" }
databases = ["orders"]
overwrite = true
before = [{ command = ["systemctl", "stop", "shop"] }, { webhook = { env = "STOP_URL" } }]
hook_timeout = "90s"
answers = "https://shop.example/health"
"#;

    fn parsed(text: &str) -> Result<Config> {
        read(Path::new("/etc/lifeboat/lifeboat.toml"), text)
    }

    #[test]
    fn targets_are_read_with_their_hooks_and_every_key_is_in_force() {
        let config = parsed(TARGET).unwrap();
        let target = &config.restore_targets["production"];
        assert!(matches!(&target.url.value, DatabaseUrl::Secret { name, .. } if name == "orders/restore"));
        assert!(target.overwrite.value && target.databases.value.len() == 1 && target.after.value.is_empty());
        let stop = ["systemctl", "stop", "shop"].map(str::to_owned).to_vec();
        let webhook = Hook::Webhook(SecretRef::Env("STOP_URL".to_owned()));
        assert_eq!(target.before.value, [Hook::Command(stop), webhook]);
        assert_eq!((target.hook_timeout.value, target.answers_within.value), (Span(90), Span(120)));
        let rows = config.in_force();
        for key in keys::RESTORE_TARGET.keys {
            assert!(rows.iter().any(|row| row.key == format!("restore.targets.production.{key}")), "{key}");
        }
    }

    #[test]
    fn targets_that_make_no_sense_are_refused_with_the_way_out() {
        let with = |keys: &str| format!("[restore.targets.a]\nurl = {{ env = 'A' }}\n{keys}\n");
        for (text, told, hinted) in [
            ("[restore.targets.a]\noverwrite = true\n".to_owned(), "needs url", "url ="),
            ("[restore.targets.'A b']\nurl = { env = 'A' }\n".to_owned(), "cannot name a target", "a-z"),
            (with("before_ = []"), "before_", "did you mean 'before'"),
            (with("before = [{ command = 'systemctl stop shop' }]"), "expected a list of texts", "command ="),
            (with("before = [{ command = [] }]"), "expected a list of texts", "command ="),
            (with("after = [{ command = ['a'], webhook = { env = 'B' } }]"), "exactly one of", "webhook ="),
            (with("after = [{ webhook = 'https://hooks.example/secret' }]"), "must not stand in the file", "env"),
            (with("answers = 'shop.example'"), "is not the address of a page", "https://"),
            (with("hook_timeout = '2h'"), "must be from 1s to 1h", ""),
        ] {
            let error = parsed(&text).unwrap_err();
            let (message, hint) = (error.to_string(), error.hint().to_owned());
            assert!(message.contains(told) && hint.contains(hinted), "{text}: {message} ({hint})");
            assert!(!message.contains("hooks.example"), "{message}");
        }
    }
}
