//! One open snapshot: the coordinator's session that holds locks and snapshot, and the workers that read it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex as StdMutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use lifeboat_archive::{checksum::TableChecksum, toc::Toc};
use lifeboat_core::{
    Error, ErrorKind, Result,
    manifest::{Omitted, SourceFacts},
    ports::{BlockSink, Inventory, RunContext, Snapshot, SnapshotWorker, SourceTable, Unit},
};
use tokio::{sync::Mutex, task::JoinHandle};

use super::{BEGIN_READING, copy_out, facts, harvest, large_objects, locks, names, preflight, tables};
use crate::{
    connect::ConnectionTarget,
    failure::{Failure, database_error},
    inventory, quote,
    session::SETTING_UP,
    tools::ClientTools,
    wire::WireSession,
};

/// Lets the server end a session that has been idle for 50 s, in a transaction or not: a frozen client behind a proxy
/// that keeps the connection open must not hold its snapshot.
const EXPIRE_WHEN_IDLE: &str = "SET idle_in_transaction_session_timeout = 50000; SET idle_session_timeout = 50000";

/// How often the coordinator's session is kept alive by a query.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// The query that keeps it alive.
const KEEPALIVE: &str = "SELECT 1";

/// How long a range that is refused behind a lock on an index is tried again before the dump starts anew without ranges.
const RANGE_PATIENCE: Duration = Duration::from_secs(5);

struct Shared {
    target: ConnectionTarget,
    application: String,
    id: String,
    encoding: String,
    readable: HashMap<i32, tables::ReadableTable>,
    coordinator: Mutex<WireSession>,
    read_whole_next_time: Arc<StdMutex<HashSet<u32>>>,
}

impl Shared {
    fn read_whole_next_time(&self, table: u32) {
        if let Ok(mut tables) = self.read_whole_next_time.lock() {
            tables.insert(table);
        }
    }
}

/// A snapshot of a PostgreSQL database.
pub(super) struct PgSnapshot {
    shared: Arc<Shared>,
    keepalive: JoinHandle<()>,
    facts: SourceFacts,
    toc: Toc,
    tables: Vec<SourceTable>,
    inventory: Inventory,
    omitted: Vec<Omitted>,
}

/// Opens the snapshot once; `SnapshotLost` where it is worth starting again. On any error the coordinator's session is
/// closed first, so that whoever waits behind its locks goes on.
pub(super) async fn open(
    target: &ConnectionTarget,
    tools: &ClientTools,
    whole: HashSet<u32>,
    read_whole_next_time: Arc<StdMutex<HashSet<u32>>>,
    context: &RunContext,
) -> Result<PgSnapshot> {
    let application = format!("lifeboat {}", context.run_id);
    let mut session = expiring_session(target, &application).await?;
    match prepare(&mut session, target, tools, &whole, context).await {
        Ok(prepared) => {
            let shared = Arc::new(Shared {
                target: target.clone(),
                application,
                id: prepared.id,
                encoding: prepared.facts.encoding.clone(),
                readable: prepared.readable,
                coordinator: Mutex::new(session),
                read_whole_next_time,
            });
            let keepalive = tokio::spawn(keep_alive(Arc::downgrade(&shared)));
            Ok(PgSnapshot {
                shared,
                keepalive,
                facts: prepared.facts,
                toc: prepared.toc,
                tables: prepared.tables,
                inventory: prepared.inventory,
                omitted: prepared.omitted,
            })
        }
        Err(error) => {
            // Roll back first: an ACCESS EXCLUSIVE queued behind our locks waits for this. A dead session is no matter.
            drop(session.execute("ROLLBACK").await);
            Err(error)
        }
    }
}

struct Prepared {
    id: String,
    facts: SourceFacts,
    toc: Toc,
    tables: Vec<SourceTable>,
    readable: HashMap<i32, tables::ReadableTable>,
    inventory: Inventory,
    omitted: Vec<Omitted>,
}

async fn prepare(
    session: &mut WireSession,
    target: &ConnectionTarget,
    tools: &ClientTools,
    whole: &HashSet<u32>,
    context: &RunContext,
) -> Result<Prepared> {
    let exported = locks::lock_and_export(session).await?;
    let name = format!("lifeboat {} toc", context.run_id);
    let harvesting = harvest::harvest(target, tools, Some(&exported.id), &name, &context.cancel);
    let harvest = match kept_alive(session, harvesting).await {
        Ok(harvest) => harvest,
        Err(error) => {
            // Whatever pg_dump says, in whatever language: with the session that holds the snapshot that has gone, too.
            keep(session).await?;
            return Err(error);
        }
    };
    locks::step("table of contents harvested");
    let facts = facts::read(session, target, tools, &exported, &harvest.toc).await?;
    let (tables, readable) = tables::describe(session, &harvest.toc, &exported.locked, &facts.encoding, whole).await?;
    locks::step("tables described");
    let inventory = inventory::inventory(session, facts.server_version_num).await?;
    names::check(session).await?;
    locks::step("inventory taken");
    let mut omitted = preflight::omitted(session).await?;
    omitted.extend(harvest.warnings.into_iter().map(|text| Omitted {
        kind: "pg_dump warning".to_owned(),
        object: "see reason".to_owned(),
        reason: text,
    }));
    Ok(Prepared { id: exported.id, facts, toc: harvest.toc, tables, readable, inventory, omitted })
}

/// Does what may take long without the coordinator's session, and keeps that alive meanwhile.
async fn kept_alive<T>(session: &mut WireSession, work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            result = &mut work => return result,
            () = tokio::time::sleep(KEEPALIVE_EVERY) => {
                keep(session).await?;
            }
        }
    }
}

async fn keep(session: &mut WireSession) -> Result<()> {
    session.execute(KEEPALIVE).await.map_err(|e| locks::failed("keep the snapshot", &e))
}

/// Queries the coordinator's session now and then: NAT gateways forget idle connections, and the server ends a session
/// whose client has been silent for 50 s. A session that is copying needs none.
async fn keep_alive(shared: std::sync::Weak<Shared>) {
    loop {
        tokio::time::sleep(KEEPALIVE_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        if let Ok(mut session) = shared.coordinator.try_lock()
            && session.execute(KEEPALIVE).await.is_err()
        {
            return;
        }
    }
}

impl Drop for PgSnapshot {
    fn drop(&mut self) {
        self.keepalive.abort();
    }
}

#[async_trait]
impl Snapshot for PgSnapshot {
    fn facts(&self) -> &SourceFacts {
        &self.facts
    }

    fn toc(&self) -> &Toc {
        &self.toc
    }

    fn tables(&self) -> &[SourceTable] {
        &self.tables
    }

    fn inventory(&self) -> &Inventory {
        &self.inventory
    }

    fn omitted(&self) -> &[Omitted] {
        &self.omitted
    }

    async fn worker(&self) -> Result<Box<dyn SnapshotWorker>> {
        let session = expiring_session(&self.shared.target, &self.shared.application).await?;
        Ok(Box::new(Worker { shared: Arc::clone(&self.shared), session }))
    }

    async fn close(self: Box<Self>) -> Result<()> {
        // Stopped in the middle of its query it would take the session with it.
        let mut session = self.shared.coordinator.lock().await;
        self.keepalive.abort();
        names::check_rows(&mut session).await
    }
}

/// A session that the server ends when nobody keeps it alive.
async fn expiring_session(target: &ConnectionTarget, application: &str) -> Result<WireSession> {
    let mut session = target.connect_wire(application).await?;
    session.execute(EXPIRE_WHEN_IDLE).await.map_err(|e| database_error(SETTING_UP, &e))?;
    Ok(session)
}

struct Worker {
    shared: Arc<Shared>,
    session: WireSession,
}

#[async_trait]
impl SnapshotWorker for Worker {
    async fn copy_out(&mut self, unit: &Unit, sink: &mut dyn BlockSink) -> Result<TableChecksum> {
        let shared = Arc::clone(&self.shared);
        let table = shared.readable.get(&unit.dump_id).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, format!("dump id {} is no table of this snapshot", unit.dump_id))
        })?;
        let started = Instant::now();
        loop {
            self.begin().await?;
            let attempt = copy_out::on_worker(&mut self.session, table, unit, &shared.encoding, sink)
                .await
                .inspect_err(|error| {
                    // Long values of a range may wait for an index that is being made anew; read whole, they can.
                    if error.kind() == ErrorKind::SnapshotLost && unit.range.is_some() {
                        shared.read_whole_next_time(table.oid);
                    }
                })?;
            match (attempt, unit.range) {
                (copy_out::Attempt::Done(checksum), _) => return Ok(checksum),
                (copy_out::Attempt::Refused, None) => {
                    let mut coordinator = shared.coordinator.lock().await;
                    return copy_out::on_coordinator(&mut coordinator, table, unit, &shared.encoding, sink).await;
                }
                (copy_out::Attempt::Refused, Some(_)) if started.elapsed() < RANGE_PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                (copy_out::Attempt::Refused, Some(_)) => {
                    shared.read_whole_next_time(table.oid);
                    return Err(locks::lost(format!(
                        "{} or one of its indexes is locked exclusively; starting again to read it whole",
                        table.label
                    )));
                }
            }
        }
    }

    async fn large_objects(&mut self) -> Result<Vec<(u32, u64)>> {
        self.begin().await?;
        let listed = large_objects::list(&mut self.session).await?;
        self.commit().await?;
        Ok(listed)
    }

    async fn large_object(&mut self, oid: u32, sink: &mut dyn BlockSink) -> Result<u64> {
        self.begin().await?;
        let size = large_objects::copy(&mut self.session, oid, sink).await?;
        self.commit().await?;
        Ok(size)
    }
}

impl Worker {
    /// Begins a transaction on the snapshot. Between two units the session holds nothing, and the server may have ended
    /// it while an upload took long to complete: then another one takes its place.
    async fn begin(&mut self) -> Result<()> {
        let begun = self.session.execute(BEGIN_READING).await;
        if self.session.is_closed() {
            self.session = expiring_session(&self.shared.target, &self.shared.application).await?;
            self.session.execute(BEGIN_READING).await.map_err(|e| locks::failed("begin", &e))?;
        } else {
            begun.map_err(|e| locks::failed("begin", &e))?;
        }
        // BEGIN must be a message of its own before this.
        let sql = format!("SET TRANSACTION SNAPSHOT {}", quote::literal(&self.shared.id));
        self.session.execute(sql).await.map_err(|e| locks::lost(format!("take the snapshot: {}", e.reason())))
    }

    async fn commit(&mut self) -> Result<()> {
        self.session.execute("COMMIT").await.map_err(|e| locks::failed("commit", &e))
    }
}
