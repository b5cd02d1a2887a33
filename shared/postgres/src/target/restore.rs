//! One step of stock pg_restore over the staged TOC.

use std::{fmt::Write, fs};

use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ports::{Classification, PgRestoreStep, RunContext, ToolMessage, in_brief},
};

use super::{APPLICATION, stage::Stage};
use crate::{
    classify::classify,
    connect::ConnectionTarget,
    failure::database_error,
    tools::{self, ClientTools},
};

/// What says that the tool could not do its work at all, rather than that some of it failed.
const NO_CONNECTION: [&str; 4] = [
    "connection to server ",
    "server closed the connection unexpectedly",
    "terminating connection due to ",
    "SSL connection has been closed unexpectedly",
];

/// The sessions of one run's tools.
const END_SESSIONS: &str = "
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND application_name = $1 AND pid <> pg_catalog.pg_backend_pid()";

/// What a step is run with.
pub(super) struct With<'a> {
    pub(super) target: &'a ConnectionTarget,
    pub(super) tools: &'a ClientTools,
    pub(super) stage: &'a Stage,
    /// Settings of its sessions, as `PGOPTIONS`.
    pub(super) options: &'a str,
}

/// Runs the step and returns its messages; that fatal ones are among them is the caller's to see.
///
/// Indexes of partitions are attached by one job, after all indexes are made and before all else. The server takes a
/// partitioned index for valid once it sees every partition's index attached; two jobs that attach at the same time do
/// not see each other's, and stock `pg_restore -j` leaves the index invalid for ever, with exit code 0.
pub(super) async fn run(with: &With<'_>, step: &PgRestoreStep, context: &RunContext) -> Result<Vec<ToolMessage>> {
    let stage = with.stage;
    if step.jobs < 2 || step.single_transaction || !step.dump_ids.iter().any(|id| stage.attaches_index(*id)) {
        return call(with, step, context).await;
    }
    let (indexes, others): (Vec<i32>, Vec<i32>) = step.dump_ids.iter().partition(|id| stage.makes_index(**id));
    let (attachments, rest): (Vec<i32>, Vec<i32>) = others.iter().partition(|id| stage.attaches_index(**id));
    let mut messages = Vec::new();
    for (dump_ids, jobs) in [(indexes, step.jobs), (attachments, 1), (rest, step.jobs)] {
        let part = PgRestoreStep { dump_ids, jobs, ..step.clone() };
        messages.extend(call(with, &part, context).await?);
    }
    Ok(messages)
}

async fn call(with: &With<'_>, step: &PgRestoreStep, context: &RunContext) -> Result<Vec<ToolMessage>> {
    let With { target, tools, stage, options } = with;
    if step.dump_ids.is_empty() {
        return Ok(Vec::new());
    }
    let doing = format!("pg_restore ({})", step.name);
    let list = tempfile::Builder::new()
        .prefix("list-")
        .tempfile_in(stage.path())
        .or_error(ErrorKind::Config, format!("{doing}: write its list"))?;
    fs::write(list.path(), list_of(stage, &step.dump_ids))
        .or_error(ErrorKind::Config, format!("{doing}: write its list"))?;
    let mut command = tools.command("pg_restore");
    let application = format!("lifeboat {}", context.run_id);
    for (name, value) in context.cancel.race(target.tool_environment(&application)).await? {
        let value = if name == "PGOPTIONS" { format!("{value} {options}") } else { value };
        command.env(name, value);
    }
    // Without a name the database, like all else of the connection, comes from the environment.
    command.args(["--dbname=", "--format=d"]).arg("--use-list").arg(list.path());
    if step.jobs > 1 {
        command.arg(format!("--jobs={}", step.jobs));
    }
    if step.no_owner {
        command.arg("--no-owner");
    }
    if step.no_acl {
        command.arg("--no-acl");
    }
    if step.clean {
        command.args(["--clean", "--if-exists"]);
    }
    if step.single_transaction {
        command.arg("--single-transaction");
    }
    if let Some(role) = &step.role {
        command.arg(format!("--role={role}"));
    }
    command.arg(stage.path());
    let running = tools::run(command, &doing, b"", &context.cancel).await;
    if running.is_err() && context.cancel.check().is_err() {
        // Its own request to end a query is lost where the query has not begun yet.
        drop(in_brief("end what pg_restore has left on the server", end_sessions(target, &application)).await);
    }
    let ended = running?;
    judge(&doing, ended.status.success(), &ended.stderr, ended.forgotten)
}

async fn end_sessions(target: &ConnectionTarget, application: &str) -> Result<()> {
    let session = target.connect(APPLICATION).await?;
    session
        .query(END_SESSIONS, &[&application])
        .await
        .map(drop)
        .map_err(|e| database_error("end the sessions of pg_restore", &e))
}

/// Lines as `pg_restore --list` prints them, of which only the number counts.
fn list_of(stage: &Stage, dump_ids: &[i32]) -> String {
    dump_ids.iter().fold(String::new(), |mut list, id| {
        let _ = writeln!(list, "{};", stage.number(*id));
        list
    })
}

fn judge(doing: &str, success: bool, stderr: &[u8], forgotten: u64) -> Result<Vec<ToolMessage>> {
    let mut messages = classify(stderr);
    let lost =
        messages.iter().find(|m| m.classification.is_fatal() && NO_CONNECTION.iter().any(|t| m.text.contains(t)));
    if let Some(message) = lost {
        return Err(Error::new(ErrorKind::Database, format!("{doing}: {}", message.text)));
    }
    let explained = messages.iter().any(|m| m.classification != Classification::Harmless);
    if !success && !explained {
        messages.push(ToolMessage {
            classification: Classification::Unknown,
            text: format!("{doing} failed and gave no reason"),
            entry: None,
        });
    }
    if forgotten > 0 {
        messages.push(ToolMessage {
            classification: Classification::Unknown,
            text: format!("{doing} said so much that {forgotten} bytes of it were not read"),
            entry: None,
        });
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_without_a_reason_is_fatal() {
        let messages = judge("pg_restore", false, b"pg_restore: warning: errors ignored on restore: 1\n", 0).unwrap();
        assert!(messages.iter().any(|m| m.classification.is_fatal()), "{messages:?}");
        assert!(judge("pg_restore", true, b"", 0).unwrap().is_empty());
    }

    #[test]
    fn a_failure_that_is_explained_is_what_its_messages_are() {
        let text = b"pg_restore: error: could not execute query: ERROR:  must be member of role \"bob\"\nCommand was: ALTER TABLE public.a OWNER TO bob;\n\n\npg_restore: warning: errors ignored on restore: 1\n";
        assert!(!judge("pg_restore", false, text, 0).unwrap().iter().any(|m| m.classification.is_fatal()));
    }

    #[test]
    fn messages_too_many_to_be_read_are_fatal() {
        let text = b"pg_restore: warning: errors ignored on restore: 1\n";
        let messages = judge("pg_restore", true, text, 1).unwrap();
        assert!(messages.iter().any(|m| m.classification == Classification::Unknown), "{messages:?}");
    }

    #[test]
    fn a_connection_that_failed_is_an_error() {
        let text = b"pg_restore: error: connection to server at \"127.0.0.1\", port 1 failed: Connection refused\n";
        assert_eq!(judge("pg_restore", false, text, 0).unwrap_err().kind(), ErrorKind::Database);
    }
}
