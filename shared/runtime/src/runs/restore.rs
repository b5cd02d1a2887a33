//! One restore: whole or tables, into a schema beside the live tables, or as a swap; with the hooks of its target.

mod back;
mod destination;

use std::{path::PathBuf, sync::Arc};

use lifeboat_archive::encryption::{Identities, Kind};

use lifeboat_core::{
    Result,
    drill::Assertion,
    dump::{DumpPorts, DumpRequest},
    events::{Body, Failure, RestoreCompleted, RestoreKind, brief},
    forecast::Extent,
    ids::DatabaseSlug,
    manifest::Manifest,
    ports::{Hooks, RunContext, Store, Target},
    restore::{
        self, Expected, NoHooks, RescueOutcome, RescuePlan, RescuePorts, RescueRequest, RestoreOutcome, RestorePlan,
        RestorePorts, RestoreRequest, SafetyBackup, SwapOutcome, SwapPlan, SwapPorts, SwapRequest, TableName, hooked,
    },
};
use lifeboat_postgres::PgLive;
use serde::Serialize;

use crate::{
    encryption::SealTo,
    requests::total,
    setup::Setup,
    telling::{Told, tell},
};

pub use back::{PreparedSwapBack, prepare_swap_back};
pub use destination::Destination;

/// What is to be done with the backup.
#[derive(Debug, Clone)]
pub enum How {
    /// All of it, or some tables, into the target.
    Into {
        /// What of it, and how.
        request: RestoreRequest,
        /// Whether what is there is backed up first, where there is something.
        safety: bool,
        /// Whether what is there is replaced, where there is something.
        replace: bool,
    },
    /// Tables into a schema beside the live ones.
    IntoSchema {
        /// The tables.
        tables: Vec<TableName>,
        /// The schema.
        schema: String,
    },
    /// Beside the live database, and then in its place.
    Swap,
}

/// What a restore may be told.
#[derive(Clone)]
pub struct RestoreOptions {
    /// The backup.
    pub manifest: Arc<Manifest>,
    /// Where to.
    pub destination: Destination,
    /// How.
    pub how: How,
    /// Parallel sessions, instead of what is configured.
    pub jobs: Option<u32>,
    /// The file of keys that opens the backup, instead of what is configured.
    pub identity: Option<PathBuf>,
    /// Whether the target is a scratch one, and loaded with settings that are for such.
    pub fast_scratch: bool,
}

/// What a restore will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum PlannedRestore {
    /// Into the target.
    Into(RestorePlan),
    /// Into a schema.
    IntoSchema(RescuePlan),
    /// A swap.
    Swap(SwapPlan),
}

impl PlannedRestore {
    /// The restore that is part of each.
    pub fn restore(&self) -> &RestorePlan {
        match self {
            Self::Into(plan) => plan,
            Self::IntoSchema(plan) => &plan.restore,
            Self::Swap(plan) => &plan.restore,
        }
    }
}

/// A plan, and how long it will take; a dry run shows exactly this.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Predicted {
    /// The plan.
    #[serde(flatten)]
    pub plan: PlannedRestore,
    /// The time to expect.
    pub predicted: Expected,
}

/// A restore into the target, with its hooks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookedRestore {
    /// What was done.
    #[serde(flatten)]
    pub outcome: RestoreOutcome,
    /// What went wrong afterwards, such as a service that did not start.
    pub trouble: Vec<String>,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "there is one of it")]
pub enum Restored {
    /// Into the target.
    Into(HookedRestore),
    /// Into a schema.
    IntoSchema(RescueOutcome),
    /// A swap.
    Swap(SwapOutcome),
}

impl Restored {
    /// What went wrong although the data are where they should be.
    pub fn trouble(&self) -> &[String] {
        match self {
            Self::Into(done) => &done.trouble,
            Self::IntoSchema(_) => &[],
            Self::Swap(done) => &done.trouble,
        }
    }
}

/// What a restore works with.
struct Work {
    options: RestoreOptions,
    jobs: u32,
    checks: Vec<Assertion>,
    store: Arc<dyn Store>,
    identities: Arc<Identities>,
    target: Arc<dyn Target>,
}

/// A plan, and what it would be executed with.
pub struct PreparedRestore {
    work: Work,
    /// The plan.
    pub plan: PlannedRestore,
}

/// Reads backup and target and makes the plan, or refuses; changes nothing.
pub async fn prepare_restore(setup: &Setup, options: RestoreOptions, context: &RunContext) -> Result<PreparedRestore> {
    context.cancel.race(Box::pin(prepare(setup, options))).await
}

async fn prepare(setup: &Setup, mut options: RestoreOptions) -> Result<PreparedRestore> {
    let config = setup.database(&options.manifest.database);
    let identities = setup.identities_for(&options.manifest, options.identity.as_deref()).await?;
    let target = setup.open_target(options.destination.connection.clone()).await?;
    let target: Arc<dyn Target> = Arc::new(target.fast_scratch(options.fast_scratch));
    if let How::Into { request, replace: true, .. } = &mut options.how
        && !request.resume
        && !target.facts().await?.contents.is_empty()
    {
        (request.force, request.clean) = (true, true);
    }
    let work = Work {
        jobs: options.jobs.unwrap_or(config.jobs.value),
        checks: config.drill.checks.value,
        store: setup.open_store().await?,
        identities,
        target,
        options,
    };
    let plan = work.planned(setup).await?;
    Ok(PreparedRestore { work, plan })
}

impl Work {
    async fn planned(&self, setup: &Setup) -> Result<PlannedRestore> {
        let manifest = &self.options.manifest;
        Ok(match &self.options.how {
            How::Into { request, safety, .. } => {
                let request = RestoreRequest { jobs: self.jobs, ..request.clone() };
                let plan = restore::dry_run(&self.ports(), manifest, &request, *safety).await?;
                PlannedRestore::Into(plan)
            }
            How::IntoSchema { tables, schema } => {
                let request = self.rescue_request(tables, schema);
                PlannedRestore::IntoSchema(
                    restore::plan_rescue(&self.rescue_ports(setup).await?, manifest, &request).await?,
                )
            }
            How::Swap => {
                let ports = self.swap_ports(setup, Arc::new(NoHooks)).await?;
                PlannedRestore::Swap(restore::plan_swap(&ports, manifest, &self.swap_request()).await?)
            }
        })
    }

    fn ports(&self) -> RestorePorts {
        RestorePorts {
            store: Arc::clone(&self.store),
            identities: Arc::clone(&self.identities),
            target: Arc::clone(&self.target),
        }
    }

    async fn live(&self, setup: &Setup) -> Result<Arc<PgLive>> {
        Ok(Arc::new(setup.open_live(self.options.destination.connection.clone()).await?))
    }

    fn rescue_request(&self, tables: &[TableName], schema: &str) -> RescueRequest {
        RescueRequest { tables: tables.to_vec(), schema: schema.to_owned(), jobs: self.jobs }
    }

    async fn rescue_ports(&self, setup: &Setup) -> Result<RescuePorts> {
        let live = self.live(setup).await?;
        let (store, identities) = (Arc::clone(&self.store), Arc::clone(&self.identities));
        Ok(RescuePorts { store, identities, live, target: Arc::clone(&self.target) })
    }

    fn swap_request(&self) -> SwapRequest {
        SwapRequest { jobs: self.jobs, checks: self.checks.clone() }
    }

    async fn swap_ports(&self, setup: &Setup, hooks: Arc<dyn Hooks>) -> Result<SwapPorts> {
        let live = self.live(setup).await?;
        let (store, identities) = (Arc::clone(&self.store), Arc::clone(&self.identities));
        Ok(SwapPorts { store, identities, live, target: Arc::clone(&self.target), hooks })
    }

    /// Whom the backup of the target is encrypted to: as dumps of the database are that is restored, else as the backup is.
    async fn safety_sealing(&self, setup: &Setup, slug: &DatabaseSlug) -> Result<SealTo> {
        let manifest = &self.options.manifest;
        let mut config = setup.database(slug);
        let of_database = setup.database(&manifest.database).encryption;
        if config.encryption.encrypt_to.value.is_empty() && config.encryption.passphrase.is_none() {
            config.encryption.encrypt_to = of_database.encrypt_to;
            config.encryption.passphrase = of_database.passphrase;
        }
        config.encryption.required.value |= of_database.required.value;
        let named = !config.encryption.encrypt_to.value.is_empty() || config.encryption.passphrase.is_some();
        let as_the_backup = manifest.encryption.as_ref().filter(|e| !named && e.key.is_none());
        let flags = match as_the_backup {
            None => Vec::new(),
            // Of OpenPGP the manifest has fingerprints only: the keys are those that open it.
            Some(e) if e.kind == Kind::OpenPgp.name() => self.identities.public_keys(&e.recipients),
            Some(e) => e.recipients.clone(),
        };
        setup.sealing(slug, &config, &flags).await
    }

    /// The target as a source. Its backup has a history of its own: it must never be taken for one of the source.
    async fn safety_backup(&self, setup: &Setup, context: &RunContext) -> Result<SafetyBackup> {
        let connection = &self.options.destination.connection;
        let slug = DatabaseSlug::safety_of(connection.database())?;
        let config = setup.database(&slug);
        let source = context.cancel.race(setup.open_source(connection.clone())).await?;
        let sealing = self.safety_sealing(setup, &slug).await?;
        Ok(SafetyBackup {
            ports: DumpPorts {
                source: Arc::new(source),
                store: Arc::clone(&self.store),
                control: setup.open_control().await?,
            },
            request: DumpRequest {
                jobs: config.jobs.value,
                codec: config.compress.value,
                timezone: config.timezone.value,
                chunk_bytes: config.chunk_size.value.0,
                encryption: sealing.recipients,
                passphrase: sealing.passphrase,
                ..DumpRequest::new(slug)
            },
        })
    }
}

impl PreparedRestore {
    /// The plan with the time to expect.
    pub async fn predicted(&self, context: &RunContext) -> Result<Predicted> {
        let plan = self.plan.restore();
        let extent = Extent { stored_bytes: plan.stored_bytes, rows: plan.rows };
        let predicting = restore::predict(&*self.work.store, &self.work.options.manifest.database, extent);
        Ok(Predicted { plan: self.plan.clone(), predicted: context.cancel.race(predicting).await? })
    }

    /// Whether what is there is backed up first.
    pub(crate) fn takes_safety(&self) -> bool {
        matches!(&self.plan, PlannedRestore::Into(plan) if plan.safety_backup)
    }

    /// Does it. The bus is told where the target is one of the configuration: what a person restores elsewhere is nobody
    /// else's business.
    pub async fn execute(self, setup: &Setup, context: &RunContext) -> Result<Restored> {
        if self.work.options.destination.name.is_none() {
            return Ok(Box::pin(self.execute_untold(setup, context)).await?.answer);
        }
        let database = self.work.options.manifest.database.clone();
        let backup = self.work.options.manifest.backup_id.clone();
        let failed = |failure: Failure| Body::RestoreFailed(Failure { backup_id: Some(backup), ..failure });
        tell(setup, context, &database, failed, Box::pin(self.execute_untold(setup, context))).await
    }

    /// The same, leaving it to the caller to tell of it.
    pub(crate) async fn execute_untold(self, setup: &Setup, context: &RunContext) -> Result<Told<Restored>> {
        let destination = &self.work.options.destination;
        let manifest = &self.work.options.manifest;
        let restored = match &self.work.options.how {
            How::Into { request, .. } => {
                let request = RestoreRequest { jobs: self.work.jobs, ..request.clone() };
                let hooks = destination.hooks(setup, Some(manifest), context).await?;
                let safety = if self.takes_safety() {
                    Some(Box::pin(self.work.safety_backup(setup, context)).await?)
                } else {
                    None
                };
                let ports = self.work.ports();
                let running = Box::pin(restore::run(&ports, manifest, &request, safety.as_ref(), context));
                let (outcome, trouble) = hooked(&*hooks, context, running).await?;
                Restored::Into(HookedRestore { outcome, trouble })
            }
            How::IntoSchema { tables, schema } => {
                let request = self.work.rescue_request(tables, schema);
                let ports = self.work.rescue_ports(setup).await?;
                Restored::IntoSchema(Box::pin(restore::rescue(&ports, manifest, &request, context)).await?)
            }
            How::Swap => {
                let hooks = destination.hooks(setup, Some(manifest), context).await?;
                let ports = self.work.swap_ports(setup, hooks).await?;
                Restored::Swap(Box::pin(restore::swap(&ports, manifest, &self.work.swap_request(), context)).await?)
            }
        };
        let events = destination.name.as_ref().map(|name| completed(name, &restored)).into_iter().collect();
        Ok(Told::new(restored, events))
    }
}

fn completed(target: &str, restored: &Restored) -> Body {
    let base = |how, outcome: &RestoreOutcome| RestoreCompleted {
        backup_id: outcome.backup_id.clone(),
        target: target.to_owned(),
        how,
        rows: outcome.rows,
        seconds: total(&outcome.phases),
        downtime_seconds: None,
        kept_as: None,
        schema: None,
        trouble: Vec::new(),
    };
    let trouble = restored.trouble().iter().map(|t| brief(t)).collect();
    Body::RestoreCompleted(match restored {
        Restored::Into(done) => RestoreCompleted { trouble, ..base(RestoreKind::Into, &done.outcome) },
        Restored::Swap(done) => RestoreCompleted {
            downtime_seconds: Some(done.exchange.downtime_seconds),
            kept_as: Some(done.kept_as.clone()),
            trouble,
            ..base(RestoreKind::Swap, &done.restored)
        },
        Restored::IntoSchema(done) => RestoreCompleted {
            backup_id: done.backup_id.clone(),
            target: target.to_owned(),
            how: RestoreKind::IntoSchema,
            rows: done.rows,
            seconds: total(&done.phases),
            downtime_seconds: None,
            kept_as: None,
            schema: Some(done.schema.clone()),
            trouble,
        },
    })
}
