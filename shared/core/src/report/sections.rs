//! The parts of a drill report that are labels with values: who, what, where, keys, closure, the chain of reports.

use super::{
    DrillReport, Fact,
    view::{Row, Section, fact, row},
    words::bytes,
};
use crate::markdown::grouped;

pub(super) fn sections(report: &DrillReport) -> Vec<Section> {
    vec![
        Section { title: "Identity", rows: identity(report) },
        Section { title: "Scope", rows: scope(report) },
        Section { title: "Backup", rows: backup(report) },
        Section { title: "Encryption", rows: crypto(report) },
        Section { title: "Environment", rows: environment(report) },
        Section { title: "Closure", rows: closure(report) },
        Section { title: "Integrity of this report", rows: integrity(report) },
    ]
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "none".to_owned() } else { items.join("; ") }
}

fn identity(report: &DrillReport) -> Vec<Row> {
    let identity = &report.identity;
    vec![
        row("Drill", &report.drill_id),
        row("Run", &report.run_id),
        row("Began", report.started_at),
        row("Ended", report.finished_at),
        row("Trigger", &identity.trigger),
        row("Scenario", &identity.scenario),
        row("Backup selected by", &identity.selection),
        fact("Operator", &identity.operator),
        fact("Policy version", &identity.policy_version),
        row("Controls", list(&identity.controls)),
    ]
}

fn scope(report: &DrillReport) -> Vec<Row> {
    let scope = &report.scope;
    let mut rows = vec![
        row("Database", format!("{} ({})", report.database, report.backup.database_name)),
        fact("Criticality", &scope.criticality),
        row("In scope", list(&scope.in_scope)),
    ];
    rows.extend(scope.out_of_scope.iter().map(|o| row("Not in scope", format!("{}: {}", o.what, o.reason))));
    rows
}

fn backup(report: &DrillReport) -> Vec<Row> {
    let backup = &report.backup;
    vec![
        row("Backup", &backup.backup_id),
        row("Lies in", &backup.location),
        row("Source server", &backup.source_server),
        row("Snapshot", backup.snapshot_at),
        fact("WAL position", &backup.snapshot_lsn),
        row("Tier", backup.tier.name()),
        row("Compression", &backup.compression),
        row("Size", format!("{} in {} objects", bytes(backup.stored_bytes), grouped(backup.object_count))),
        row("SHA-256 of the manifest", &backup.manifest_sha256),
        fact("Storage class", &backup.storage_class),
        fact("Region", &backup.region),
        fact("Account", &backup.account),
        fact("Locked until", &backup.locked_until),
    ]
}

fn crypto(report: &DrillReport) -> Vec<Row> {
    let Some(encryption) = &report.crypto.encryption else {
        return vec![row("Encrypted by Lifeboat", "no")];
    };
    vec![
        row("Algorithm", &encryption.kind),
        row("Key ids", list(&encryption.recipients)),
        match report.crypto.decrypted.value {
            Some(decrypted) => row("Decrypted", if decrypted { "everything" } else { "no, or not everything" }),
            None => fact("Decrypted", &report.crypto.decrypted),
        },
    ]
}

fn environment(report: &DrillReport) -> Vec<Row> {
    let environment = &report.environment;
    vec![
        row("Scratch target", &environment.target),
        fact("Id", &environment.target_id),
        fact("Class", &environment.target_class),
        fact("Network", &environment.target_network),
        row("Source PostgreSQL", &environment.source_server_version),
        fact("Target PostgreSQL", &environment.target_server_version),
        row("pg_dump", &environment.pg_dump_version),
        fact("pg_restore", &environment.pg_restore_version),
        row("Lifeboat of the drill", &environment.lifeboat_version),
        row("Lifeboat of the backup", &environment.backup_lifeboat_version),
    ]
}

fn closure(report: &DrillReport) -> Vec<Row> {
    let closure = &report.closure;
    let cost = match &closure.cost {
        Fact { value: Some(cost), .. } => row("Cost", format!("{:.2} {} ({})", cost.amount, cost.currency, cost.basis)),
        Fact { reason, .. } => fact("Cost", &Fact::<String> { value: None, reason: reason.clone() }),
    };
    vec![
        row("Torn down", if closure.torn_down { "yes" } else { "NO" }),
        fact("Checked by", &closure.tear_down_proof),
        cost,
        row("Deviations", list(&closure.deviations)),
        fact("Retest", &closure.retest),
    ]
}

fn integrity(report: &DrillReport) -> Vec<Row> {
    let previous = match &report.integrity.previous_report {
        Fact { value: Some(previous), .. } => {
            vec![row("Previous drill", &previous.drill_id), row("SHA-256 of its report", &previous.report_sha256)]
        }
        Fact { reason, .. } => {
            vec![fact("Previous drill", &Fact::<String> { value: None, reason: reason.clone() })]
        }
    };
    let mut rows = previous;
    rows.push(row("SHA-256 of report.json", &report.report_sha256));
    rows.push(fact("Kept until", &report.integrity.kept_until));
    rows
}
