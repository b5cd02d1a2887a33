//! Maintenance without a server: what the plan decides, what a person is told, and how a run keeps to its limits.

#![allow(clippy::unwrap_used, reason = "tests may panic, also in what they share")]

mod planning;
mod recommending;
mod running;

use lifeboat_core::maintenance::{
    Bloat, BloatSource, Facts, IndexFacts, MaintenanceRequest, ObjectName, Operation, Plan, TableFacts, TableKind, plan,
};

const NOW: &str = "2026-11-20T12:00:00Z";
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

fn name(name: &str) -> ObjectName {
    ObjectName { schema: "shop".to_owned(), name: name.to_owned() }
}

/// A table that needs nothing.
fn table(oid: u32, called: &str) -> TableFacts {
    TableFacts {
        oid,
        name: name(called),
        kind: TableKind::Table,
        ancestors: Vec::new(),
        owner: "owner".to_owned(),
        may_maintain: true,
        may_own: true,
        live_tuples: 100_000,
        dead_tuples: 0,
        changed_since_analyze: 0,
        inserted_since_vacuum: 0,
        last_vacuum: Some(LONG_AGO.parse().unwrap()),
        last_analyze: Some(LONG_AGO.parse().unwrap()),
        heap_bytes: 100 << 20,
        total_bytes: 150 << 20,
        bloat: None,
        transaction_age: 1000,
        autovacuum: true,
        in_use: 0,
        identified: true,
        of_extension: false,
        above_foreign: false,
    }
}

/// An index that needs nothing.
fn index(oid: u32, called: &str, of: &TableFacts) -> IndexFacts {
    IndexFacts {
        oid,
        name: name(called),
        table_oid: of.oid,
        table: of.name.clone(),
        method: "btree".to_owned(),
        bytes: 50 << 20,
        scans: 10,
        last_scan: None,
        valid: true,
        being_built: false,
        unique: false,
        backs_constraint: false,
        exclusion: false,
        replica_identity: false,
        clustered: false,
        partitioned: false,
        attached: false,
        of_extension: false,
        signature: called.to_owned(),
        definition: String::new(),
        bloat: None,
    }
}

fn half_bloated(bytes: u64) -> Bloat {
    Bloat::of(bytes / 2, bytes, BloatSource::Estimated)
}

fn facts(tables: Vec<TableFacts>, indexes: Vec<IndexFacts>) -> Facts {
    Facts {
        server_version_num: 150_018,
        role: "carer".to_owned(),
        sees_all_sessions: true,
        statistics_since: Some(LONG_AGO.parse().unwrap()),
        freeze_max_age: 200_000_000,
        freeze_table_age: 150_000_000,
        autovacuum: true,
        tables,
        indexes,
        ..Facts::default()
    }
}

fn request(operations: &[Operation]) -> MaintenanceRequest {
    MaintenanceRequest { operations: operations.to_vec(), ..MaintenanceRequest::new("orders".parse().unwrap()) }
}

fn named(operations: &[Operation], tables: &[&str]) -> MaintenanceRequest {
    MaintenanceRequest { tables: tables.iter().map(|t| t.parse().unwrap()).collect(), ..request(operations) }
}

fn planned(facts: &Facts, request: &MaintenanceRequest) -> Plan {
    plan(facts, request, NOW.parse().unwrap()).unwrap()
}

/// What the steps do, in order.
fn steps(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| s.action.doing()).collect()
}

fn codes(plan: &Plan) -> Vec<&str> {
    plan.recommendations.iter().map(|r| r.code.as_str()).collect()
}
