//! Preflight: what would go wrong, be refused, or be missing from a dump, each with its remedy; changes nothing.

use lifeboat_core::{
    Result,
    manifest::Omitted,
    ports::{Finding, Preflight, Severity},
};

use super::{server_version_num, statements};
use crate::{
    connect::ConnectionTarget,
    failure::database_error,
    lock_space,
    tools::ToolSearch,
    wire::{WireError, WireSession},
};

/// The oldest server that Lifeboat dumps.
const OLDEST_SERVER: u32 = 150_000;

/// At most this many objects are named in one finding.
const NAMED: usize = 10;

const USER_SCHEMAS: &str = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

pub(super) async fn run(target: &ConnectionTarget, search: &ToolSearch) -> Result<Preflight> {
    let session = &mut target.connect_wire("lifeboat preflight").await?;
    let version = server_version_num(session).await?;
    let mut findings = Vec::new();
    if version < OLDEST_SERVER {
        findings.push(finding(
            "server_too_old",
            Severity::Error,
            format!("the server is older than PostgreSQL 15 ({version})"),
            "upgrade the server, or dump it with pg_dump",
        ));
    }
    let client_version = match search.find_for(version).await {
        Ok(tools) => tools.version().to_owned(),
        Err(error) => {
            findings.push(finding("client_tools", Severity::Error, error.to_string(), error.hint()));
            String::new()
        }
    };
    dangerous_settings(session, &mut findings).await?;
    row_security(session, &mut findings).await?;
    privileges(session, &mut findings).await?;
    large_objects(session, &mut findings).await?;
    room_for_locks(session, &mut findings).await?;
    let omitted = omitted(session).await?;
    for missing in omitted.iter().filter(|o| o.kind != "role passwords") {
        findings.push(finding(
            "omitted",
            Severity::Warning,
            format!("{} {} will be missing: {}", missing.kind, missing.object, missing.reason),
            "dump as a superuser or from the primary, if it must be included",
        ));
    }
    findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.code.cmp(&b.code)));
    let row = session
        .query_one(
            "SELECT pg_catalog.current_setting('server_version'),
                    pg_catalog.pg_database_size(pg_catalog.current_database())::int8",
        )
        .await
        .map_err(|e| database_error("read the database's size", &e))?;
    let count = format!("SELECT count(*) FROM ({}) AS t", statements::TABLES);
    let counted = session.query_one(count).await.map_err(|e| database_error("count tables", &e))?;
    Ok(Preflight {
        server_version: row.text(0).into_owned(),
        client_version,
        database_bytes: row.number(1).map_err(|e| database_error("read the database's size", &e))?,
        tables: counted.number(0).map_err(|e| database_error("count tables", &e))?,
        findings,
        omitted,
    })
}

fn finding(code: &str, severity: Severity, message: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { code: code.to_owned(), severity, message: message.into(), remedy: remedy.into() }
}

fn name_some(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}

async fn names(session: &mut WireSession, doing: &str, sql: &str) -> Result<Vec<String>> {
    let rows = session.query(sql).await.map_err(|e| database_error(doing, &e))?;
    Ok(rows.iter().map(|row| row.text(0).into_owned()).collect())
}

/// Settings that make the server hide damaged rows with exit code 0.
async fn dangerous_settings(session: &mut WireSession, findings: &mut Vec<Finding>) -> Result<()> {
    let on = names(
        session,
        "read settings",
        "SELECT name FROM pg_catalog.pg_settings
         WHERE name IN ('zero_damaged_pages', 'ignore_checksum_failure', 'ignore_system_indexes') AND setting = 'on'",
    )
    .await?;
    for name in on {
        findings.push(finding(
            &name.clone(),
            Severity::Error,
            format!("{name} is on: damaged rows would vanish without an error"),
            format!("ALTER SYSTEM RESET {name} (or ALTER ROLE/DATABASE … RESET), reload, then repair the damage"),
        ));
    }
    Ok(())
}

/// Tables whose rows a policy would hide from this role. With row_security off the COPY fails; said here, before.
async fn row_security(session: &mut WireSession, findings: &mut Vec<Finding>) -> Result<()> {
    let filtered = names(
        session,
        "look for row security",
        &format!(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE {USER_SCHEMAS} AND c.relkind IN ('r', 'p') AND c.relrowsecurity
               AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)
               AND (c.relforcerowsecurity OR NOT pg_catalog.pg_has_role(c.relowner, 'USAGE'))
             ORDER BY 1"
        ),
    )
    .await?;
    if !filtered.is_empty() {
        findings.push(finding(
            "role_filtered_by_rls",
            Severity::Error,
            format!("row security would hide rows from this role in {}", name_some(&filtered)),
            "ALTER ROLE … BYPASSRLS for the backup role (on RDS: rds_superuser grants it)",
        ));
    }
    Ok(())
}

async fn privileges(session: &mut WireSession, findings: &mut Vec<Finding>) -> Result<()> {
    let unreadable = names(
        session,
        "check privileges",
        &format!(
            "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE {USER_SCHEMAS} AND c.relpersistence <> 't' AND
               CASE c.relkind WHEN 'S' THEN NOT pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
                              ELSE c.relkind IN ('r', 'p') AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') END
             ORDER BY 1"
        ),
    )
    .await?;
    let closed = names(
        session,
        "check privileges",
        &format!(
            "SELECT n.nspname::text FROM pg_catalog.pg_namespace n
             WHERE {USER_SCHEMAS} AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'S'))
             ORDER BY 1"
        ),
    )
    .await?;
    if !unreadable.is_empty() {
        findings.push(finding(
            "not_readable",
            Severity::Error,
            format!("this role may not read {}", name_some(&unreadable)),
            "GRANT pg_read_all_data TO the backup role",
        ));
    }
    if !closed.is_empty() {
        findings.push(finding(
            "schema_not_usable",
            Severity::Error,
            format!("this role may not look into schema {}", name_some(&closed)),
            "GRANT pg_read_all_data TO the backup role",
        ));
    }
    Ok(())
}

async fn large_objects(session: &mut WireSession, findings: &mut Vec<Finding>) -> Result<()> {
    let row = session
        .query_one(
            "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT'),
                    EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)",
        )
        .await
        .map_err(|e| database_error("look for large objects", &e))?;
    if row.is_true(1) && !row.is_true(0) {
        findings.push(finding(
            "large_objects_not_readable",
            Severity::Error,
            "the database holds large objects, and this role may not read pg_largeobject",
            "GRANT pg_read_all_data TO the backup role",
        ));
    }
    Ok(())
}

/// The server's table of locks must hold one for each table and partition, and for the sequences that pg_dump reads, all at
/// once; coordinator and pg_dump share them.
async fn room_for_locks(session: &mut WireSession, findings: &mut Vec<Finding>) -> Result<()> {
    let failed = |e: WireError| database_error("count tables", &e);
    let count = |kinds: &str| {
        format!(
            "(SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE {USER_SCHEMAS} AND c.relkind IN ({kinds}) AND c.relpersistence <> 't')::int8"
        )
    };
    let sql = format!("SELECT {}, {}, {}", count("'r', 'p'"), count("'S'"), lock_space::SETTINGS);
    let row = session.query_one(sql).await.map_err(failed)?;
    let (tables, sequences): (u64, u64) = (row.number(0).map_err(failed)?, row.number(1).map_err(failed)?);
    let room = lock_space::of(&row, 2).map_err(failed)?;
    let all = tables + sequences;
    if all <= room.promised() {
        return Ok(());
    }
    let severity = if tables > room.most() { Severity::Error } else { Severity::Warning };
    findings.push(finding(
        "lock_space",
        severity,
        format!(
            "a dump locks {tables} tables and {sequences} sequences at once; the server has room for {} locks of all sessions",
            room.promised()
        ),
        format!("set max_locks_per_transaction = {} (ALTER SYSTEM, or a parameter group) and restart the server", room.wanted(all)),
    ));
    Ok(())
}

/// What this role on this server cannot include, and pg_dump leaves out with exit code 0.
pub(super) async fn omitted(session: &mut WireSession) -> Result<Vec<Omitted>> {
    let mut omitted = vec![Omitted {
        kind: "role passwords".to_owned(),
        object: "all".to_owned(),
        reason: "by design: a backup holds no secrets of the cluster".to_owned(),
    }];
    let row = session
        .query_one(
            "SELECT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user), pg_catalog.pg_is_in_recovery()",
        )
        .await
        .map_err(|e| database_error("look for what would be omitted", &e))?;
    let (superuser, standby) = (row.is_true(0), row.is_true(1));
    if !superuser {
        let subscriptions = names(
            session,
            "look for subscriptions",
            "SELECT pg_catalog.quote_ident(subname) FROM pg_catalog.pg_subscription WHERE subdbid =
             (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER BY 1",
        )
        .await?;
        omitted.extend(subscriptions.into_iter().map(|object| Omitted {
            kind: "subscription".to_owned(),
            object,
            reason: "only a superuser can read a subscription's connection".to_owned(),
        }));
        let blank = names(
            session,
            "look at user mappings",
            "SELECT pg_catalog.format('%s on %s', usename, srvname) FROM pg_catalog.pg_user_mappings
             WHERE umoptions IS NULL ORDER BY 1",
        )
        .await?;
        omitted.extend(blank.into_iter().map(|object| Omitted {
            kind: "user mapping options".to_owned(),
            object,
            reason: "this role may not see them (or there are none)".to_owned(),
        }));
    }
    if standby {
        let unlogged = names(
            session,
            "look for unlogged tables",
            &format!(
                "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
                 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE {USER_SCHEMAS} AND c.relkind = 'r' AND c.relpersistence = 'u' ORDER BY 1"
            ),
        )
        .await?;
        omitted.extend(unlogged.into_iter().map(|object| Omitted {
            kind: "unlogged table data".to_owned(),
            object,
            reason: "a standby holds no data of unlogged tables".to_owned(),
        }));
    }
    omitted.sort();
    Ok(omitted)
}
