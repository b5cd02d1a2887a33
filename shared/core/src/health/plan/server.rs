//! Findings about the database server, its connections, and the client tools.

use crate::{
    events::Severity,
    health::{
        ServerSeen,
        words::{counted, moment, named, seconds_between, span},
    },
    ports::{OpenTransaction, ServerFacts, Slot},
    report::words,
};

use super::{Findings, control::remedy};

/// So many things are named in one finding.
const NAMED: usize = 3;

/// From here on the server vacuums with all its might, and is a step from refusing writes.
const FAILSAFE_AGE: u64 = 1_600_000_000;

/// So close to its end, what expires is critical.
const LAST_DAYS: u64 = 3 * 86_400;

/// What Lifeboat's own sessions call themselves.
const OWN: &str = "lifeboat";

pub(super) fn look(f: &mut Findings<'_>) {
    let facts = f.facts;
    tools(f);
    certificate(f);
    match &facts.server {
        ServerSeen::NotConfigured => {
            let remedy = format!("set databases.{}.url in lifeboat.toml, or give --database-url", f.database);
            f.add("source_not_configured", Severity::Info, "no URL is configured: the server was not asked", remedy);
        }
        ServerSeen::Unreachable { failure } => {
            let message = format!("the database cannot be asked: {}", failure.message);
            f.add("source_unreachable", Severity::Critical, message, remedy(failure));
        }
        ServerSeen::Observed { facts } => {
            if let Some(at) = facts.role.as_ref().and_then(|role| role.valid_until) {
                let role = facts.role.as_ref().map_or("", |role| role.name.as_str());
                let what = format!("the password of role {role}");
                expiry(
                    f,
                    at,
                    &what,
                    &format!(
                        "set a new one (psql: \\password {role}), then ALTER ROLE … VALID UNTIL 'infinity' or a later date"
                    ),
                );
            }
            clock(f, facts);
            wal(f, facts);
            ids(f, facts);
            transactions(f, facts);
            room(f, facts);
            replication(f, facts);
        }
    }
}

fn tools(f: &mut Findings<'_>) {
    let Some(failure) = &f.facts.tools.trouble else { return };
    let code = if f.facts.tools.found.is_empty() { "client_tools_missing" } else { "client_tools_too_old" };
    f.add(code, Severity::Critical, failure.message.clone(), failure.hint.clone());
}

fn certificate(f: &mut Findings<'_>) {
    let Some(certificate) = &f.facts.certificate else { return };
    let left = seconds_between(f.now, certificate.valid_until);
    if left > f.thresholds.certificate_left.0 {
        return;
    }
    let (severity, state) = match left {
        0 => (Severity::Critical, format!("expired on {}", moment(certificate.valid_until))),
        left => {
            let severity = if left <= LAST_DAYS { Severity::Critical } else { Severity::Warning };
            (severity, format!("expires in {} ({})", span(left), moment(certificate.valid_until)))
        }
    };
    f.add(
        "certificate_expiring",
        severity,
        format!("the server's certificate ({}) {state}", certificate.subject),
        "renew it on the server and reload (SELECT pg_reload_conf()); on RDS: rotate the instance's CA",
    );
}

fn expiry(f: &mut Findings<'_>, at: jiff::Timestamp, what: &str, remedy: &str) {
    let left = seconds_between(f.now, at);
    if left > f.thresholds.credentials_left.0 {
        return;
    }
    let (severity, state) = match left {
        0 => (Severity::Critical, format!("was due on {}", moment(at))),
        left => {
            let severity = if left <= LAST_DAYS { Severity::Critical } else { Severity::Warning };
            (severity, format!("is due in {} ({})", span(left), moment(at)))
        }
    };
    f.add("credentials_expiring", severity, format!("the end of {what} {state}"), remedy);
}

fn clock(f: &mut Findings<'_>, facts: &ServerFacts) {
    let difference = facts.clock.duration_since(facts.our_clock).as_secs().unsigned_abs();
    if difference > f.thresholds.clock_difference.0 {
        f.add(
            "clock_differs",
            Severity::Warning,
            format!(
                "the server's clock differs from this machine's by {}: ages of backups are wrong by as much",
                span(difference)
            ),
            "synchronise both (chronyc tracking, timedatectl)",
        );
    }
}

fn wal(f: &mut Findings<'_>, facts: &ServerFacts) {
    let limit = f.thresholds.slot_wal.0;
    let retained = |slot: &&Slot| !slot.active && slot.retained_bytes.is_some_and(|bytes| bytes > limit);
    let slots: Vec<String> = facts
        .slots
        .iter()
        .filter(retained)
        .map(|slot| format!("{} ({})", slot.name, words::bytes(slot.retained_bytes.unwrap_or(0))))
        .collect();
    let drop_it = |slot: Option<&Slot>| {
        let name = slot.map_or("…", |slot| slot.name.as_str());
        format!("start what reads from it, or, if nobody needs it: SELECT pg_drop_replication_slot('{name}')")
    };
    if !slots.is_empty() {
        f.add(
            "wal_retained",
            Severity::Warning,
            format!(
                "nobody reads from {}, and WAL piles up: {}",
                counted(slots.len(), "replication slot"),
                named(&slots, NAMED)
            ),
            drop_it(facts.slots.iter().find(retained)),
        );
    }
    let lost = |slot: &&Slot| matches!(slot.wal_status.as_deref(), Some("unreserved" | "lost"));
    let names: Vec<String> = facts.slots.iter().filter(lost).map(|slot| slot.name.clone()).collect();
    if !names.is_empty() {
        f.add(
            "slot_lost",
            Severity::Critical,
            format!(
                "WAL that {} needs is gone or about to go: {}",
                counted(names.len(), "replication slot"),
                named(&names, NAMED)
            ),
            format!(
                "raise max_slot_wal_keep_size; whoever read from a lost slot must be set up anew. {}",
                drop_it(facts.slots.iter().find(lost))
            ),
        );
    }
    if let Some(archiver) = &facts.archiver
        && let Some(failed) = archiver.last_failed_at
        && archiver.last_archived_at.is_none_or(|archived| archived < failed)
    {
        let file = archiver.last_failed_wal.as_deref().unwrap_or("a file");
        let archived = archiver.last_archived_at.map_or("never".to_owned(), moment);
        f.add(
            "archiver_failing",
            Severity::Critical,
            format!("archiving {file} failed on {}; the last success: {archived}. WAL piles up on the server's disk", moment(failed)),
            "the server's log says what archive_command or archive_library answered; see also SELECT * FROM pg_stat_archiver",
        );
    }
}

fn ids(f: &mut Findings<'_>, facts: &ServerFacts) {
    let Some(ids) = &facts.ids else { return };
    let checks = [
        ("transaction_ids_old", "transaction id", ids.transaction_ids, &ids.database, f.thresholds.transaction_ids),
        ("multixact_ids_old", "multixact id", ids.multixact_ids, &ids.multixact_database, f.thresholds.multixact_ids),
    ];
    for (code, what, age, database, limit) in checks {
        if age <= u64::from(limit) {
            continue;
        }
        let severity = if age >= FAILSAFE_AGE { Severity::Critical } else { Severity::Warning };
        f.add(
            code,
            severity,
            format!(
                "the oldest {what} of database {database} is {} old; at about {} the server stops to write",
                words::count(age),
                words::count(2_100_000_000)
            ),
            format!("end old transactions and slots, then VACUUM (FREEZE) in {database}; lifeboat maintenance does it"),
        );
    }
}

fn transactions(f: &mut Findings<'_>, facts: &ServerFacts) {
    let name = |t: &OpenTransaction| {
        let application = if t.application.is_empty() { String::new() } else { format!(", {}", t.application) };
        format!("pid {} ({} on {}{application}) for {}", t.pid, t.role, t.database, span(t.age_seconds))
    };
    let terminate = |t: &OpenTransaction| {
        format!(
            "look at it: SELECT * FROM pg_stat_activity WHERE pid = {0}; end it: SELECT pg_terminate_backend({0})",
            t.pid
        )
    };
    let held = f.facts.control.as_ref().is_some_and(|control| control.lease.is_some());
    let limit = f.thresholds.long_transaction.0;
    let is_long = |t: &&OpenTransaction| t.age_seconds > limit && t.idle_seconds.is_none();
    let own = |t: &&OpenTransaction| t.application.starts_with(OWN);
    let long: Vec<&OpenTransaction> = facts.transactions.iter().filter(is_long).filter(|t| !own(t)).collect();
    if let Some(first) = long.first() {
        let names: Vec<String> = long.iter().map(|t| name(t)).collect();
        let message = format!(
            "{} open: {}. VACUUM cannot remove rows they may see",
            counted(long.len(), "long transaction"),
            named(&names, NAMED)
        );
        f.add("long_transaction", Severity::Warning, message, terminate(first));
    }
    let idle_limit = f.thresholds.idle_in_transaction.0;
    let is_idle = |t: &&OpenTransaction| t.idle_seconds.is_some_and(|idle| idle > idle_limit);
    let idle: Vec<&OpenTransaction> = facts.transactions.iter().filter(is_idle).filter(|t| !own(t)).collect();
    if let Some(first) = idle.first() {
        let names: Vec<String> = idle.iter().map(|t| name(t)).collect();
        let message = format!("{} idle within a transaction: {}", counted(idle.len(), "session"), named(&names, NAMED));
        let set = "let the server end such sessions: idle_in_transaction_session_timeout";
        f.add("idle_in_transaction", Severity::Warning, message, format!("{}; {set}", terminate(first)));
    }
    // Our own sessions hold a snapshot for as long as a dump takes: with a lease that is right, without one nobody waits for them.
    let orphaned: Vec<&OpenTransaction> =
        facts.transactions.iter().filter(own).filter(|t| is_long(t) || is_idle(t)).collect();
    if let Some(first) = orphaned.first().filter(|_| !held) {
        let names: Vec<String> = orphaned.iter().map(|t| name(t)).collect();
        let message = format!(
            "{} of Lifeboat, but no run holds the lease: {}",
            counted(orphaned.len(), "old session"),
            named(&names, NAMED)
        );
        f.add("orphaned_session", Severity::Warning, message, terminate(first));
    }
    let limit = f.thresholds.prepared_transaction.0;
    let old: Vec<_> = facts.prepared.iter().filter(|p| p.age_seconds > limit).collect();
    if let Some(first) = old.first() {
        let names: Vec<String> = old
            .iter()
            .map(|p| format!("'{}' ({} in {}) for {}", p.gid, p.owner, p.database, span(p.age_seconds)))
            .collect();
        let gid = first.gid.replace('\'', "''");
        f.add(
            "prepared_transaction",
            Severity::Warning,
            format!(
                "{} neither committed nor rolled back: {}",
                counted(old.len(), "prepared transaction"),
                named(&names, NAMED)
            ),
            format!(
                "in database {}: COMMIT PREPARED '{gid}' or ROLLBACK PREPARED '{gid}'; its coordinator knows which",
                first.database
            ),
        );
    }
}

fn room(f: &mut Findings<'_>, facts: &ServerFacts) {
    if let Some(connections) = &facts.connections
        && connections.used * 100 > u64::from(f.thresholds.connections_percent) * connections.most
    {
        f.add(
            "connections_near_limit",
            Severity::Warning,
            format!("{} of {} connections are in use", connections.used, connections.most),
            "SELECT count(*), state, application_name FROM pg_stat_activity GROUP BY 2, 3 shows whose; pool them, or raise max_connections",
        );
    }
    if let Some(disk) = &facts.disk
        && disk.free_bytes * 100 < u64::from(f.thresholds.disk_free_percent) * disk.total_bytes
    {
        let percent = disk.free_bytes * 100 / disk.total_bytes.max(1);
        let critical = percent * 2 < u64::from(f.thresholds.disk_free_percent);
        f.add(
            "disk_low",
            if critical { Severity::Critical } else { Severity::Warning },
            format!(
                "{percent} % of the server's disk are free: {} of {} ({})",
                words::bytes(disk.free_bytes),
                words::bytes(disk.total_bytes),
                disk.folder
            ),
            "enlarge the disk, or free space: old logs, retained WAL (replication slots, archiver), bloated tables",
        );
    }
}

fn replication(f: &mut Findings<'_>, facts: &ServerFacts) {
    let limit = f.thresholds.replication_lag;
    #[expect(clippy::cast_precision_loss, reason = "compared, not counted")]
    let limit_seconds = limit.0 as f64;
    let behind: Vec<String> = facts
        .standbys
        .iter()
        .filter(|standby| standby.lag_seconds.is_some_and(|lag| lag > limit_seconds))
        .map(|standby| format!("{} by {}", standby.name, words::duration(standby.lag_seconds.unwrap_or(0.0))))
        .collect();
    if !behind.is_empty() {
        f.add(
            "replication_lag",
            Severity::Warning,
            format!("of the standbys there lie behind: {}", named(&behind, NAMED)),
            "SELECT * FROM pg_stat_replication on the primary; look for long queries, slow disks or network on the standby",
        );
    }
    if let Some(replay) = &facts.replay
        && replay.delay_seconds > limit_seconds
    {
        let link = if replay.receiving { "" } else { ", and it is not connected to its primary" };
        f.add(
            "replication_lag",
            Severity::Warning,
            format!("this standby lies {} behind{link}: so do the backups taken from it", words::duration(replay.delay_seconds)),
            "SELECT * FROM pg_stat_wal_receiver on the standby; look for long queries, a paused replay, or a broken link",
        );
    }
}
