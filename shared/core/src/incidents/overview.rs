//! What lasts, and what people could not be told: for health, the status page and the digest.

use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    ledger::Incident,
    run::{databases, read},
};
use crate::{
    Result,
    deliveries::{self, Undelivered},
    events::Severity,
    ids::DatabaseSlug,
    messages::Kind,
    ports::Store,
};

/// Ledgers that are read at the same time.
const AT_ONCE: usize = 16;

/// An incident that lasts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenIncident {
    /// The database.
    pub database: DatabaseSlug,
    /// What it is about.
    pub kind: Kind,
    /// The rest.
    #[serde(flatten)]
    pub incident: Incident,
}

/// Something that people could not be told yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsent {
    /// The database.
    pub database: DatabaseSlug,
    /// What it is about.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// The news, in a few words.
    pub title: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed, the last time.
    pub last_error: Option<String>,
}

/// What lasts, and what could not be told.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Overview {
    /// Incidents that last, gravest first.
    pub open: Vec<OpenIncident>,
    /// What could not be handed on, to the topic or the channels.
    pub unsent: Vec<Unsent>,
    /// What was handed on, but did not reach a channel.
    pub undelivered: Vec<Undelivered>,
}

/// Reads what lasts of all databases, or of one, as of now.
pub async fn overview(control: &dyn Store, database: Option<&DatabaseSlug>, now: Timestamp) -> Result<Overview> {
    let databases = match database {
        Some(one) => vec![one.clone()],
        None => databases(control).await?,
    };
    // Of owned names: a closure over borrowed ones makes the whole future one that no task can be spawned with.
    let reads = databases.into_iter().map(|database| async move { read(control, &database).await });
    let ledgers: Vec<_> = stream::iter(reads).buffered(AT_ONCE).map_ok(|(ledger, _)| ledger).try_collect().await?;
    let mut undelivered = deliveries::undelivered(control, now).await?;
    undelivered.retain(|message| {
        message.databases.is_empty() || database.is_none_or(|database| message.databases.contains(database))
    });
    let mut overview = Overview { undelivered, ..Overview::default() };
    for ledger in &ledgers {
        overview.open.extend(ledger.open().map(|(kind, incident)| OpenIncident {
            database: ledger.database.clone(),
            kind: kind.clone(),
            incident: incident.clone(),
        }));
        overview.unsent.extend(ledger.notices.iter().filter(|n| n.attempts > 0).map(|notice| Unsent {
            database: ledger.database.clone(),
            kind: notice.entry.kind.clone(),
            severity: notice.entry.severity,
            title: notice.entry.title.clone(),
            since: notice.entry.at,
            attempts: notice.attempts,
            last_error: notice.last_error.clone(),
        }));
    }
    overview.open.sort_by(|a, b| {
        let rank = |o: &OpenIncident| (std::cmp::Reverse(o.incident.severity), o.incident.opened_at);
        rank(a).cmp(&rank(b)).then_with(|| a.database.cmp(&b.database))
    });
    Ok(overview)
}
