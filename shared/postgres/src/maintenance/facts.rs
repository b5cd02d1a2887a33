//! Reads everything that maintenance plans from; measures bloat where the server can.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use lifeboat_core::maintenance::{
    Bloat, BloatSource, Facts, OpenTransaction, Session as SessionFacts, Sessions, TableFacts, TableKind, Thresholds,
    WaitingSession, without_literals,
};
use tokio_postgres::Row;

use super::{
    Unread,
    objects::{self, Columns, Index, Table},
    queries, rows, sequences, statements, time, unsigned,
};
use crate::{quote, session::Session};

/// How long measuring may take in all, and of one object.
const MEASURING: Duration = Duration::from_mins(1);
const MEASURING_ONE: Duration = Duration::from_secs(20);

/// From how many seconds on a wait for a lock is told.
const LONG_WAIT_SECONDS: f64 = 10.0;

/// The most sessions of a kind that are told.
const MOST_SESSIONS: usize = 20;

pub(super) async fn read(session: &Session, thresholds: &Thresholds, measure_all: bool) -> Result<Facts, Unread> {
    let mut server = rows(session, queries::SERVER, &[], "read the server's facts").await?;
    let Some(row) = server.pop() else { return Err(Unread::Locked) };
    let version = u32::try_from(row.get::<_, i32>(0)).unwrap_or(0);
    let page = u32::try_from(row.get::<_, i32>(15)).unwrap_or(8192);
    let extension: Option<String> = row.get(6);
    let columns = Columns::read(session).await?;
    let mut tables = objects::tables(session, version, row.get(18), page, &columns).await?;
    let mut indexes = objects::indexes(session, version, page, &columns, &tables).await?;
    if let Some(schema) = &extension {
        Measuring { session, schema, page, thresholds, all: measure_all }.run(&mut tables, &mut indexes).await;
    }
    let (hit, read) = (unsigned(row.get(8)), unsigned(row.get(9)));
    Ok(Facts {
        server_version_num: version,
        standby: row.get(1),
        standbys: u32::try_from(row.get::<_, i64>(2)).unwrap_or(0),
        role: row.get(3),
        sees_all_sessions: row.get(4),
        database_bytes: unsigned(row.get(5)),
        can_measure: extension.is_some(),
        statistics_since: time(row.get(7)),
        cache_hit_percent: hit_percent(hit, read),
        blocks_read: hit.saturating_add(read),
        transaction_age: unsigned(row.get(10)),
        multixact_age: unsigned(row.get(11)),
        freeze_max_age: unsigned(row.get(12)),
        freeze_table_age: unsigned(row.get(13)),
        autovacuum: row.get(14),
        tables: tables.into_iter().map(|t| t.facts).collect(),
        indexes: indexes.into_iter().map(|i| i.facts).collect(),
        sequences: sequences::read(session).await?,
        sessions: sessions(session, &row, thresholds).await?,
    })
}

#[allow(clippy::cast_precision_loss, reason = "a percentage for people")]
fn hit_percent(hit: u64, read: u64) -> Option<f64> {
    let all = hit.saturating_add(read);
    (all > 0).then(|| (hit as f64 * 1000.0 / all as f64).round() / 10.0)
}

#[allow(clippy::cast_precision_loss, reason = "a threshold of some minutes")]
async fn sessions(session: &Session, server: &Row, thresholds: &Thresholds) -> Result<Sessions, Unread> {
    let long = thresholds.long_query_seconds as f64;
    let mut told = Sessions {
        connections: u32::try_from(server.get::<_, i64>(16)).unwrap_or(0),
        most_connections: u32::try_from(server.get::<_, i64>(17)).unwrap_or(0),
        ..Sessions::default()
    };
    for row in rows(session, queries::SESSIONS, &[], "read sessions").await? {
        let one = SessionFacts {
            pid: row.get(0),
            user: row.get(1),
            application: row.get(2),
            state: row.get(3),
            seconds: row.get(4),
            query: without_literals(row.get(5)),
        };
        told.here += 1;
        let idle = one.state.starts_with("idle in transaction");
        told.active += u32::from(one.state == "active");
        told.idle_in_transaction += u32::from(idle);
        let blocked_by: Vec<i32> = row.get(7);
        match row.get::<_, Option<f64>>(6) {
            Some(seconds) if seconds >= LONG_WAIT_SECONDS && !blocked_by.is_empty() => {
                told.waiting.push(WaitingSession { session: SessionFacts { seconds, ..one }, blocked_by });
            }
            _ if idle && one.seconds >= long => told.long_idle.push(one),
            _ if one.state == "active" && one.seconds >= long => told.long_queries.push(one),
            _ => {}
        }
    }
    told.waiting.sort_by(|a, b| b.session.seconds.total_cmp(&a.session.seconds));
    told.waiting.truncate(MOST_SESSIONS);
    told.long_idle.truncate(MOST_SESSIONS);
    told.long_queries.truncate(MOST_SESSIONS);
    let prepared = rows(session, queries::PREPARED, &[], "read prepared transactions").await?;
    told.prepared = prepared
        .iter()
        .map(|row| OpenTransaction { gid: row.get(0), user: row.get(1), seconds: row.get(2) })
        .filter(|p| p.seconds >= long)
        .take(MOST_SESSIONS)
        .collect();
    Ok(told)
}

/// Whether so many rows are dead that their index entries count.
fn is_full_of_dead(table: &TableFacts) -> bool {
    table.dead_tuples.saturating_mul(10) >= table.live_tuples.max(1)
}

/// Reads bloat by the extension pgstattuple. What cannot be measured in time keeps its estimate.
struct Measuring<'a> {
    session: &'a Session,
    schema: &'a str,
    page: u32,
    thresholds: &'a Thresholds,
    all: bool,
}

impl Measuring<'_> {
    async fn run(&self, tables: &mut [Table], indexes: &mut [Index]) {
        let until = Instant::now() + MEASURING;
        for table in tables.iter_mut() {
            let facts = &mut table.facts;
            if self.wants(facts.heap_bytes, facts.bloat) && facts.kind != TableKind::Partitioned {
                let function = self.function("pgstattuple_approx");
                let sql = format!(
                    "SELECT table_len, dead_tuple_len + approx_free_space::int8 FROM {function}({}::pg_catalog.regclass)",
                    quote::literal(&statements::name(&facts.name))
                );
                if let Some(row) = self.one(&sql, until).await {
                    let whole = unsigned(row.get(0));
                    let kept = whole / 100 * u64::from(100 - table.fillfactor);
                    facts.bloat =
                        Some(Bloat::of(unsigned(row.get(1)).saturating_sub(kept), whole, BloatSource::Measured));
                }
            }
        }
        let full_of_dead: HashSet<u32> =
            tables.iter().filter(|t| is_full_of_dead(&t.facts)).map(|t| t.facts.oid).collect();
        for index in indexes.iter_mut() {
            let facts = &mut index.facts;
            if facts.method != "btree" || !facts.valid || facts.partitioned || !self.wants(facts.bytes, facts.bloat) {
                continue;
            }
            let function = self.function("pgstatindex");
            let sql = format!(
                "SELECT index_size, internal_pages, leaf_pages, avg_leaf_density FROM {function}({}::pg_catalog.regclass)",
                quote::literal(&statements::name(&facts.name))
            );
            let Some(row) = self.one(&sql, until).await else { continue };
            let measured = self.of_btree(&row, index.fillfactor);
            // Entries of dead rows look like others until VACUUM has removed them; the estimate knows that nobody needs them.
            let better = facts.bloat.filter(|e| full_of_dead.contains(&facts.table_oid) && e.bytes > measured.bytes);
            facts.bloat = Some(better.unwrap_or(measured));
        }
    }

    fn function(&self, name: &str) -> String {
        quote::qualified(self.schema, name)
    }

    /// Whether measuring could change what is done: too small is too small, and far from the threshold is far from it.
    fn wants(&self, bytes: u64, estimate: Option<Bloat>) -> bool {
        bytes >= self.thresholds.bloat_least_bytes.max(1)
            && (self.all || estimate.is_none_or(|e| e.percent >= self.thresholds.bloat_percent / 2))
    }

    async fn one(&self, sql: &str, until: Instant) -> Option<Row> {
        let left = until.saturating_duration_since(Instant::now()).min(MEASURING_ONE);
        if left.is_zero() {
            return None;
        }
        let limit = format!("SET statement_timeout = {}", left.as_millis().max(1));
        self.session.batch_execute(&limit).await.ok()?;
        let row = self.session.query_one(sql, &[]).await;
        self.session.batch_execute("SET statement_timeout = 0").await.ok()?;
        row.inspect_err(|error| tracing::debug!(%error, "bloat could not be measured")).ok()
    }

    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "pages of one index; its density is NaN where it has no leaves"
    )]
    fn of_btree(&self, row: &Row, fillfactor: u32) -> Bloat {
        let (whole, inner) = (unsigned(row.get(0)), unsigned(row.get(1)));
        let density = Some(row.get::<_, f64>(3)).filter(|d| d.is_finite()).unwrap_or(0.0);
        let leaves = (unsigned(row.get(2)) as f64 * density / f64::from(fillfactor)).ceil().max(0.0) as u64;
        // The first page tells where the root is.
        let needs = (leaves + inner + 1) * u64::from(self.page);
        Bloat::of(whole.saturating_sub(needs), whole, BloatSource::Measured)
    }
}
