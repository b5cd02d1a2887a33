//! Which databases a command is about: the one named, the one whose URL was given, or all that are configured.

use lifeboat_core::{
    Error, ErrorKind, Result,
    config::{DatabaseConfig, DatabaseUrl, Origin, Setting},
    ids::DatabaseSlug,
};

use super::Setup;
use crate::{
    config::slug_of,
    connection::{check_url, resolve_here},
};

/// The variable that names the one database of a call.
const URL_OF_CALL: &str = "LIFEBOAT_DATABASE_URL";

/// A database that a command was asked for.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Its slug.
    pub slug: DatabaseSlug,
    /// What is configured for it, defaults included.
    pub config: DatabaseConfig,
}

impl Setup {
    /// The URL that stands for the one database of this call: the flag, else `LIFEBOAT_DATABASE_URL`.
    fn url_of_call(&self, flag: Option<&str>) -> Result<Option<Setting<DatabaseUrl>>> {
        if let Some(text) = flag {
            return Ok(Some(Setting::new(check_url(text)?, Origin::Flag("--database-url"))));
        }
        let Some(text) = self.environment.text(URL_OF_CALL)? else { return Ok(None) };
        // A variable is as private as the one that env:NAME would name.
        let url = if text.starts_with("env:") { check_url(&text)? } else { DatabaseUrl::Env(URL_OF_CALL.to_owned()) };
        Ok(Some(Setting::new(url, Origin::Environment(URL_OF_CALL))))
    }

    fn defaults(&self) -> DatabaseConfig {
        let restorer = self.config.restorer.as_ref().map(|r| r.value);
        let mut config =
            DatabaseConfig { health: self.config.health.clone(), ..DatabaseConfig::with_defaults(restorer) };
        if let Some(required) = &self.config.require_encryption {
            config.encryption.required = required.clone();
        }
        config
    }

    /// What is configured for a slug; defaults where the file does not know it.
    pub fn database(&self, slug: &DatabaseSlug) -> DatabaseConfig {
        self.config.databases.get(slug).cloned().unwrap_or_else(|| self.defaults())
    }

    /// The database a command is about: the one named; else the one whose URL was given, called as it is called on its
    /// server; else the only one in the file. `None` where nothing says which.
    pub fn selected(&self, named: Option<&DatabaseSlug>, url: Option<&str>) -> Result<Option<Selected>> {
        let url = self.url_of_call(url)?;
        let slug = match (named, &url) {
            (Some(slug), _) => slug.clone(),
            (None, Some(url)) => slug_of(&resolve_here(&url.value, &self.environment)?)?,
            (None, None) => {
                let mut slugs = self.config.databases.keys();
                match (slugs.next(), slugs.next()) {
                    (Some(only), None) => only.clone(),
                    _ => return Ok(None),
                }
            }
        };
        let mut config = self.database(&slug);
        config.url = url.or(config.url);
        Ok(Some(Selected { slug, config }))
    }

    /// The same for commands that cannot do without one.
    pub fn one(&self, named: Option<&DatabaseSlug>, url: Option<&str>) -> Result<Selected> {
        self.selected(named, url)?.ok_or_else(|| {
            let known: Vec<&str> = self.config.databases.keys().map(DatabaseSlug::as_str).collect();
            if known.is_empty() {
                Error::new(ErrorKind::Usage, "no database is named")
                    .with_hint("give --database-url postgres://USER@HOST/DATABASE, or write a lifeboat.toml")
            } else {
                Error::new(ErrorKind::Usage, "several databases are configured, and none is named")
                    .with_hint(format!("name one of: {}", known.join(", ")))
            }
        })
    }

    /// Every configured database; for `--all`.
    pub fn all(&self, url: Option<&str>) -> Result<Vec<Selected>> {
        if let Some(url) = self.url_of_call(url)? {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("--all takes the databases from the file, but {} names one", url.origin),
            ));
        }
        if self.config.databases.is_empty() {
            return Err(Error::new(ErrorKind::Config, "--all: no database is configured")
                .with_hint("write [databases.NAME] sections into lifeboat.toml"));
        }
        let all = self.config.databases.iter();
        Ok(all.map(|(slug, config)| Selected { slug: slug.clone(), config: config.clone() }).collect())
    }
}
