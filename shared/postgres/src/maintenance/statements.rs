//! Actions and remedies as SQL; identifiers are quoted by `quote`, nowhere else.

use lifeboat_core::maintenance::{Action, IndexCleanup, ObjectName, Remedy};

use crate::quote::{identifier, literal, qualified};

/// The version from which a privilege allows maintenance.
const MAINTAIN_SINCE: u32 = 170_000;

pub(super) fn name(name: &ObjectName) -> String {
    qualified(&name.schema, &name.name)
}

/// The statement by which an action is done.
pub(super) fn of_action(action: &Action) -> String {
    match action {
        Action::Vacuum { table, parallel, truncate, index_cleanup } => {
            let cleanup = match index_cleanup {
                IndexCleanup::Auto => "AUTO",
                IndexCleanup::Off => "OFF",
            };
            format!(
                "VACUUM (SKIP_LOCKED, TRUNCATE {truncate}, PARALLEL {parallel}, INDEX_CLEANUP {cleanup}) {}",
                name(table)
            )
        }
        Action::Analyze { table, only } => {
            format!("ANALYZE (SKIP_LOCKED) {}{}", if *only { "ONLY " } else { "" }, name(table))
        }
        Action::Reindex { index } => format!("REINDEX INDEX CONCURRENTLY {}", name(index)),
        Action::DropLeftover { index } => format!("DROP INDEX CONCURRENTLY IF EXISTS {}", name(index)),
        Action::VacuumFull { table } => format!("VACUUM (FULL) {}", name(table)),
    }
}

/// The statements by which a person settles a finding, ready for psql.
pub(super) fn of_remedy(remedy: &Remedy) -> Vec<String> {
    let one = |statement: String| vec![format!("{statement};")];
    match remedy {
        Remedy::Run { action } => one(of_action(action)),
        Remedy::AllowMaintenance { table, owner, role, server_version_num } => {
            if *server_version_num >= MAINTAIN_SINCE {
                one(format!("GRANT MAINTAIN ON TABLE {} TO {}", name(table), identifier(role)))
            } else {
                one(format!("GRANT {} TO {}", identifier(owner), identifier(role)))
            }
        }
        Remedy::GrantOwner { owner, role } => one(format!("GRANT {} TO {}", identifier(owner), identifier(role))),
        Remedy::GrantMonitor { role } => one(format!("GRANT pg_monitor TO {}", identifier(role))),
        Remedy::ReindexLocking { index } => one(format!("REINDEX INDEX {}", name(index))),
        Remedy::DropIndex { index, concurrently: true } => one(format!("DROP INDEX CONCURRENTLY {}", name(index))),
        Remedy::DropIndex { index, concurrently: false } => {
            vec!["SET lock_timeout = '2s';".to_owned(), format!("DROP INDEX {};", name(index))]
        }
        Remedy::Widen { sequence, sequence_too, column } => {
            let mut statements = vec!["SET lock_timeout = '2s';".to_owned()];
            if *sequence_too {
                statements.push(format!("ALTER SEQUENCE {} AS bigint;", name(sequence)));
            }
            if let Some((table, column)) = column {
                statements.push(format!("ALTER TABLE {} ALTER COLUMN {} TYPE bigint;", name(table), identifier(column)));
            }
            statements
        }
        Remedy::RaiseLimit { sequence } => one(format!("ALTER SEQUENCE {} NO MAXVALUE NO MINVALUE", name(sequence))),
        Remedy::CancelQuery { pid } => one(format!("SELECT pg_cancel_backend({pid})")),
        Remedy::EndSession { pid } => one(format!("SELECT pg_terminate_backend({pid})")),
        Remedy::RollbackPrepared { gid } => one(format!("ROLLBACK PREPARED {}", literal(gid))),
        Remedy::TurnOnAutovacuum { table: Some(table) } => {
            one(format!("ALTER TABLE {} RESET (autovacuum_enabled)", name(table)))
        }
        Remedy::TurnOnAutovacuum { table: None } => vec![
            "ALTER SYSTEM SET autovacuum = on;".to_owned(),
            "ALTER SYSTEM SET track_counts = on;".to_owned(),
            "SELECT pg_reload_conf();".to_owned(),
        ],
        Remedy::Freeze { table: Some(table) } => one(format!("VACUUM (FREEZE, VERBOSE) {}", name(table))),
        Remedy::Freeze { table: None } => one("VACUUM (FREEZE, VERBOSE)".to_owned()),
        Remedy::AddPrimaryKey { table } => {
            one(format!("ALTER TABLE {} ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY", name(table)))
        }
        Remedy::ShowConnections => one("SELECT usename, application_name, client_addr, state, count(*) \
                                        FROM pg_stat_activity GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC"
            .to_owned()),
        Remedy::ShowReads => one("SELECT schemaname, relname, heap_blks_read, idx_blks_read, heap_blks_hit \
                                  FROM pg_statio_user_tables ORDER BY heap_blks_read + coalesce(idx_blks_read, 0) DESC LIMIT 20"
            .to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd() -> ObjectName {
        ObjectName { schema: "My \"shop".to_owned(), name: "a;b".to_owned() }
    }

    #[test]
    fn names_are_quoted_in_every_statement() {
        let quoted = r#""My ""shop"."a;b""#;
        let vacuum = Action::Vacuum { table: odd(), parallel: 0, truncate: false, index_cleanup: IndexCleanup::Auto };
        assert_eq!(
            of_action(&vacuum),
            format!("VACUUM (SKIP_LOCKED, TRUNCATE false, PARALLEL 0, INDEX_CLEANUP AUTO) {quoted}")
        );
        for action in [
            Action::Analyze { table: odd(), only: true },
            Action::Reindex { index: odd() },
            Action::DropLeftover { index: odd() },
            Action::VacuumFull { table: odd() },
        ] {
            assert!(of_action(&action).ends_with(quoted), "{}", of_action(&action));
        }
        let grant = |server_version_num| {
            let (table, owner, role) = (odd(), "o\"w".to_owned(), "r".to_owned());
            of_remedy(&Remedy::AllowMaintenance { table, owner, role, server_version_num })
        };
        assert_eq!(grant(180_000), [format!("GRANT MAINTAIN ON TABLE {quoted} TO \"r\";")]);
        assert_eq!(grant(150_000), ["GRANT \"o\"\"w\" TO \"r\";"]);
        let prepared = Remedy::RollbackPrepared { gid: "it's".to_owned() };
        assert_eq!(of_remedy(&prepared), ["ROLLBACK PREPARED 'it''s';"]);
    }
}
