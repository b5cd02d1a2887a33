//! Every key of `lifeboat.toml`, in one place: what is read, documented, and offered when one is misspelt.

use super::HEALTH_KEYS;

/// A section of the file and the keys that may stand in it; `<name>` is a database's slug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its path, such as `databases.<name>.retention`; empty for the top.
    pub path: &'static str,
    /// Its keys.
    pub keys: &'static [&'static str],
}

/// The top of the file.
pub const TOP: Section = Section {
    path: "",
    keys: &[
        "store",
        "control_store",
        "client_tools",
        "restorer",
        "require_encryption",
        "accept_expired_keys",
        "tls",
        "events",
        "health",
        "alerts",
        "deploy",
        "restore",
        "databases",
    ],
};
/// `[store]`
pub const STORE: Section = Section { path: "store", keys: &["url", "region", "endpoint"] };
/// `[control_store]`
pub const CONTROL_STORE: Section = Section { path: "control_store", keys: &["url"] };
/// `[tls]`
pub const TLS: Section = Section { path: "tls", keys: &["root_cert"] };
/// `[events]`
pub const EVENTS: Section = Section { path: "events", keys: &["bus"] };
/// `[alerts]`
pub const ALERTS: Section = Section {
    path: "alerts",
    keys: &[
        "topic",
        "reminder",
        "escalate_after",
        "severity",
        "digest",
        "digest_day",
        "digest_hour",
        "contacts",
        "escalation_contacts",
        "per_run",
        "channels",
    ],
};
/// `[alerts.channels.team]`
pub const CHANNEL: Section = Section {
    path: "alerts.channels.<name>",
    keys: &["slack", "webhook", "email", "severity", "escalation", "databases"],
};
/// `webhook = { … }`
pub const WEBHOOK: Section = Section { path: "alerts.channels.<name>.webhook", keys: &["url", "routing_key"] };
/// `email = { … }`
pub const EMAIL: Section = Section { path: "alerts.channels.<name>.email", keys: &["from", "to", "smtp", "ses"] };
/// `[deploy]`
pub const DEPLOY: Section = Section {
    path: "deploy",
    keys: &[
        "name",
        "region",
        "account",
        "architecture",
        "object_lock",
        "vpc",
        "vpc_endpoints",
        "replica",
        "fargate_image",
        "log_retention_days",
        "reserved_concurrency",
        "emails",
        "fleet_from",
        "fleet_concurrency",
        "verify_schedule",
        "retention_schedule",
        "health_schedule",
    ],
};
/// `vpc = { … }`
pub const VPC: Section =
    Section { path: "deploy.vpc", keys: &["id", "subnets", "security_groups", "availability_zones", "route_tables"] };
/// `replica = { … }`
pub const REPLICA: Section = Section { path: "deploy.replica", keys: &["region", "bucket", "account", "kms_key"] };
/// `[restore]`
pub const RESTORE: Section = Section { path: "restore", keys: &["targets"] };
/// `[restore.targets.production]`
pub const RESTORE_TARGET: Section = Section {
    path: "restore.targets.<name>",
    keys: &["url", "databases", "overwrite", "before", "after", "hook_timeout", "answers", "answers_within"],
};
/// `before = [{ … }]` and `after = [{ … }]`
pub const HOOK: Section = Section { path: "restore.targets.<name>.before", keys: &["command", "webhook"] };
/// `[databases.orders]`
pub const DATABASE: Section = Section {
    path: "databases.<name>",
    keys: &[
        "url",
        "schedule",
        "timezone",
        "rpo",
        "rto",
        "jobs",
        "compress",
        "chunk_size",
        "encrypt_to",
        "identity",
        "identity_passphrase",
        "passphrase",
        "require_encryption",
        "runner",
        "retention",
        "drill",
        "health",
        "maintenance",
    ],
};
/// `[databases.orders.retention]`
pub const RETENTION: Section = Section {
    path: "databases.<name>.retention",
    keys: &["preset", "daily", "weekly", "monthly", "min_good", "grace_days", "reclaim_unfinished_after_days"],
};
/// `daily = { … }` and its siblings.
pub const TIER: Section =
    Section { path: "databases.<name>.retention.<tier>", keys: &["keep", "max_age_days", "storage_class"] };
/// `[databases.orders.drill]`
pub const DRILL: Section =
    Section { path: "databases.<name>.drill", keys: &["schedule", "select", "scratch", "checks", "thaw_within"] };
/// `[databases.orders.health]`
pub const HEALTH: Section = Section { path: "databases.<name>.health", keys: HEALTH_KEYS };
/// `[health]`: the same for every database.
pub const HEALTH_OF_ALL: Section = Section { path: "health", keys: HEALTH_KEYS };
/// `[databases.orders.maintenance]`
pub const MAINTENANCE: Section = Section {
    path: "databases.<name>.maintenance",
    keys: &[
        "schedule",
        "operations",
        "time_budget",
        "lock_timeout",
        "attempts",
        "cost_delay_ms",
        "cost_limit",
        "parallel",
        "dead_tuples_percent",
        "dead_tuples_least",
        "changed_percent",
        "bloat_percent",
        "bloat_least",
        "unused_index_after",
        "sequence_percent",
        "long_query",
    ],
};
/// `checks = [{ … }]`
pub const CHECK: Section = Section { path: "databases.<name>.drill.checks", keys: &["name", "sql"] };
/// `scratch = { … }`
pub const SCRATCH: Section = Section { path: "databases.<name>.drill.scratch", keys: &["server", "rds"] };
/// `rds = { … }`
pub const RDS: Section = Section {
    path: "databases.<name>.drill.scratch.rds",
    keys: &[
        "class",
        "storage_gb",
        "engine_version",
        "parameter_group",
        "subnet_group",
        "security_groups",
        "kms_key",
        "source_instance",
        "restore_testing_plan",
        "ttl",
        "available_within",
        "gone_within",
        "look_every",
    ],
};
/// Where a database's URL is kept: `{ env = "NAME" }`, `{ file = "PATH" }`, `{ secret = "NAME" }` or `{ rds_iam = "URL" }`.
pub const URL: Section = Section { path: "url", keys: &["env", "file", "secret", "server", "rds_iam"] };
/// Where a secret setting is kept: `{ env = "NAME" }`, `{ file = "PATH" }` or `{ secret = "NAME" }`.
pub const SECRET: Section = Section { path: "secret", keys: &["env", "file", "secret", "key"] };

/// All of them.
pub const SECTIONS: [Section; 27] = [
    TOP,
    STORE,
    CONTROL_STORE,
    TLS,
    EVENTS,
    HEALTH_OF_ALL,
    ALERTS,
    CHANNEL,
    WEBHOOK,
    EMAIL,
    DEPLOY,
    VPC,
    REPLICA,
    RESTORE,
    RESTORE_TARGET,
    HOOK,
    DATABASE,
    RETENTION,
    TIER,
    DRILL,
    HEALTH,
    MAINTENANCE,
    CHECK,
    SCRATCH,
    RDS,
    URL,
    SECRET,
];

/// The known word nearest to a misspelt one, if any is near: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = word.chars().count().max(3) / 3 + 1;
    known.iter().map(|k| (distance(word, k), *k)).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found() {
        for (written, meant) in [
            ("timezon", Some("timezone")),
            ("time_zone", Some("timezone")),
            ("scedule", Some("schedule")),
            ("rop", Some("rpo")),
            ("chunksize", Some("chunk_size")),
            ("JOBS", None),
            ("frequency", None),
        ] {
            assert_eq!(nearest(written, DATABASE.keys), meant, "{written}");
        }
        assert_eq!(nearest("databse", TOP.keys), Some("databases"));
    }
}
