//! Decides from facts, request and thresholds what is done, in which order and why; pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Action, Facts, IndexCleanup, IndexFacts, LeftOut, MaintenanceRequest, Operation, Plan, Remedy, Step, TableFacts,
    TableKind, recommend::recommend,
};
use crate::{Error, ErrorKind, Result, report::words::count, restore::TableName};

/// The transaction age from which VACUUM leaves the indexes aside, to freeze as fast as it can.
const URGENT_TRANSACTION_AGE: u64 = 1_000_000_000;

/// The version from which ANALYZE can be asked for a partitioned table alone.
const ANALYZE_ONLY_SINCE: u32 = 180_000;

/// Makes the plan. `now` is the time of the facts. `Usage` where a table that is named is not there, `Refused` where
/// the server is a standby and something is to be done.
pub fn plan(facts: &Facts, request: &MaintenanceRequest, now: jiff::Timestamp) -> Result<Plan> {
    let named = named(facts, &request.tables)?;
    check(facts, request, named.as_ref())?;
    let mut planner = Planner { facts, request, named: named.as_ref(), full: BTreeSet::new(), plan: Plan::default() };
    planner.full();
    planner.leftovers();
    planner.vacuum();
    planner.analyze();
    planner.reindex();
    planner.plan.steps.sort_by_key(|step| order(&step.action));
    planner.plan.recommendations = recommend(facts, request, &planner.plan, now);
    Ok(planner.plan)
}

/// Leftovers cost every write, so they go first; what is cheap and useful comes before what is long.
fn order(action: &Action) -> u8 {
    match action {
        Action::DropLeftover { .. } => 0,
        Action::Vacuum { .. } => 1,
        Action::Analyze { .. } => 2,
        Action::Reindex { .. } => 3,
        Action::VacuumFull { .. } => 4,
    }
}

/// OIDs of the tables that were named, with all partitions below them; `None` where none was.
fn named(facts: &Facts, names: &[TableName]) -> Result<Option<BTreeSet<u32>>> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    for name in names {
        let matching: Vec<&TableFacts> = facts
            .tables
            .iter()
            .filter(|t| t.name.name == name.name && name.schema.as_ref().is_none_or(|s| *s == t.name.schema))
            .collect();
        match matching.as_slice() {
            [] => {
                return Err(Error::new(ErrorKind::Usage, format!("there is no table {name}")).with_hint(
                    "tables, partitioned tables and materialized views can be named, as schema.table; \
                     a name with odd characters goes in double quotes",
                ));
            }
            [one] => found.insert(one.oid),
            many => {
                let schemas: Vec<&str> = many.iter().map(|t| t.name.schema.as_str()).collect();
                return Err(Error::new(ErrorKind::Usage, format!("{name} is in schemas {}", schemas.join(", ")))
                    .with_hint("write schema.table"));
            }
        };
    }
    let below: Vec<u32> =
        facts.tables.iter().filter(|t| t.ancestors.iter().any(|a| found.contains(a))).map(|t| t.oid).collect();
    found.extend(below);
    Ok(Some(found))
}

fn check(facts: &Facts, request: &MaintenanceRequest, named: Option<&BTreeSet<u32>>) -> Result<()> {
    if facts.standby && !request.operations.is_empty() {
        return Err(Error::new(ErrorKind::Refused, "the server is a standby: nothing can be maintained on it")
            .with_hint("run maintenance on the primary; its changes arrive on the standby by themselves"));
    }
    if !request.wants(Operation::Full) {
        return Ok(());
    }
    let Some(named) = named else {
        return Err(Error::new(ErrorKind::Usage, "VACUUM FULL shuts everybody out of a table: it must be named")
            .with_hint("lifeboat maintenance DATABASE --full --table schema.table"));
    };
    let roots = facts.tables.iter().filter(|t| t.kind == TableKind::Partitioned && named.contains(&t.oid));
    match roots.map(|t| t.name.to_string()).next() {
        Some(root) => Err(Error::new(
            ErrorKind::Usage,
            format!("{root} is partitioned: VACUUM FULL of all of it at once is not done"),
        )
        .with_hint("name the partitions that need it")),
        None => Ok(()),
    }
}

struct Planner<'a> {
    facts: &'a Facts,
    request: &'a MaintenanceRequest,
    named: Option<&'a BTreeSet<u32>>,
    /// Tables that are written anew as a whole.
    full: BTreeSet<u32>,
    plan: Plan,
}

impl<'a> Planner<'a> {
    /// Whether a table may be touched, as far as the request goes.
    fn concerns(&self, table: u32) -> bool {
        self.named.is_none_or(|named| named.contains(&table))
    }

    fn is_named(&self, table: u32) -> bool {
        self.named.is_some_and(|named| named.contains(&table))
    }

    fn tables(&self) -> impl Iterator<Item = &'a TableFacts> + use<'a> {
        let named = self.named;
        self.facts.tables.iter().filter(move |t| named.is_none_or(|named| named.contains(&t.oid)))
    }

    fn leave_out(&mut self, action: Action, reason: impl Into<String>, remedy: Option<Remedy>) {
        self.plan.left_out.push(LeftOut { action, reason: reason.into(), remedy });
    }

    fn step(&mut self, action: Action, reason: String, oid: u32, table_oid: u32, blocks: &str, disk_bytes: u64) {
        self.plan.steps.push(Step { action, reason, oid, table_oid, blocks: blocks.to_owned(), disk_bytes });
    }

    fn full(&mut self) {
        if !self.request.wants(Operation::Full) {
            return;
        }
        for table in self.tables() {
            let action = Action::VacuumFull { table: table.name.clone() };
            if !table.may_own && !table.may_maintain {
                let remedy = Some(self.grant(table));
                self.leave_out(action, NOT_ALLOWED, remedy);
                continue;
            }
            self.full.insert(table.oid);
            let blocks = format!(
                "shuts everybody out of {}, readers too, from its lock to its end; sessions that hold a lock on it now: {}",
                table.name, table.in_use
            );
            let reason = match table.bloat {
                Some(bloat) => format!("asked for by name; {} % of the table are bloat", bloat.percent),
                None => "asked for by name".to_owned(),
            };
            self.step(action, reason, table.oid, table.oid, &blocks, table.total_bytes);
        }
    }

    fn vacuum(&mut self) {
        if !self.request.wants(Operation::Vacuum) {
            return;
        }
        let mut due: Vec<(&TableFacts, String)> = self
            .tables()
            .filter(|t| t.kind != TableKind::Partitioned && !self.full.contains(&t.oid))
            .filter_map(|t| Some((t, self.vacuum_reason(t)?)))
            .collect();
        // Frozen first what is oldest, then what holds most dead tuples.
        due.sort_by_key(|(t, _)| {
            let age = if t.transaction_age >= self.facts.freeze_table_age { t.transaction_age } else { 0 };
            std::cmp::Reverse((age, t.dead_tuples, t.heap_bytes))
        });
        for (table, reason) in due {
            let idle = self.facts.standbys == 0 && table.in_use == 0;
            let urgent = table.transaction_age >= URGENT_TRANSACTION_AGE;
            let action = Action::Vacuum {
                table: table.name.clone(),
                parallel: self.request.limits.parallel,
                truncate: idle,
                index_cleanup: if urgent { IndexCleanup::Off } else { IndexCleanup::Auto },
            };
            if table.may_maintain {
                self.step(action, reason, table.oid, table.oid, DEFINITIONS, 0);
            } else {
                let remedy = Some(self.grant(table));
                self.leave_out(action, NOT_ALLOWED, remedy);
            }
        }
    }

    fn vacuum_reason(&self, table: &TableFacts) -> Option<String> {
        let thresholds = &self.request.thresholds;
        let all = table.live_tuples.saturating_add(table.dead_tuples);
        let dead_percent = percent(table.dead_tuples, all);
        if table.transaction_age >= self.facts.freeze_table_age {
            return Some(format!(
                "its oldest transaction is {} transactions old: freezing is due",
                count(table.transaction_age)
            ));
        }
        if self.is_named(table.oid) {
            return Some(format!("asked for by name; {} dead tuples ({dead_percent} %)", count(table.dead_tuples)));
        }
        if table.dead_tuples >= thresholds.dead_tuples_least.max(1) && dead_percent >= thresholds.dead_tuples_percent {
            return Some(format!("{} dead tuples ({dead_percent} %)", count(table.dead_tuples)));
        }
        let inserted_percent = percent(table.inserted_since_vacuum, all);
        let many = table.inserted_since_vacuum >= thresholds.dead_tuples_least.max(1);
        (many && inserted_percent >= thresholds.changed_percent).then(|| {
            format!(
                "{} rows inserted since the last VACUUM ({inserted_percent} %): index-only scans and freezing want one",
                count(table.inserted_since_vacuum)
            )
        })
    }

    fn analyze(&mut self) {
        if !self.request.wants(Operation::Analyze) {
            return;
        }
        let mut due: BTreeMap<u32, (&TableFacts, String)> = BTreeMap::new();
        for table in self.tables() {
            if let Some(reason) = self.analyze_reason(table) {
                due.insert(table.oid, (table, reason));
            }
        }
        let only = self.facts.server_version_num >= ANALYZE_ONLY_SINCE;
        if !only {
            // There ANALYZE of a partitioned table reaches its partitions: once is enough.
            let reach = |t: &TableFacts| t.kind == TableKind::Partitioned && !t.above_foreign;
            let roots: BTreeSet<u32> = due.values().filter(|(t, _)| reach(t)).map(|(t, _)| t.oid).collect();
            due.retain(|_, (t, _)| !t.ancestors.iter().any(|a| roots.contains(a)));
        }
        let mut due: Vec<_> = due.into_values().collect();
        due.sort_by_key(|(t, _)| std::cmp::Reverse((t.changed_since_analyze, t.live_tuples, t.heap_bytes)));
        for (table, reason) in due {
            let action =
                Action::Analyze { table: table.name.clone(), only: only && table.kind == TableKind::Partitioned };
            if table.above_foreign {
                self.leave_out(action, FOREIGN, None);
            } else if table.may_maintain {
                self.step(action, reason, table.oid, table.oid, DEFINITIONS, 0);
            } else {
                let remedy = Some(self.grant(table));
                self.leave_out(action, NOT_ALLOWED, remedy);
            }
        }
    }

    fn analyze_reason(&self, table: &TableFacts) -> Option<String> {
        let thresholds = &self.request.thresholds;
        let parts = || self.facts.tables.iter().filter(|t| t.ancestors.contains(&table.oid));
        // The statistics of a partitioned table count nothing themselves.
        let (rows, changed) = if table.kind == TableKind::Partitioned {
            parts().fold((0_u64, 0_u64), |(rows, changed), t| {
                (rows.saturating_add(t.live_tuples), changed.saturating_add(t.changed_since_analyze))
            })
        } else {
            (table.live_tuples, table.changed_since_analyze)
        };
        let changed_percent = percent(changed, rows);
        if self.is_named(table.oid) {
            return Some(format!("asked for by name; {} rows changed since the last one", count(changed)));
        }
        if table.last_analyze.is_none() && (rows > 0 || table.heap_bytes > 0) {
            return Some("never analyzed".to_owned());
        }
        (changed >= thresholds.dead_tuples_least.max(1) && changed_percent >= thresholds.changed_percent)
            .then(|| format!("{} rows changed since the last one ({changed_percent} %)", count(changed)))
    }

    fn leftovers(&mut self) {
        if !self.request.wants(Operation::Reindex) {
            return;
        }
        let facts = self.facts;
        let left: Vec<&IndexFacts> =
            facts.indexes.iter().filter(|i| self.concerns(i.table_oid) && is_leftover(facts, i)).collect();
        for index in left {
            let action = Action::DropLeftover { index: index.name.clone() };
            match self.table_of(index) {
                Some(table) if table.may_own => {
                    let reason = "left by a REINDEX CONCURRENTLY that did not end: every write pays for it".to_owned();
                    self.step(action, reason, index.oid, index.table_oid, DEFINITIONS, 0);
                }
                table => {
                    let remedy = table.map(|t| self.own(t));
                    self.leave_out(action, NOT_OWNER, remedy);
                }
            }
        }
    }

    fn reindex(&mut self) {
        if !self.request.wants(Operation::Reindex) {
            return;
        }
        let facts = self.facts;
        let mut due: Vec<(&IndexFacts, String)> = facts
            .indexes
            .iter()
            .filter(|i| self.concerns(i.table_oid) && !self.full.contains(&i.table_oid))
            .filter(|i| !i.partitioned && !i.being_built && !is_leftover(facts, i))
            .filter_map(|i| Some((i, self.reindex_reason(i)?)))
            .collect();
        due.sort_by_key(|(i, _)| std::cmp::Reverse((!i.valid, i.bloat.map_or(0, |b| b.bytes), i.bytes)));
        for (index, reason) in due {
            let action = Action::Reindex { index: index.name.clone() };
            if index.exclusion {
                let remedy = Remedy::ReindexLocking { index: index.name.clone() };
                self.leave_out(
                    action,
                    "an exclusion constraint's index cannot be built anew concurrently",
                    Some(remedy),
                );
                continue;
            }
            match self.table_of(index) {
                Some(table) if table.may_own => {
                    self.step(action, reason, index.oid, index.table_oid, DEFINITIONS, index.bytes);
                }
                table => {
                    let remedy = table.map(|t| self.own(t));
                    self.leave_out(action, NOT_OWNER, remedy);
                }
            }
        }
    }

    fn reindex_reason(&self, index: &IndexFacts) -> Option<String> {
        if !index.valid {
            return Some("it is invalid: no query uses it, and every write pays for it".to_owned());
        }
        let bloated = index.bloat.filter(|b| is_bloated(*b, self.request));
        if let Some(bloat) = bloated {
            return Some(format!("{} % of it are bloat", bloat.percent));
        }
        self.is_named(index.table_oid).then(|| "asked for by its table's name".to_owned())
    }

    fn table_of(&self, index: &IndexFacts) -> Option<&'a TableFacts> {
        self.facts.tables.iter().find(|t| t.oid == index.table_oid)
    }

    fn grant(&self, table: &TableFacts) -> Remedy {
        Remedy::AllowMaintenance {
            table: table.name.clone(),
            owner: table.owner.clone(),
            role: self.facts.role.clone(),
            server_version_num: self.facts.server_version_num,
        }
    }

    fn own(&self, table: &TableFacts) -> Remedy {
        Remedy::GrantOwner { owner: table.owner.clone(), role: self.facts.role.clone() }
    }
}

const DEFINITIONS: &str = "nobody who reads or writes; changes of the table's definition wait, and make it give way";
const FOREIGN: &str =
    "a foreign table is below it, which ANALYZE would read from its server: run it yourself where that is right";
const NOT_ALLOWED: &str = "the role may not: it is neither the table's owner nor was it allowed to";
const NOT_OWNER: &str = "the role is not the owner, and could not drop what a REINDEX CONCURRENTLY leaves if it fails";

/// Whether bloat is beyond the thresholds.
pub(super) fn is_bloated(bloat: super::Bloat, request: &MaintenanceRequest) -> bool {
    let thresholds = &request.thresholds;
    bloat.bytes >= thresholds.bloat_least_bytes.max(1) && bloat.percent >= thresholds.bloat_percent
}

/// Whether an index was left by a REINDEX CONCURRENTLY that did not end: its name says so, nothing rests on it, and
/// another one does its work.
pub(super) fn is_leftover(facts: &Facts, index: &IndexFacts) -> bool {
    !index.valid
        && !index.being_built
        && !index.backs_constraint
        && index.named_as_leftover()
        && facts
            .indexes
            .iter()
            .any(|other| other.valid && other.table_oid == index.table_oid && other.signature == index.signature)
}

pub(super) fn percent(part: u64, whole: u64) -> u32 {
    u32::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(u32::MAX).min(100)
}
