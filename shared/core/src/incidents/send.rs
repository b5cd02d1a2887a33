//! Makes one message of the notices that a run has claimed, and hands it on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    Error, ErrorKind, Result, deliveries,
    deliveries::Target,
    ids::DatabaseSlug,
    incidents::ledger::Notice,
    messages::{Change, Entry, Kind, Message},
    ports::{RunContext, Store, Topic},
};

/// Where messages go.
#[derive(Clone)]
pub enum Outlet {
    /// To a topic; whoever subscribed passes them on.
    Topic(Arc<dyn Topic>),
    /// To the channels, from this process.
    Channels(Vec<Target>),
}

impl Outlet {
    /// Hands a message on, and names the channels that did not take it: for them it is on record and is tried again by
    /// later runs, so that an error means that not even that could be written.
    pub async fn hand_on(
        &self,
        control: &dyn Store,
        message: &Message,
        context: &RunContext,
    ) -> Result<BTreeSet<String>> {
        match self {
            Self::Topic(topic) => topic.publish(message).await.map(|()| BTreeSet::new()),
            Self::Channels(targets) if targets.is_empty() => {
                Err(Error::new(ErrorKind::Config, "no topic and no channel is configured, so that nobody can be told")
                    .with_hint("set alerts.topic or write an [alerts.channels.NAME] section: see docs/ALERTS.md"))
            }
            Self::Channels(targets) => {
                let delivered = deliveries::deliver(control, targets, message, context).await?;
                for (channel, error) in &delivered.failed {
                    tracing::error!(channel, error, message = message.id, "a message was not delivered");
                }
                Ok(delivered.failed.into_keys().collect())
            }
        }
    }
}

/// One entry per incident: what began and ended before anybody was told is one piece of news.
pub(super) fn entries(claimed: &[Notice]) -> Vec<Entry> {
    let mut of: BTreeMap<(&DatabaseSlug, &Kind), Vec<&Entry>> = BTreeMap::new();
    let mut entries = Vec::new();
    for notice in claimed {
        if notice.entry.change == Change::Succeeded {
            entries.push(notice.entry.clone());
        } else {
            of.entry((&notice.entry.database, &notice.entry.kind)).or_default().push(&notice.entry);
        }
    }
    entries.extend(of.into_values().filter_map(|told| together(&told)));
    entries
}

fn together(told: &[&Entry]) -> Option<Entry> {
    let (first, last) = (told.first()?, told.last()?);
    let mut entry = (*last).clone();
    let any = |change: Change| told.iter().any(|e| e.change == change);
    if last.change == Change::Closed {
        return Some(entry);
    }
    if last.change == Change::Resolved {
        if first.change == Change::Opened {
            entry.change = Change::Brief;
            let trouble = told.iter().rev().find(|e| e.change.is_open()).unwrap_or(first);
            entry.title = format!("{}, over already", trouble.title);
            entry.what = format!("{}\nOver: {}", trouble.what, last.what);
        }
    } else if any(Change::Escalated) {
        entry.change = Change::Escalated;
    } else if any(Change::Opened) {
        entry.change = Change::Opened;
    }
    Some(entry)
}
