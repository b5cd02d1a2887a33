//! One look at a database: the ports that it needs, what the bus is told, and the figures for CloudWatch.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use lifeboat_core::{
    Result,
    config::{ScratchSetting, Span},
    digest,
    drill::LeftInstances,
    events::{HealthFinding, Severity},
    health::{
        self, HealthOutcome, HealthPorts, HealthRequest, HealthState, PAGE_KEY, RecipientKey, StoreProbe, Wanted,
    },
    ids::DatabaseSlug,
    ports::{Outbox, RunContext, ScratchReaper, Subscriptions, WatchedServer},
};
use lifeboat_postgres::{cluster::LeftClusters, health::PgWatched, scratch::LeftDatabases};

use crate::{
    metrics::{Metric, Unit},
    setup::{Selected, Setup},
    telling::{Told, send_undelivered, tell},
};

/// Databases that are looked at at the same time.
const AT_ONCE: usize = 8;

/// What came of looking at several databases.
#[derive(Debug)]
pub struct Looked {
    /// What was seen and found, in the order asked for. An error: that look was stopped.
    pub states: Vec<Result<HealthState>>,
    /// Key of the status page; an error where it could not be written.
    pub page: Result<String>,
}

/// Looks at databases, tells the bus what was found, and writes the status page once all have been looked at.
pub async fn health(setup: &Setup, selected: &[Selected], context: &RunContext) -> Looked {
    let probe = Arc::default();
    let looks = selected.iter().map(|one| Box::pin(look(setup, one, &probe, context)));
    let states = stream::iter(looks).buffered(AT_ONCE).collect().await;
    let page = async {
        let control = setup.open_control().await?;
        health::write_page(&*control, context.clock.now()).await?;
        Ok(PAGE_KEY.to_owned())
    };
    Looked { states, page: context.cancel.race(page).await }
}

async fn look(
    setup: &Setup,
    selected: &Selected,
    probe: &Arc<StoreProbe>,
    context: &RunContext,
) -> Result<HealthState> {
    let before = found_before(setup, &selected.slug, context).await;
    let work = Box::pin(async {
        let ports = ports(setup, selected, probe, context).await;
        let outcome = health::run(&ports, &request(setup, selected), context).await?;
        let HealthOutcome { state, events } = outcome;
        let metrics = metrics(&state);
        Ok(Told::new(state, events).with_metrics(metrics))
    });
    tell(setup, context, &selected.slug, |failure| health::not_looked(failure, before), work).await
}

/// What was found when health last looked: should it not look now, that must not seem to be over.
pub(crate) async fn found_before(setup: &Setup, database: &DatabaseSlug, context: &RunContext) -> Vec<HealthFinding> {
    let Ok(control) = setup.open_control().await else { return Vec::new() };
    let reading = async { Ok(health::last_findings(&*control, database).await) };
    context.cancel.race(reading).await.unwrap_or_default()
}

/// Events that wait in the control store, told to the configured bus.
struct Bus {
    setup: Setup,
    context: RunContext,
}

#[async_trait]
impl Outbox for Bus {
    async fn send_again(&self) -> Result<u64> {
        send_undelivered(&self.setup, &self.context).await
    }
}

async fn ports(setup: &Setup, selected: &Selected, probe: &Arc<StoreProbe>, context: &RunContext) -> HealthPorts {
    let server = match selected.config.url {
        Some(_) => {
            let connection = setup.connection(selected).await;
            Some(connection.map(|target| Arc::new(PgWatched::new(target)) as Arc<dyn WatchedServer>))
        }
        None => None,
    };
    let local = LeftClusters { work_folder: setup.temporary_folder() };
    let mut scratch: Vec<Result<Arc<dyn ScratchReaper>>> = vec![Ok(Arc::new(local))];
    if let ScratchSetting::Server(url) = &selected.config.drill.scratch.value {
        let server = setup.resolve(url).await;
        scratch.push(server.map(|server| Arc::new(LeftDatabases { server }) as Arc<dyn ScratchReaper>));
    }
    if let ScratchSetting::Rds(_) = &selected.config.drill.scratch.value {
        let others = setup.config.databases.keys().filter(|other| **other != selected.slug).cloned().collect();
        let reaper = setup.open_instances().await.map(|instances| {
            let deployment = setup.deployment().to_owned();
            let left = LeftInstances { instances, deployment, database: selected.slug.clone(), others };
            Arc::new(left) as Arc<dyn ScratchReaper>
        });
        scratch.push(reaper);
    }
    // Where nobody listens, nothing may be taken for told.
    let outbox = match setup.open_bus().await {
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => {
            Some(Arc::new(Bus { setup: setup.clone(), context: context.clone() }) as Arc<dyn Outbox>)
        }
    };
    HealthPorts {
        store: setup.open_store().await,
        probe: Arc::clone(probe),
        control: setup.open_control().await,
        server,
        tools: Arc::new(setup.tools()),
        scratch,
        subscriptions: setup
            .open_topic()
            .await
            .map(|topic| topic.map(|topic| topic as Arc<dyn Subscriptions>))
            .transpose(),
        outbox,
    }
}

/// Seconds between two digests, where there is somebody to send them to.
fn digest_seconds(setup: &Setup) -> Option<u64> {
    let alerts = &setup.config.alerts;
    let period = digest::period(alerts).filter(|_| alerts.reach_somebody())?;
    u64::try_from(period.as_secs()).ok()
}

fn request(setup: &Setup, selected: &Selected) -> HealthRequest {
    let config = &selected.config;
    let seconds = |span: &Span| span.0;
    let (dumps, drills) = (config.schedule.as_ref(), config.drill.schedule.as_ref());
    HealthRequest {
        database: selected.slug.clone(),
        wanted: Wanted {
            rpo_seconds: config.rpo.as_ref().map(|rpo| seconds(&rpo.value)),
            rto_seconds: config.rto.as_ref().map(|rto| seconds(&rto.value)),
            schedule: dumps.map(|schedule| schedule.value.to_string()),
            schedule_pause_seconds: dumps.map(|schedule| schedule.value.longest_pause_seconds()),
            drill_schedule: drills.map(|schedule| schedule.value.to_string()),
            drill_pause_seconds: drills.map(|schedule| schedule.value.longest_pause_seconds()),
            drill_selection: Some(config.drill.select.value.to_string()),
            digest_seconds: digest_seconds(setup),
            keys: RecipientKey::that_end(&config.encryption.encrypt_to.value),
        },
        config: config.health.clone(),
        retention: config.retention.clone(),
    }
}

/// The figures of a look. What is not known has none: alarms take missing data for what they are.
fn metrics(state: &HealthState) -> Vec<Metric> {
    let facts = &state.facts;
    let since = |at: Timestamp| state.at.duration_since(at).as_secs_f64().max(0.0);
    let mut metrics = Vec::new();
    let critical = state.findings.iter().filter(|finding| finding.severity == Severity::Critical).count();
    metrics.push(Metric::count("CriticalFindings", critical as u64));
    if state.findings.iter().all(|finding| finding.severity < Severity::Warning) {
        // Where something is told, the event's own figure is written.
        metrics.push(Metric::count("Findings", 0));
    }
    metrics.extend(facts.newest_good_at().map(|at| Metric::seconds("BackupAge", since(at))));
    // Drills that fail every month must not keep the alarm on this figure quiet.
    metrics.extend(facts.newest_whole_drill().map(|seen| Metric::seconds("DrillAge", since(seen.drill.finished_at))));
    if let Some(backups) = &facts.backups {
        let counts = &backups.status.backups;
        metrics.push(Metric::bytes("StoredTotal", backups.status.stored_bytes));
        metrics.push(Metric::count("GoodBackups", counts.verified + counts.restored));
    }
    if let Some(retention) = &facts.retention {
        metrics.push(Metric::new("MonthlyCost", Unit::None, retention.usd_per_month_now));
    }
    if let Some(control) = &facts.control {
        metrics.push(Metric::count("UndeliveredEvents", control.undelivered));
        metrics.push(Metric::count("OpenIncidents", control.incidents));
    }
    if let Some(server) = facts.server.facts() {
        metrics.extend(server.database_bytes.map(|bytes| Metric::bytes("DatabaseSize", bytes)));
        metrics.extend(server.connections.map(|connections| Metric::count("Connections", connections.used)));
        metrics
            .extend(facts.transactions_per_second.map(|rate| Metric::new("Transactions", Unit::CountPerSecond, rate)));
    }
    metrics
}
