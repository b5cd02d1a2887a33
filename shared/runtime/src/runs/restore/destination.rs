//! Where a restore goes: a database that a person named, or a target of the configuration with its hooks.

use std::sync::Arc;

use lifeboat_core::{
    Error, ErrorKind, Result,
    ids::DatabaseSlug,
    manifest::Manifest,
    ports::{Hooks, RunContext},
    restore::NoHooks,
};
use lifeboat_postgres::ConnectionTarget;

use crate::{
    hooks::{Occasion, TargetHooks},
    setup::Setup,
};

/// Where a restore goes.
#[derive(Clone)]
pub struct Destination {
    pub(super) connection: ConnectionTarget,
    pub(super) name: Option<String>,
}

impl Destination {
    /// A database that a person named by its URL. It has no hooks, and nobody is told.
    pub fn at(connection: ConnectionTarget) -> Self {
        Self { connection, name: None }
    }

    /// A target of the configuration, where a backup of this database may go there.
    pub async fn named(setup: &Setup, name: &str, database: Option<&DatabaseSlug>) -> Result<Self> {
        let known = &setup.config.restore_targets;
        let Some(target) = known.get(name) else {
            let names = known.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() { "none".to_owned() } else { names };
            return Err(Error::new(
                ErrorKind::Config,
                format!("restore target '{name}' is not configured (known: {names})"),
            )
            .with_hint(format!("write [restore.targets.{name}] with its url: see docs/CONFIG.md")));
        };
        let may = &target.databases.value;
        if let Some(database) = database.filter(|database| !may.is_empty() && !may.contains(database)) {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("backups of '{database}' may not be restored to target '{name}'"),
            )
            .with_hint(format!("restore.targets.{name}.databases lists those that may")));
        }
        Ok(Self { connection: setup.resolve(&target.url.value).await?, name: Some(name.to_owned()) })
    }

    /// The target's name in the configuration.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What the target has around a restore; nothing where it is none of the configuration.
    pub(super) async fn hooks(
        &self,
        setup: &Setup,
        manifest: Option<&Manifest>,
        context: &RunContext,
    ) -> Result<Arc<dyn Hooks>> {
        let Some((name, target)) = self.name.as_ref().and_then(|n| Some((n, setup.config.restore_targets.get(n)?)))
        else {
            return Ok(Arc::new(NoHooks));
        };
        let occasion = Occasion {
            database: manifest.map(|m| m.database.to_string()),
            backup: manifest.map(|m| m.backup_id.to_string()),
            target: name.clone(),
            run_id: context.run_id.to_string(),
        };
        Ok(Arc::new(TargetHooks::open(setup, target, occasion).await?))
    }
}
