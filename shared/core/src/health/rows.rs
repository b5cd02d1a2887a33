//! What health saw, as labels and values for tables: the command line and the status page print the same.

use crate::{
    health::{
        Facts, HealthState, ServerSeen,
        words::{moment, seconds_between, span},
    },
    ports::ServerFacts,
    report::words,
};

/// A label, and what is to be said.
pub type Row = (String, String);

fn row(label: &str, value: impl Into<String>) -> Row {
    (label.to_owned(), value.into())
}

/// The facts of one database in the order in which a person asks for them.
pub fn rows(state: &HealthState) -> Vec<Row> {
    let mut rows = Vec::new();
    let facts = &state.facts;
    backups(state, &mut rows);
    drills(facts, &mut rows);
    if let Some(retention) = &facts.retention {
        let full = retention.cost.as_ref().map_or(String::new(), |cost| {
            format!(", ${:.2} with everything once the policy has run for long enough", cost.bill.total_usd)
        });
        rows.push(row(
            "cost",
            format!(
                "${:.2} a month now, ${:.2} after retention's plan{full}",
                retention.usd_per_month_now, retention.usd_per_month_forecast
            ),
        ));
    }
    tools(facts, &mut rows);
    match &facts.server {
        ServerSeen::NotConfigured => rows.push(row("server", "not asked: no URL is configured")),
        ServerSeen::Unreachable { .. } => rows.push(row("server", "not reached")),
        ServerSeen::Observed { facts: server } => self::server(facts, server, &mut rows),
    }
    if let Some(certificate) = &facts.certificate {
        rows.push(row(
            "certificate",
            format!("{}, valid until {}", certificate.subject, moment(certificate.valid_until)),
        ));
    }
    if let Some(lease) = facts.control.as_ref().and_then(|control| control.lease.as_ref()) {
        rows.push(row("running", format!("{} since {}", lease.operation, moment(lease.acquired_at))));
    }
    if let Some(told) = facts.control.as_ref().map(|control| control.told_again).filter(|told| *told > 0) {
        rows.push(row("told again", format!("{told} events that could not be told before")));
    }
    rows
}

fn backups(state: &HealthState, rows: &mut Vec<Row>) {
    let facts = &state.facts;
    let newest = match facts.newest_good_at() {
        Some(at) => format!("{} old ({})", span(seconds_between(at, state.at)), moment(at)),
        None => "none".to_owned(),
    };
    let known = if facts.backups.is_some() { "" } else { ", as last known" };
    rows.push(row("newest good backup", format!("{newest}{known}")));
    let wanted = &facts.wanted;
    rows.push(row("RPO", wanted.rpo_seconds.map_or("not set".to_owned(), span)));
    if let Some(backups) = &facts.backups {
        let b = &backups.status.backups;
        let mut counts = format!("{} uploaded, {} verified, {} restored", b.uploaded, b.verified, b.restored);
        for (count, what) in
            [(b.expiring, "expiring"), (b.corrupt + b.damaged, "damaged"), (backups.status.held, "held")]
        {
            if count > 0 {
                counts = format!("{counts}, {count} {what}");
            }
        }
        rows.push(row("backups", format!("{counts}; {}", words::bytes(backups.status.stored_bytes))));
    }
}

fn drills(facts: &Facts, rows: &mut Vec<Row>) {
    let Some(drills) = &facts.drills else { return };
    let last = drills.first().map(|last| {
        let rto = last.drill.rto_seconds.map_or(String::new(), |rto| format!(", restored in {}", words::duration(rto)));
        format!("{} on {}{rto}", last.drill.words(), moment(last.drill.finished_at))
    });
    rows.push(row("last drill", last.unwrap_or_else(|| "none".to_owned())));
    rows.push(row("RTO", facts.wanted.rto_seconds.map_or("not set".to_owned(), span)));
    if let Some(recovery) = &facts.recovery {
        rows.push(row("recovery, forecast", recovery.to_string()));
    }
}

fn tools(facts: &Facts, rows: &mut Vec<Row>) {
    let found: Vec<String> =
        facts.tools.found.iter().map(|tools| format!("{} in {}", tools.version, tools.folder)).collect();
    let found = if found.is_empty() { "none found".to_owned() } else { found.join(", ") };
    let chosen = facts.tools.chosen.as_ref().map_or(String::new(), |version| format!("{version}; found: "));
    rows.push(row("client tools", format!("{chosen}{found}")));
}

fn server(facts: &Facts, server: &ServerFacts, rows: &mut Vec<Row>) {
    let kind = if server.standby { ", a standby" } else { "" };
    rows.push(row("server", format!("PostgreSQL {} on {}{kind}", server.version, server.server)));
    let mut bytes = |label: &str, bytes: Option<u64>| {
        if let Some(bytes) = bytes {
            rows.push(row(label, words::bytes(bytes)));
        }
    };
    bytes("database size", server.database_bytes);
    bytes("WAL on disk", server.wal_bytes);
    bytes("temporary files", server.temporary_bytes);
    rows.push(row(
        "disk",
        server.disk.as_ref().map_or_else(
            || "not visible from here".to_owned(),
            |disk| format!("{} free of {}", words::bytes(disk.free_bytes), words::bytes(disk.total_bytes)),
        ),
    ));
    if let Some(connections) = &server.connections {
        rows.push(row("connections", format!("{} of {}", connections.used, connections.most)));
    }
    if let Some(rate) = facts.transactions_per_second {
        rows.push(row("transactions", format!("{rate:.1} a second since health looked before")));
    }
    if let Some(counters) = &server.counters {
        rows.push(row("cache hit ratio", hit_ratio(counters.blocks_hit, counters.blocks_read)));
    }
    if let Some(ids) = &server.ids {
        rows.push(row(
            "oldest ids",
            format!(
                "transactions {} ({}), multixacts {} ({})",
                words::count(ids.transaction_ids),
                ids.database,
                words::count(ids.multixact_ids),
                ids.multixact_database
            ),
        ));
    }
    let oldest = server.transactions.iter().map(|t| t.age_seconds).max();
    rows.push(row("oldest transaction", oldest.map_or("none open".to_owned(), span)));
    for slot in &server.slots {
        let state = if slot.active { "active" } else { "inactive" };
        let retained = slot.retained_bytes.map_or(String::new(), |b| format!(", retains {}", words::bytes(b)));
        rows.push(row("replication slot", format!("{} ({}), {state}{retained}", slot.name, slot.kind)));
    }
    if let Some(archiver) = &server.archiver {
        let last = archiver.last_archived_at.map_or("never".to_owned(), moment);
        rows.push(row("WAL archived", format!("last: {last}")));
    }
    for standby in &server.standbys {
        let lag =
            standby.lag_seconds.map_or("no lag measured".to_owned(), |lag| format!("{} behind", words::duration(lag)));
        let bytes = standby.lag_bytes.map_or(String::new(), |b| format!(" ({})", words::bytes(b)));
        rows.push(row("standby", format!("{}, {}: {lag}{bytes}", standby.name, standby.state)));
    }
    if let Some(replay) = &server.replay {
        rows.push(row("replay", format!("{} behind", words::duration(replay.delay_seconds))));
    }
    for hidden in &server.hidden {
        rows.push(row("not visible", format!("{}: {}", hidden.what, hidden.why)));
    }
}

/// As a person reads it; without any reading of blocks there is none.
fn hit_ratio(hit: u64, read: u64) -> String {
    let tenths = u128::from(hit) * 1000 / u128::from(hit.saturating_add(read)).max(1);
    if hit == 0 && read == 0 { "nothing was read".to_owned() } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}
