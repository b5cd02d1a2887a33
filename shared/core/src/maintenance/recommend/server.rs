//! Findings about the server as a whole and about sessions.

use std::collections::BTreeSet;

use super::{Recommendation, Remedy, add};
use crate::{
    events::Severity,
    maintenance::{Facts, Session},
    report::words::{count, duration},
};

/// Percent of the connections from which they are short.
const CONNECTIONS_PERCENT: u64 = 80;
/// Percent of reads that the cache should answer at least, once enough were counted to say so.
const CACHE_HIT_PERCENT: f64 = 90.0;
const ENOUGH_BLOCKS: u64 = 1_000_000;
/// The transaction age at which the server is near refusing to write.
const TRANSACTION_AGE_CRITICAL: u64 = 1_500_000_000;

fn who(session: &Session) -> String {
    let application = if session.application.is_empty() { "no application name" } else { &session.application };
    format!("session {} ({application}, user {})", session.pid, session.user)
}

pub(super) fn sessions(facts: &Facts, found: &mut Vec<Recommendation>) {
    let sessions = &facts.sessions;
    // A session that waits itself is not the cause; whoever it waits for is, once for all that wait.
    let waiting: BTreeSet<i32> = sessions.waiting.iter().map(|w| w.session.pid).collect();
    let mut told = BTreeSet::new();
    for wait in &sessions.waiting {
        for &cause in wait.blocked_by.iter().filter(|pid| **pid != 0 && !waiting.contains(pid)) {
            if !told.insert(cause) {
                continue;
            }
            let held_up = sessions.waiting.iter().filter(|w| w.blocked_by.contains(&cause)).count();
            let message = format!(
                "session {cause} holds a lock that {} wait{} for, the longest for {}: {}",
                if held_up == 1 { "another session".to_owned() } else { format!("{held_up} sessions") },
                if held_up == 1 { "s" } else { "" },
                duration(wait.session.seconds),
                wait.session.query,
            );
            let remedy = Remedy::EndSession { pid: cause };
            add(found, "blocking_session", Severity::Warning, Some(cause.to_string()), message, remedy);
        }
    }
    for session in &sessions.long_queries {
        let message = format!("{} has been running for {}: {}", who(session), duration(session.seconds), session.query);
        let remedy = Remedy::CancelQuery { pid: session.pid };
        add(found, "long_query", Severity::Info, Some(session.pid.to_string()), message, remedy);
    }
    for session in &sessions.long_idle {
        let message = format!(
            "{} has been {} for {}: it keeps its locks and VACUUM from removing newer dead tuples; last: {}",
            who(session),
            session.state,
            duration(session.seconds),
            session.query
        );
        let remedy = Remedy::EndSession { pid: session.pid };
        add(found, "idle_in_transaction", Severity::Warning, Some(session.pid.to_string()), message, remedy);
    }
    for prepared in &sessions.prepared {
        let message = format!(
            "transaction '{}' of {} has been prepared for {}: it keeps its locks and holds VACUUM back",
            prepared.gid,
            prepared.user,
            duration(prepared.seconds)
        );
        let remedy = Remedy::RollbackPrepared { gid: prepared.gid.clone() };
        add(found, "prepared_transaction", Severity::Warning, Some(prepared.gid.clone()), message, remedy);
    }
    let (connections, most) = (u64::from(sessions.connections), u64::from(sessions.most_connections));
    if most > 0 && connections * 100 >= most * CONNECTIONS_PERCENT {
        let message = format!(
            "{connections} of {most} connections are taken: when none is left the application is refused; a pooler such as \
             PgBouncer helps more than a higher max_connections"
        );
        add(found, "connections_short", Severity::Warning, None, message, Remedy::ShowConnections);
    }
    if !facts.sees_all_sessions {
        let message = format!(
            "role {} does not see what other roles' sessions do: long queries and transactions of theirs are missing here",
            facts.role
        );
        add(found, "limited_view", Severity::Info, None, message, Remedy::GrantMonitor { role: facts.role.clone() });
    }
}

pub(super) fn server(facts: &Facts, found: &mut Vec<Recommendation>) {
    // At freeze_max_age autovacuum begins by itself; well beyond it, it does not keep up.
    let late = facts.freeze_max_age.saturating_add(facts.freeze_max_age / 4);
    if facts.freeze_max_age > 0 && facts.transaction_age.max(facts.multixact_age / 2) >= late {
        let age = facts.transaction_age.max(facts.multixact_age);
        let severity = if age >= TRANSACTION_AGE_CRITICAL { Severity::Critical } else { Severity::Warning };
        let oldest = facts.tables.iter().max_by_key(|t| t.transaction_age);
        let table = oldest.filter(|t| t.transaction_age.saturating_add(1_000_000) >= facts.transaction_age);
        let message = format!(
            "the oldest unfrozen transaction is {} transactions old, multixacts {}: at 2,146,483,648 the server takes no \
             more writes. Look for what holds VACUUM back: old transactions, prepared ones, replication slots",
            count(facts.transaction_age),
            count(facts.multixact_age)
        );
        let remedy = Remedy::Freeze { table: table.map(|t| t.name.clone()) };
        add(found, "transaction_age", severity, table.map(|t| t.name.to_string()), message, remedy);
    }
    if !facts.autovacuum {
        let message = "autovacuum is off for the whole server: dead tuples pile up between maintenance runs".to_owned();
        add(found, "autovacuum_off", Severity::Warning, None, message, Remedy::TurnOnAutovacuum { table: None });
    }
    if let Some(hit) = facts.cache_hit_percent.filter(|hit| *hit < CACHE_HIT_PERCENT)
        && facts.blocks_read >= ENOUGH_BLOCKS
    {
        let message = format!(
            "the server's cache answered only {hit:.1} % of its block reads: what is read most may lack an index, or \
             shared_buffers (usually a quarter of the memory) may be small"
        );
        add(found, "cache_hit_low", Severity::Info, None, message, Remedy::ShowReads);
    }
}
