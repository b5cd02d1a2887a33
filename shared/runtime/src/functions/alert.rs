//! `alert`: events become incidents, and what is new about them one message.

use std::{sync::Arc, time::Duration};

use lifeboat_channels::Patience;
use lifeboat_core::{
    Error, ErrorKind, Result, deliveries,
    digest::DigestOutcome,
    incidents::{self, BatchOutcome, Policy},
    ports::RunContext,
};

use crate::{
    alerting::FOR_CONTROL_OF_FUNCTIONS,
    requests::{AlertAnswer, AlertRequest, AlertWish, Batch, SqsFailures},
    setup::Setup,
};

/// How long it works on messages that did not arrive before.
const FOR_AGAIN: Duration = Duration::from_secs(30);

/// `alert`: takes a batch of a queue, one event, or a wish. Messages of the queue that could not be worked off are in the
/// answer, for SQS to deliver again; an error where none could be. A control store that hangs keeps nobody from being told.
pub async fn alert(setup: Arc<Setup>, request: AlertRequest, context: RunContext) -> Result<AlertAnswer> {
    let setup = setup.with_patience(FOR_CONTROL_OF_FUNCTIONS);
    let patience = Patience::default();
    let (batch, wish) = match request {
        AlertRequest::Batch(event) => (Batch::of_queue(&event), AlertWish::default()),
        AlertRequest::Event(event) => (Batch::of_event(&event)?, AlertWish::default()),
        AlertRequest::Wish(wish) => (Batch::default(), wish),
    };
    let ports = Box::pin(setup.alert_ports(patience, None)).await?;
    let policy = Policy::of_config(&setup.config);
    let mut outcome = if wish.remind && batch.received.is_empty() {
        Box::pin(incidents::remind(&ports, &policy, &context)).await
    } else {
        Box::pin(incidents::run(&ports, &policy, &batch.received, &context)).await
    };
    if setup.config.alerts.topic.is_none() {
        // Without a topic there is no `notify` that would do it.
        let again = Box::pin(setup.deliver_again(&outcome.failed_channels, patience, FOR_AGAIN, &context));
        let again = context.cancel.race(again).await;
        if let Err(error) = again {
            tracing::warn!(%error, "what did not arrive before was not tried again");
        }
    }
    for (id, error) in &batch.unreadable {
        tracing::error!(message = id, %error, "a message of the queue holds no event of ours");
        if let Err(error) = deliveries::note_unreadable(&*ports.control, id, error, &context).await {
            tracing::error!(message = id, %error, "nobody can see that but in this log and in the dead-letter queue");
        }
    }
    let digest = context.cancel.race(Box::pin(setup.send_digest(wish.digest, patience, &context))).await;
    let digest_id = match digest {
        Ok(DigestOutcome::Sent(id)) => Some(id),
        Ok(DigestOutcome::NotDue) => None,
        Err(error) if wish.digest => return Err(error),
        Err(error) => {
            tracing::error!(%error, hint = error.hint(), "the digest was not sent; the next run tries again");
            None
        }
    };
    let taken = batch.received.len() + batch.unreadable.len();
    let failed: Vec<String> = outcome.failed.drain(..).chain(batch.unreadable.into_iter().map(|(id, _)| id)).collect();
    if let Some(error) = whole_failure(&mut outcome, failed.len() == taken) {
        return Err(error);
    }
    Ok(AlertAnswer {
        failures: SqsFailures::of(failed),
        opened: outcome.opened,
        resolved: outcome.resolved,
        told: outcome.told,
        message_id: outcome.message_id,
        digest_id,
    })
}

/// Where nothing could be worked off, the run failed: alarms on errors then see it.
fn whole_failure(outcome: &mut BatchOutcome, all: bool) -> Option<Error> {
    let error = outcome.error.take()?;
    if all {
        return Some(error);
    }
    tracing::error!(kind = error.kind().name(), %error, hint = error.hint(), "part of the batch was not worked off");
    // A wish has nothing that could be delivered again.
    (error.kind() == ErrorKind::Config).then_some(error)
}
