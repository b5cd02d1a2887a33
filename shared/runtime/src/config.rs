//! Puts the configuration in force together: flags beat the environment, the environment beats the file.

mod alerts;
mod deploy;
#[cfg(test)]
mod deploy_tests;
#[cfg(test)]
mod drill_tests;
mod encryption;
#[cfg(test)]
mod encryption_tests;
mod fetched;
mod file;
mod health;
#[cfg(test)]
mod health_tests;
mod maintenance;
mod restore;
mod scratch;
mod section;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use lifeboat_archive::codec::Codec;
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::{AlertsConfig, Config, DeployConfig, HealthConfig, Origin, SecretRef, Setting, default_codec},
};
use lifeboat_store::Location;

use crate::environment::Environment;

pub(crate) use fetched::fetched;
pub(crate) use file::slug_of;

/// The file that is read when nobody names one.
pub const DEFAULT_FILE: &str = "lifeboat.toml";

/// What the command line says about the whole configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--store`
    pub store: Option<String>,
}

/// Every environment variable that Lifeboat itself reads, with what it stands for.
pub const VARIABLES: [(&str, &str); 24] = [
    ("LIFEBOAT_CONFIG", "the configuration file; in a task also s3://bucket/key"),
    ("LIFEBOAT_STORE", "store.url"),
    ("LIFEBOAT_CONTROL_STORE", "control_store.url"),
    ("LIFEBOAT_DATABASE_URL", "the database's URL, or env:NAME"),
    ("LIFEBOAT_CLIENT_TOOLS", "client_tools"),
    ("LIFEBOAT_RESTORER", "restorer"),
    ("LIFEBOAT_PASSPHRASE", "the passphrase that keeps the key of each backup, instead of databases.NAME.passphrase"),
    ("LIFEBOAT_IDENTITY_PASSPHRASE", "the passphrase of secret keys, instead of databases.NAME.identity_passphrase"),
    ("LIFEBOAT_ACCEPT_EXPIRED_KEYS", "accept_expired_keys"),
    ("LIFEBOAT_EVENT_BUS", "events.bus"),
    ("LIFEBOAT_ALERT_TOPIC", "alerts.topic"),
    ("LIFEBOAT_LOG", "what is logged, such as debug"),
    ("LIFEBOAT_DEADLINE_MARGIN", "how long before its deadline a function stops"),
    ("LIFEBOAT_TIME_LIMIT", "how long a function has where its runtime names no deadline"),
    ("LIFEBOAT_DRILL_SUBNET_GROUP", "scratch.rds.subnet_group, where a database has none"),
    ("LIFEBOAT_DRILL_SECURITY_GROUPS", "scratch.rds.security_groups, where a database has none"),
    ("LIFEBOAT_ROOT_CERT", "tls.root_cert; in a task also s3://bucket/key"),
    ("LIFEBOAT_REQUEST", "the one request of a function that runs as a task"),
    ("LIFEBOAT_REQUEST_ID", "the id under which AWS delivered that request, where it names the run"),
    ("LIFEBOAT_TASK", "the task that a function hands runs over to which would outlast it"),
    ("AWS_ENDPOINT_URL_S3", "store.endpoint"),
    ("AWS_ENDPOINT_URL", "store.endpoint, for all services"),
    ("PGPASSWORD", "the password where a URL has none"),
    ("PGPASSFILE", "the password file, by default ~/.pgpass"),
];

/// The variables that hold passphrases.
const PASSPHRASE: &str = "LIFEBOAT_PASSPHRASE";
const IDENTITY_PASSPHRASE: &str = "LIFEBOAT_IDENTITY_PASSPHRASE";

/// Where S3 is reached, if not at AWS; the later beats the earlier.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"];

/// A configuration that says nothing.
pub(crate) fn nothing() -> Config {
    Config {
        file: None,
        store: None,
        region: None,
        endpoint: None,
        control_store: None,
        client_tools: None,
        restorer: None,
        require_encryption: None,
        accept_expired_keys: None,
        passphrase: None,
        identity_passphrase: None,
        root_cert: None,
        bus: None,
        health: HealthConfig::default(),
        alerts: AlertsConfig::default(),
        deploy: DeployConfig::default(),
        restore_targets: BTreeMap::new(),
        databases: BTreeMap::new(),
    }
}

/// Reads the file, if there is one, and lays environment and flags over it.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Config> {
    let named = flags.config.clone().or_else(|| environment.path("LIFEBOAT_CONFIG"));
    let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let mut config = match fs::read_to_string(&path) {
        Ok(text) => file::read(&path, &text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => nothing(),
        Err(error) => {
            return Err(Error::new(ErrorKind::Config, format!("read {}: {error}", path.display())).with_hint(
                "check --config and LIFEBOAT_CONFIG; without a file, --store and --database-url are enough",
            ));
        }
    };
    lay_environment(&mut config, environment)?;
    if let Some(url) = &flags.store {
        url.parse::<Location>()?;
        config.store = Some(Setting::new(url.clone(), Origin::Flag("--store")));
    }
    Ok(config)
}

fn lay_environment(config: &mut Config, environment: &Environment) -> Result<()> {
    let text = |name: &'static str| -> Result<Option<Setting<String>>> {
        Ok(environment.text(name)?.map(|value| Setting::new(value, Origin::Environment(name))))
    };
    for (name, setting) in
        [("LIFEBOAT_STORE", &mut config.store), ("LIFEBOAT_CONTROL_STORE", &mut config.control_store)]
    {
        if let Some(found) = text(name)? {
            found.value.parse::<Location>().map_err(|e| {
                let hint = e.hint().to_owned();
                Error::new(ErrorKind::Config, format!("{name}: {e}")).with_hint(hint)
            })?;
            *setting = Some(found);
        }
    }
    for name in ENDPOINTS {
        if let Some(found) = text(name)? {
            config.endpoint = Some(found);
        }
    }
    if let Some(found) = text("LIFEBOAT_CLIENT_TOOLS")? {
        config.client_tools = Some(Setting::new(found.value.into(), found.origin));
    }
    if let Some(found) = text("LIFEBOAT_ROOT_CERT")? {
        config.root_cert = Some(Setting::new(found.value.into(), found.origin));
    }
    if let Some(found) = text("LIFEBOAT_EVENT_BUS")? {
        config.bus = Some(found);
    }
    if let Some(found) = text("LIFEBOAT_ALERT_TOPIC")? {
        config.alerts.topic = Some(found);
    }
    for (name, setting) in
        [(PASSPHRASE, &mut config.passphrase), (IDENTITY_PASSPHRASE, &mut config.identity_passphrase)]
    {
        if environment.raw(name).is_some() {
            *setting = Some(Setting::new(SecretRef::Env(name.to_owned()), Origin::Environment(name)));
        }
    }
    if let Some(found) = text("LIFEBOAT_ACCEPT_EXPIRED_KEYS")? {
        let accept = found.value.parse().map_err(|_| {
            Error::new(ErrorKind::Config, "LIFEBOAT_ACCEPT_EXPIRED_KEYS is neither true nor false")
                .with_hint("set it to true to open backups with keys that have expired or were revoked")
        })?;
        config.accept_expired_keys = Some(Setting::new(accept, found.origin));
    }
    if let Some(found) = text("LIFEBOAT_RESTORER")? {
        let major = found.value.parse().ok().filter(|n| (9..=99).contains(n)).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("LIFEBOAT_RESTORER: '{}' is not a major version", found.value))
                .with_hint("write a PostgreSQL major version such as 16")
        })?;
        config.restorer = Some(Setting::new(major, found.origin));
        for database in config.databases.values_mut() {
            if let Origin::Default | Origin::Derived(_) = database.compress.origin {
                database.compress = default_codec(Some(major));
            }
            check_codec(database.compress.value, Some(major))?;
        }
    }
    Ok(())
}

/// Whether the oldest `pg_restore` that must read the backups knows the codec.
pub(crate) fn check_codec(codec: Codec, restorer: Option<u32>) -> Result<()> {
    match (codec, restorer) {
        (Codec::Zstd { .. }, Some(old @ ..=15)) => Err(Error::new(
            ErrorKind::Config,
            format!("{codec} contradicts restorer = {old}: pg_restore reads zstd from 16 on"),
        )
        .with_hint("use gzip, or raise restorer to 16 or newer")),
        _ => Ok(()),
    }
}
