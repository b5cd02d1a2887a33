//! Reads `lifeboat.toml`.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::{
        Config, DatabaseConfig, DatabaseUrl, DrillConfig, InstanceTimes, Origin, RetentionConfig, ScratchSetting,
        SecretRef, Setting, Size, Span, default_codec, keys, keys::nearest,
    },
    drill::Assertion,
    ids::DatabaseSlug,
    retention::{Policy, StorageClass, TierRule},
    runner::Runner,
};
use lifeboat_postgres::ConnectionTarget;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    health,
    section::{Section, Source, article},
};
use crate::connection::check_url;

/// Twelve hours for each of restore and compare, as the state machine allows them on Fargate, and two for the rest.
const LONGEST_ON_FARGATE: Span = Span(26 * 3600);

const CHUNK_SIZES: std::ops::RangeInclusive<u64> = 1 << 20..=64 << 30;

/// Reads a file's text; `path` is what messages call it, and its folder is where relative paths begin.
pub(super) fn read(path: &Path, text: &str) -> Result<Config> {
    let name = path.display().to_string();
    let source = Source::new(&name, text);
    let document = DeTable::parse(text).map_err(|e| {
        let place = e.span().unwrap_or(0..0);
        source.error(&place, e.message()).with_hint("the file is TOML: see docs/CONFIG.md for an example")
    })?;
    let top = Section::open(&source, document.get_ref(), String::new(), keys::TOP)?;
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let restorer = top.number("restorer", 9, 99)?;
    let require_encryption = super::alerts::flag(&top, "require_encryption")?;
    let accept_expired_keys = super::alerts::flag(&top, "accept_expired_keys")?;
    let mut config = Config { file: Some(path.to_owned()), ..super::nothing() };
    if let Some(store) = top.section("store", keys::STORE)? {
        config.store = store_url(&store)?;
        config.region = store.text("region")?;
        config.endpoint = store.text("endpoint")?;
    }
    if let Some(control) = top.section("control_store", keys::CONTROL_STORE)? {
        config.control_store = store_url(&control)?;
    }
    if let Some(tls) = top.section("tls", keys::TLS)? {
        config.root_cert = tls.text("root_cert")?.map(|s| Setting::new(beside(&folder, &s.value), s.origin));
    }
    if let Some(events) = top.section("events", keys::EVENTS)? {
        config.bus = events.text("bus")?;
    }
    config.alerts = super::alerts::alerts(&top, &folder)?;
    config.deploy = super::deploy::read(&top)?;
    config.restore_targets = super::restore::targets(&top, &folder)?;
    config.client_tools = top.text("client_tools")?.map(|s| Setting::new(beside(&folder, &s.value), s.origin));
    if let Some(section) = top.section("health", keys::HEALTH_OF_ALL)? {
        config.health = health::read(&section, config.health)?;
    }
    if let Some(value) = top.value("databases") {
        let Some(table) = value.get_ref().as_table() else {
            return Err(top
                .wrong("databases", value, format!("expected a table, found {}", article(value)))
                .with_hint("write [databases.orders]"));
        };
        for (name, value) in table {
            let slug: DatabaseSlug = name.get_ref().parse().map_err(|e: Error| {
                let hint = e.hint().to_owned();
                source.error(&name.span(), format!("databases: {e}")).with_hint(hint)
            })?;
            let Some(table) = value.get_ref().as_table() else {
                return Err(source.error(&value.span(), format!("databases.{slug}: expected a table")));
            };
            let section = Section::open(&source, table, format!("databases.{slug}"), keys::DATABASE)?;
            let image = config.deploy.fargate_image.is_some();
            let mut database = database(&section, &folder, restorer.as_ref(), image)?;
            database.encryption = super::encryption::read(&section, require_encryption.as_ref(), &folder)?;
            database.health = match section.section("health", keys::HEALTH)? {
                Some(section) => health::read(&section, config.health.clone())?,
                None => config.health.clone(),
            };
            config.databases.insert(slug, database);
        }
    }
    config.restorer = restorer;
    config.require_encryption = require_encryption;
    config.accept_expired_keys = accept_expired_keys;
    Ok(config)
}

fn store_url(section: &Section<'_>) -> Result<Option<Setting<String>>> {
    let Some(url) = section.text("url")? else { return Ok(None) };
    match (url.value.parse::<lifeboat_store::Location>(), section.value("url")) {
        (Err(error), Some(value)) => {
            let hint = error.hint().to_owned();
            Err(section.wrong("url", value, error).with_hint(hint))
        }
        _ => Ok(Some(url)),
    }
}

fn beside(folder: &Path, path: &str) -> PathBuf {
    folder.join(path)
}

/// `image`: whether there is one by which runs can be tasks.
fn database(
    section: &Section<'_>,
    folder: &Path,
    restorer: Option<&Setting<u32>>,
    image: bool,
) -> Result<DatabaseConfig> {
    let restorer = restorer.map(|r| r.value);
    let mut config = DatabaseConfig::with_defaults(restorer);
    config.url = section.value("url").map(|value| url(section, "url", value, folder)).transpose()?;
    config.schedule = section.parsed("schedule")?;
    if image {
        config.runner = Setting::new(Runner::Auto, Origin::Derived("deploy.fargate_image"));
    }
    config.runner = section.parsed("runner")?.unwrap_or(config.runner);
    if let Some(timezone) = section.text("timezone")? {
        if let (Err(_), Some(value)) = (TimeZone::get(&timezone.value), section.value("timezone")) {
            return Err(section
                .wrong("timezone", value, format!("'{}' is not a time zone", timezone.value))
                .with_hint("write an IANA name such as Europe/Berlin, or UTC"));
        }
        config.timezone = timezone;
    }
    config.rpo = section.parsed("rpo")?;
    config.rto = section.parsed("rto")?;
    config.jobs = section.number("jobs", 1, 64)?.unwrap_or(config.jobs);
    config.compress = section.parsed("compress")?.unwrap_or_else(|| default_codec(restorer));
    if let Err(error) = super::check_codec(config.compress.value, restorer) {
        let hint = error.hint().to_owned();
        return Err(match section.value("compress") {
            Some(value) => section.wrong("compress", value, error).with_hint(hint),
            None => error,
        });
    }
    if let Some(size) = section.parsed::<Size>("chunk_size")? {
        if let (false, Some(value)) = (CHUNK_SIZES.contains(&size.value.0), section.value("chunk_size")) {
            return Err(section.wrong("chunk_size", value, "must be from 1MiB to 64GiB"));
        }
        config.chunk_size = size;
    }
    config.retention = retention(section)?;
    if let Some(drill) = section.section("drill", keys::DRILL)? {
        config.drill = self::drill(&drill, config.drill, config.runner.value, folder)?;
    }
    if let Some(section) = section.section("maintenance", keys::MAINTENANCE)? {
        config.maintenance = super::maintenance::read(&section)?;
    }
    Ok(config)
}

/// A URL as text, or where it is kept.
pub(super) fn url<'a>(
    section: &Section<'a>,
    key: &str,
    value: &'a Spanned<DeValue<'a>>,
    folder: &Path,
) -> Result<Setting<DatabaseUrl>> {
    let origin = section.source.origin(&value.span());
    if let Some(text) = value.get_ref().as_str() {
        let url = check_url(text).map_err(|e| {
            let hint = e.hint().to_owned();
            section.wrong(key, value, e).with_hint(hint)
        })?;
        return Ok(Setting::new(url, origin));
    }
    let Some(table) = value.get_ref().as_table() else {
        return Err(section.wrong(key, value, format!("expected a URL or a table, found {}", article(value))));
    };
    let table = Section::open(section.source, table, section.name(key), keys::URL)?;
    let server = table.text("server")?.map(|s| s.value);
    let places = [table.text("env")?, table.text("file")?, table.text("secret")?, table.text("rds_iam")?];
    let found = match (places.map(|place| place.map(|p| p.value)), server) {
        ([Some(name), None, None, None], None) => DatabaseUrl::Env(name),
        ([None, Some(path), None, None], None) => DatabaseUrl::File(beside(folder, &path)),
        ([None, None, Some(name), None], server) => DatabaseUrl::Secret { name, server: checked(&table, server)? },
        ([None, None, None, Some(url)], None) => match check_url(&url) {
            Ok(DatabaseUrl::Plain(url)) => DatabaseUrl::RdsIam(url),
            Ok(_) => return Err(section.wrong(key, value, "rds_iam needs the URL itself, without a password")),
            Err(e) => {
                let hint = e.hint().to_owned();
                return Err(section.wrong(key, value, e).with_hint(hint));
            }
        },
        (_, Some(_)) => return Err(section.wrong(key, value, "server belongs beside secret only")),
        _ => return Err(section.wrong(key, value, "needs exactly one of env, file, secret and rds_iam")),
    };
    Ok(Setting::new(found, origin))
}

/// The server of a secret that holds user and password only.
fn checked(table: &Section<'_>, server: Option<String>) -> Result<Option<String>> {
    let (Some(url), Some(value)) = (&server, table.value("server")) else { return Ok(server) };
    match ConnectionTarget::parse_for("user", url) {
        Ok(target) if !target.has_password() => Ok(server),
        Ok(_) => Err(table.wrong("server", value, "must not hold a password")),
        Err(e) => Err(table.wrong("server", value, e).with_hint("write postgres://HOST:PORT/DATABASE")),
    }
}

/// Where a secret is kept, for sections with settings that must not stand in the file.
pub(super) fn secret(section: &Section<'_>, key: &str, folder: &Path) -> Result<Option<Setting<SecretRef>>> {
    let Some(value) = section.value(key) else { return Ok(None) };
    let forms = "write { env = \"NAME\" }, { file = \"PATH\" } or { secret = \"NAME\" }";
    let Some(table) = value.get_ref().as_table() else {
        let message = "is a secret and must not stand in the file";
        return Err(section.wrong(key, value, message).with_hint(forms));
    };
    let table = Section::open(section.source, table, section.name(key), keys::SECRET)?;
    let found = match (table.text("env")?, table.text("file")?, table.text("secret")?, table.text("key")?) {
        (Some(name), None, None, None) => SecretRef::Env(name.value),
        (None, Some(path), None, None) => SecretRef::File(beside(folder, &path.value)),
        (None, None, Some(name), key) => SecretRef::Secret { name: name.value, key: key.map(|k| k.value) },
        _ => return Err(section.wrong(key, value, "needs exactly one of env, file and secret").with_hint(forms)),
    };
    Ok(Some(Setting::new(found, section.source.origin(&value.span()))))
}

fn retention(section: &Section<'_>) -> Result<RetentionConfig> {
    let Some(value) = section.value("retention") else { return Ok(RetentionConfig::default()) };
    let preset = |name: &str, value: &Spanned<DeValue<'_>>| {
        RetentionConfig::preset(name, section.source.origin(&value.span())).map_err(|e| {
            let near = nearest(name, &Policy::PRESETS).map_or(String::new(), |near| format!("did you mean '{near}'? "));
            section.wrong("retention", value, &e).with_hint(format!("{near}{}", e.hint()))
        })
    };
    if let Some(name) = value.get_ref().as_str() {
        return preset(name, value);
    }
    let Some(section) = section.section("retention", keys::RETENTION)? else { return Ok(RetentionConfig::default()) };
    let mut config = match (section.text("preset")?, section.value("preset")) {
        (Some(name), Some(value)) => preset(&name.value, value)?,
        _ => RetentionConfig::default(),
    };
    for (name, tier) in [("daily", &mut config.daily), ("weekly", &mut config.weekly), ("monthly", &mut config.monthly)]
    {
        if let (Some(found), Some(value)) = (section.section(name, keys::TIER)?, section.value(name)) {
            *tier = Setting::new(self::tier(&found)?, section.source.origin(&value.span()));
        }
    }
    config.min_good = section.number("min_good", 1, 1000)?.unwrap_or(config.min_good);
    config.grace_days = section.number("grace_days", 0, 365)?.unwrap_or(config.grace_days);
    config.reclaim_unfinished_after_days =
        section.number("reclaim_unfinished_after_days", 1, 365)?.unwrap_or(config.reclaim_unfinished_after_days);
    Ok(config)
}

fn tier(section: &Section<'_>) -> Result<TierRule> {
    let storage_class = match (section.text("storage_class")?, section.value("storage_class")) {
        (Some(class), Some(value)) => Some(class.value.parse::<StorageClass>().map_err(|e| {
            let hint = e.hint().to_owned();
            section.wrong("storage_class", value, &e).with_hint(hint)
        })?),
        _ => None,
    };
    Ok(TierRule {
        keep: section.number("keep", 0, 100_000)?.map(|keep| keep.value),
        max_age_days: section.number("max_age_days", 0, 36_500)?.map(|age| age.value),
        storage_class,
    })
}

fn drill(section: &Section<'_>, mut config: DrillConfig, runner: Runner, folder: &Path) -> Result<DrillConfig> {
    config.schedule = section.parsed("schedule")?;
    config.select = section.parsed("select")?.unwrap_or(config.select);
    config.thaw_within = section.parsed("thaw_within")?.unwrap_or(config.thaw_within);
    if let Some(value) = section.value("scratch") {
        let longest = matches!(runner, Runner::Fargate | Runner::Auto).then_some(LONGEST_ON_FARGATE);
        let default = InstanceTimes::default();
        let default = InstanceTimes { ttl: longest.unwrap_or(default.ttl), ..default };
        config.scratch = super::scratch::read(section, value, default, folder)?;
        if let ScratchSetting::Rds(rds) = &config.scratch.value
            && longest.is_some_and(|longest| rds.times.ttl < longest)
        {
            let ttl = rds.times.ttl;
            return Err(section
                .wrong(
                    "scratch",
                    value,
                    format!("the instance lives for {ttl}, and a drill on Fargate may take longer"),
                )
                .with_hint("write ttl = \"26h\", after which health removes what is left, or runner = \"lambda\" for the database"));
        }
    }
    if let Some(value) = section.value("checks") {
        let Some(list) = value.get_ref().as_array() else {
            return Err(section.wrong("checks", value, "expected a list of { name = …, sql = … }"));
        };
        let mut checks = Vec::new();
        for item in list {
            let Some(table) = item.get_ref().as_table() else {
                return Err(section.wrong("checks", item, "expected { name = …, sql = … }"));
            };
            let check = Section::open(section.source, table, section.name("checks"), keys::CHECK)?;
            let (Some(name), Some(sql)) = (check.text("name")?, check.text("sql")?) else {
                return Err(section.wrong("checks", item, "a check needs both name and sql"));
            };
            checks.push(Assertion { name: name.value, sql: sql.value });
        }
        config.checks = Setting::new(checks, section.source.origin(&value.span()));
    }
    Ok(config)
}

/// The slug that a URL's database has when nobody names it otherwise.
pub(crate) fn slug_of(target: &ConnectionTarget) -> Result<DatabaseSlug> {
    DatabaseSlug::from_name(target.database()).map_err(|_| {
        Error::new(ErrorKind::Usage, format!("the name of database '{}' does not make a short name", target.database()))
            .with_hint("give one: `lifeboat dump orders --database-url …`")
    })
}
