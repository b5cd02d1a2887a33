//! Open incidents and undelivered alerts, as the status page lists them.

use jiff::Timestamp;

use crate::{
    Result,
    health::words::moment,
    incidents::{OpenIncident, overview},
    ports::Store,
};

/// One open incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentRow {
    /// The database.
    pub database: String,
    /// What it is about, such as `backup` or `health:disk_low`.
    pub kind: String,
    /// What happened, as last told.
    pub what: String,
    /// `info`, `warning`, `critical`.
    pub severity: &'static str,
    /// Since when, in words.
    pub since: String,
}

/// An alert that did not reach somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredRow {
    /// What it is about.
    pub title: String,
    /// Since when, in words.
    pub since: String,
    /// Why.
    pub why: String,
}

/// What the control store knows of incidents and of alerts on their way.
pub(super) async fn read(control: &dyn Store, now: Timestamp) -> Result<(Vec<IncidentRow>, Vec<UndeliveredRow>)> {
    let overview = overview(control, None, now).await?;
    let open = |open: &OpenIncident| IncidentRow {
        database: open.database.to_string(),
        kind: open.kind.to_string(),
        what: open.incident.what.clone(),
        severity: open.incident.severity.name(),
        since: moment(open.incident.opened_at),
    };
    let unsent = overview.unsent.iter().map(|unsent| UndeliveredRow {
        title: format!("{}: {}", unsent.database, unsent.title),
        since: moment(unsent.since),
        why: unsent.last_error.clone().unwrap_or_else(|| "it was not handed on".to_owned()),
    });
    let undelivered = overview.undelivered.iter().map(|message| UndeliveredRow {
        title: message.subject.clone(),
        since: moment(message.at),
        why: message.channels.iter().map(|(channel, why)| format!("{channel}: {why}")).collect::<Vec<_>>().join("; "),
    });
    Ok((overview.open.iter().map(open).collect(), unsent.chain(undelivered).collect()))
}
