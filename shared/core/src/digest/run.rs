//! Sends the digest that is due, once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{
    due::{due, period},
    gather::gather,
    last::{KEY, LastDigest, read},
};
use crate::{
    ErrorKind, Result, ResultExt,
    config::Config,
    incidents::{Claim, Outlet, Policy},
    messages::of_digest,
    ports::{RunContext, Store, Swap},
};

/// How long a run may take to gather and send a digest before another takes it over.
const CLAIM: SignedDuration = SignedDuration::from_mins(15);

/// What the digest needs.
#[derive(Clone)]
pub struct DigestPorts {
    /// Where backups lie.
    pub store: Arc<dyn Store>,
    /// Where the last digest is on record.
    pub control: Arc<dyn Store>,
    /// Where messages go.
    pub outlet: Outlet,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DigestOutcome {
    /// It was sent; the message's id.
    Sent(String),
    /// None is due, or another run sends it.
    NotDue,
}

/// Sends the digest if one is due. `asked`: a person asks, so that one is sent at once, due or not.
pub async fn run(ports: &DigestPorts, config: &Config, asked: bool, context: &RunContext) -> Result<DigestOutcome> {
    let now = context.clock.now();
    let control = &*ports.control;
    let (wanted, found) = match (due(&config.alerts, now), asked) {
        (None, false) => return Ok(DigestOutcome::NotDue),
        (due, _) => (due, read(control).await?),
    };
    let (last, etag) = match found {
        Some((last, etag)) => (Some(last), etag),
        None => (None, None),
    };
    let begun = last.clone().unwrap_or_else(|| LastDigest {
        format_version: 1,
        due: wanted.unwrap_or(now),
        sent_at: None,
        wanted_since: now,
        claim: None,
        stored_bytes: std::collections::BTreeMap::new(),
    });
    if !asked {
        let is_new = last.as_ref().is_some_and(|last| wanted.is_some_and(|wanted| wanted > last.due));
        let left = last.as_ref().and_then(|last| last.claim.as_ref()).is_some_and(|claim| claim.until <= now);
        if last.is_none() {
            // Digests begin with the next time: nobody waits for one about a time when nobody asked for any.
            swap(control, None, &begun).await?;
            return Ok(DigestOutcome::NotDue);
        }
        if !is_new && !left {
            return Ok(DigestOutcome::NotDue);
        }
    }
    let until = now.saturating_add(CLAIM).unwrap_or(now);
    let mut claimed = begun.clone();
    claimed.claim = Some(Claim { run_id: context.run_id.clone(), until });
    claimed.due = if asked { begun.due } else { wanted.unwrap_or(begun.due) };
    let Some(etag) = swap(control, etag.as_deref(), &claimed).await? else { return Ok(DigestOutcome::NotDue) };
    match send(ports, config, &begun, &claimed, asked, context).await {
        Ok((message_id, stored_bytes)) => {
            let done = LastDigest { sent_at: Some(now), claim: None, stored_bytes, ..claimed };
            swap(control, Some(&etag), &done).await?;
            Ok(DigestOutcome::Sent(message_id))
        }
        Err(error) => {
            // As it was: the next run tries again.
            if let Err(again) = swap(control, Some(&etag), &begun).await {
                tracing::warn!(error = %again, "the digest is tried again in a quarter of an hour only");
            }
            Err(error.context("send the digest"))
        }
    }
}

async fn send(
    ports: &DigestPorts,
    config: &Config,
    last: &LastDigest,
    claimed: &LastDigest,
    asked: bool,
    context: &RunContext,
) -> Result<(String, std::collections::BTreeMap<crate::ids::DatabaseSlug, u64>)> {
    let now = context.clock.now();
    let span = period(&config.alerts).unwrap_or(SignedDuration::from_hours(7 * 24));
    let from: Timestamp = last.sent_at.unwrap_or_else(|| now.saturating_sub(span).unwrap_or(now));
    let digest = gather(&*ports.store, &*ports.control, config, &last.stored_bytes, from, now).await;
    // What could not be read now keeps its figure: the next digest tells how it grew since.
    let mut stored = last.stored_bytes.clone();
    if digest.problems.is_empty() {
        stored.clear();
    }
    stored.extend(digest.databases.iter().map(|d| (d.database.clone(), d.stored_bytes)));
    let named = if asked { now } else { claimed.due };
    let message = of_digest(digest, named, &Policy::of_config(config).signature, now);
    ports.outlet.hand_on(&*ports.control, &message, context).await?;
    Ok((message.id, stored))
}

/// The new etag; none where another was faster.
async fn swap(control: &dyn Store, etag: Option<&str>, last: &LastDigest) -> Result<Option<String>> {
    let body = serde_json::to_vec_pretty(last).or_error(ErrorKind::Unexpected, "write the last digest")?;
    match control.swap(KEY, etag, body.into()).await? {
        Swap::Done(stored) => Ok(Some(stored.etag.unwrap_or_default())),
        Swap::Lost => Ok(None),
    }
}
