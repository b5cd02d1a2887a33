//! From the configuration to open ports: stores, sources, targets, scratch targets.

use std::{path::PathBuf, sync::Arc, time::Duration};

use lifeboat_aws::{Aws, BackupRestoreTests, RdsInstances};
use lifeboat_core::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    config::{
        Config, DatabaseConfig, DatabaseUrl, Origin, RdsScratch, ScratchSetting, SecretRef, Setting, control_url,
    },
    drill::RentedScratch,
    ids::{DatabaseSlug, RunId},
    ports::{
        Entropy, EventBus, InstanceDatabases, Instances, Progress, RestoreTests, RunContext, ScratchProvider, Store,
        Tasks,
    },
};
use lifeboat_postgres::{
    ConnectionTarget, PgLive, PgSource,
    cluster::ClusterOptions,
    scratch::{LocalScratch, ServerScratch},
    target::PgTarget,
    tools::ToolSearch,
};
use lifeboat_store::S3Settings;
use secrecy::SecretString;

use crate::{
    clock::{SystemClock, SystemEntropy},
    config::{self, Flags, slug_of},
    connection::{check_url, resolve, resolve_here},
    environment::Environment,
    handing_over::Invoked,
    instance_databases::RdsDatabases,
    patient::{ControlPatience, Patient},
    secrets::{self, Kept},
};

/// The variable that names the one database of a call.
const URL_OF_CALL: &str = "LIFEBOAT_DATABASE_URL";

/// Variables that name what a deployment has made for scratch instances to lie in: a subnet group and security groups, which
/// commas divide.
const SUBNET_GROUP: &str = "LIFEBOAT_DRILL_SUBNET_GROUP";
const SECURITY_GROUPS: &str = "LIFEBOAT_DRILL_SECURITY_GROUPS";

/// The configuration in force and the environment it came from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What is in force.
    pub config: Config,
    environment: Environment,
    kept: Arc<Kept>,
    operation: Option<&'static str>,
    invoked: Option<Arc<Invoked>>,
    patience: Option<ControlPatience>,
}

/// A database that a command was asked for.
#[derive(Debug, Clone)]
pub struct Selected {
    /// Its slug.
    pub slug: DatabaseSlug,
    /// What is configured for it, defaults included.
    pub config: DatabaseConfig,
}

impl Setup {
    /// Reads everything once.
    pub fn load(flags: &Flags, environment: Environment) -> Result<Self> {
        let config = config::load(flags, &environment)?;
        Ok(Self { config, environment, kept: Arc::default(), operation: None, invoked: None, patience: None })
    }

    /// The same within the function of an operation, whose process keeps what it learns from run to run.
    pub fn of_function(environment: Environment, operation: &'static str, kept: Arc<Kept>) -> Result<Self> {
        let setup = Self::load(&Flags::default(), environment)?;
        Ok(Self { kept, operation: Some(operation), ..setup })
    }

    /// The same for one run that waits for an answer of the control store only so long, and after one that did not come for
    /// none.
    pub(crate) fn with_patience(&self, answer: Duration) -> Self {
        Self { patience: Some(ControlPatience::of(answer)), ..self.clone() }
    }

    /// The operation whose function this is; `None` at the command line.
    pub fn operation(&self) -> Option<&'static str> {
        self.operation
    }

    /// The same for one invocation, whose run may be handed over to a task.
    pub(crate) fn of_invocation(self, invoked: Invoked) -> Self {
        Self { invoked: Some(Arc::new(invoked)), ..self }
    }

    /// The invocation; `None` at the command line and in a task.
    pub(crate) fn invoked(&self) -> Option<&Arc<Invoked>> {
        self.invoked.as_ref()
    }

    /// What starts tasks.
    pub(crate) async fn open_tasks(&self) -> Result<Arc<dyn Tasks>> {
        self.kept.tasks().await
    }

    /// The deployment's name, which everything that it has in an account carries.
    pub fn deployment(&self) -> &str {
        &self.config.deploy.name.value
    }

    /// The bus that runs tell what happened, if there is one. Without a bus, but with a topic or channels, this process
    /// makes incidents of events and tells people itself.
    pub async fn open_bus(&self) -> Result<Option<Arc<dyn EventBus>>> {
        let Some(bus) = &self.config.bus else {
            if self.config.alerts.reach_somebody() {
                return Ok(Some(self.own_bus()));
            }
            tracing::debug!("neither a bus nor a channel is configured: nobody is told");
            return Ok(None);
        };
        self.kept.bus(&bus.value).await.map(Some)
    }

    /// The AWS settings, for topics and mail.
    pub(crate) async fn aws(&self) -> Result<&Aws> {
        self.kept.aws().await
    }

    /// The value of a secret setting. One of Secrets Manager is fetched at most once a minute.
    pub async fn secret(&self, secret: &SecretRef) -> Result<SecretString> {
        secrets::resolve(secret, &self.environment, &self.kept).await
    }

    /// The environment.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What a run is given. The id is new.
    pub fn context(&self, progress: Arc<dyn Progress>, cancel: Cancel) -> RunContext {
        let entropy = SystemEntropy;
        RunContext {
            run_id: RunId::new(entropy.next()),
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(entropy),
            progress,
            cancel,
        }
    }

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

    /// Opens the store.
    pub async fn open_store(&self) -> Result<Arc<dyn Store>> {
        let store = self.config.store.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Config, "no store is named")
                .with_hint("give --store file:///folder or --store s3://bucket/prefix, or set store.url")
        })?;
        self.open_store_at(&store.value).await
    }

    /// Opens the control store.
    pub async fn open_control(&self) -> Result<Arc<dyn Store>> {
        let store = match (&self.config.control_store, &self.config.store) {
            (Some(control), _) => self.open_store_at(&control.value).await,
            (None, Some(store)) => self.open_store_at(&control_url(&store.value)).await,
            (None, None) => self.open_store().await,
        }?;
        Ok(match self.patience.clone() {
            Some(patience) => Arc::new(Patient { store, patience }),
            None => store,
        })
    }

    /// Opens a store by its URL, with the settings for S3.
    pub async fn open_store_at(&self, url: &str) -> Result<Arc<dyn Store>> {
        let settings = S3Settings {
            endpoint_url: self.config.endpoint.as_ref().map(|e| e.value.clone()),
            region: self.config.region.as_ref().map(|r| r.value.clone()),
            ..S3Settings::default()
        };
        Box::pin(lifeboat_store::open(url, &settings)).await
    }

    /// Where client tools are looked for.
    pub fn tools(&self) -> ToolSearch {
        ToolSearch {
            configured: self.config.client_tools.as_ref().map(|t| t.value.clone()),
            path: self.environment.raw("PATH").cloned(),
            inherited: self.environment.inherited(),
            restorer: self.config.restorer.as_ref().map(|r| r.value),
        }
    }

    /// The connection to a selected database.
    pub async fn connection(&self, selected: &Selected) -> Result<ConnectionTarget> {
        let url = selected.config.url.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("no URL is known for database '{}'", selected.slug)).with_hint(
                format!("set databases.{0}.url, or give --database-url postgres://USER@HOST/DATABASE", selected.slug),
            )
        })?;
        self.resolve(&url.value).await
    }

    /// The connection to a server whose URL is configured.
    pub(crate) async fn resolve(&self, url: &DatabaseUrl) -> Result<ConnectionTarget> {
        let target = Box::pin(resolve(url, &self.environment, &self.kept)).await?;
        Ok(target.or_root_cert(self.root_cert()))
    }

    pub(crate) fn root_cert(&self) -> Option<PathBuf> {
        self.config.root_cert.as_ref().map(|file| file.value.clone())
    }

    /// The connection that a URL on the command line names: `postgres://…` without a password, or `env:NAME`.
    pub fn connection_to(&self, url: &str) -> Result<ConnectionTarget> {
        Ok(resolve_here(&check_url(url)?, &self.environment)?.or_root_cert(self.root_cert()))
    }

    /// A database to dump.
    pub async fn open_source(&self, connection: ConnectionTarget) -> Result<PgSource> {
        PgSource::new(connection, self.tools()).await
    }

    /// A database to restore into.
    pub async fn open_target(&self, connection: ConnectionTarget) -> Result<PgTarget> {
        PgTarget::new(connection, self.tools(), self.temporary_folder()).await
    }

    /// A live database, for what is made beside it.
    pub async fn open_live(&self, connection: ConnectionTarget) -> Result<PgLive> {
        PgLive::new(connection, self.tools(), self.temporary_folder()).await
    }

    /// How a throwaway cluster of this major version is made.
    pub fn cluster_options(&self, major: u32) -> ClusterOptions {
        let random = || SystemEntropy.next();
        ClusterOptions {
            search: self.tools(),
            major,
            work_folder: self.temporary_folder(),
            password: SecretString::from(format!("{:016x}{:016x}", random(), random())),
            settings: Vec::new(),
            account: None,
        }
    }

    /// Where temporary files go.
    pub fn temporary_folder(&self) -> PathBuf {
        temporary_folder(&self.environment)
    }

    /// RDS, where drills have their scratch instances made.
    pub async fn open_instances(&self) -> Result<Arc<dyn Instances>> {
        Ok(Arc::new(RdsInstances::new(self.aws().await?)))
    }

    /// AWS Backup, which is told what its restore tests came to.
    pub async fn open_restore_tests(&self) -> Result<Arc<dyn RestoreTests>> {
        Ok(Arc::new(BackupRestoreTests::new(self.aws().await?)))
    }

    /// The databases in scratch instances.
    pub fn instance_databases(&self) -> Arc<dyn InstanceDatabases> {
        Arc::new(RdsDatabases::new(self.clone()))
    }

    /// The instance that drills of a database make, in the deployment's network where the configuration names none. `Config`
    /// where they restore elsewhere.
    pub fn rds_scratch(&self, selected: &Selected) -> Result<RdsScratch> {
        match &selected.config.drill.scratch.value {
            ScratchSetting::Rds(rds) => in_network(&self.environment, (**rds).clone()),
            other => Err(Error::new(
                ErrorKind::Config,
                format!("databases.{}.drill.scratch is {other}, not an instance of RDS", selected.slug),
            )
            .with_hint("write scratch = { rds = { class = \"db.t4g.medium\" } }")),
        }
    }

    /// What the process keeps.
    pub(crate) fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// Where a drill restores: the flag's word, else what is configured.
    pub async fn scratch(&self, selected: &Selected, flag: Option<&str>) -> Result<Arc<dyn ScratchProvider>> {
        let setting = match flag {
            Some("local") => ScratchSetting::Local,
            Some("rds") => ScratchSetting::Rds(Box::new(self.rds_scratch(selected)?)),
            Some(url) => ScratchSetting::Server(check_url(url)?),
            None => selected.config.drill.scratch.value.clone(),
        };
        let (search, work_folder) = (self.tools(), self.temporary_folder());
        Ok(match setting {
            ScratchSetting::Local => Arc::new(LocalScratch { search, work_folder, account: None }),
            ScratchSetting::Server(url) => {
                let server = self.resolve(&url).await?;
                Arc::new(ServerScratch { server, search, work_folder })
            }
            ScratchSetting::Rds(config) => Arc::new(RentedScratch {
                instances: self.open_instances().await?,
                databases: self.instance_databases(),
                config: *config,
                prefix: self.deployment().to_owned(),
            }),
        })
    }
}

/// Where temporary files go.
pub(crate) fn temporary_folder(environment: &Environment) -> PathBuf {
    environment.path("TMPDIR").unwrap_or_else(|| PathBuf::from("/tmp"))
}

/// A scratch instance in the network that the deployment has made, where the configuration names none.
fn in_network(environment: &Environment, mut scratch: RdsScratch) -> Result<RdsScratch> {
    if scratch.subnet_group.is_none() {
        scratch.subnet_group = environment.text(SUBNET_GROUP)?.filter(|name| !name.is_empty());
    }
    if scratch.security_groups.is_empty() {
        let groups = environment.text(SECURITY_GROUPS)?.unwrap_or_default();
        scratch.security_groups = groups.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect();
    }
    Ok(scratch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_instance_lies_where_it_was_configured_to_and_else_in_the_deployments_network() {
        let deployed = Environment::of([(SUBNET_GROUP, "lifeboat-scratch"), (SECURITY_GROUPS, "sg-1,sg-2")]);
        let there = in_network(&deployed, RdsScratch::of_class("db.t4g.medium")).unwrap();
        assert_eq!(there.subnet_group.as_deref(), Some("lifeboat-scratch"));
        assert_eq!(there.security_groups, ["sg-1", "sg-2"]);

        let own = RdsScratch {
            subnet_group: Some("isolated".to_owned()),
            security_groups: vec!["sg-9".to_owned()],
            ..RdsScratch::of_class("db.t4g.medium")
        };
        assert_eq!(in_network(&deployed, own.clone()).unwrap(), own);

        let bare = Environment::of([(SUBNET_GROUP, ""), (SECURITY_GROUPS, "")]);
        let nowhere = RdsScratch::of_class("db.t4g.medium");
        assert_eq!(in_network(&bare, nowhere.clone()).unwrap(), nowhere);
    }
}
