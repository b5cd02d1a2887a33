//! `notify`: takes messages of the topic to the channels, each once.

use std::sync::Arc;

use lifeboat_channels::Patience;
use lifeboat_core::{
    Error, ErrorKind, Result,
    deliveries::{self, Delivery, Target},
    messages::{Message, of_foreign},
    ports::{RunContext, Store},
};

use crate::{
    requests::{Notified, NotifyAnswer, NotifyRequest},
    setup::Setup,
};

/// `notify`: delivers. A channel that fails makes the run fail, so that it is tried again: what arrived is on record and
/// is not sent twice. After its last attempt Lambda puts the message into the dead-letter queue; the status page shows it.
pub async fn notify(setup: Arc<Setup>, request: NotifyRequest, context: RunContext) -> Result<NotifyAnswer> {
    let targets = Box::pin(setup.open_targets(Patience::default())).await?;
    if targets.is_empty() {
        return Err(Error::new(ErrorKind::Config, "no channel is configured: there is nobody to notify")
            .with_hint("write an [alerts.channels.NAME] section: see docs/ALERTS.md"));
    }
    let control = setup.open_control().await;
    // The oldest news first.
    if let Ok(control) = &control
        && let Err(error) = deliveries::deliver_again(&**control, &targets, &context).await
    {
        tracing::warn!(%error, "what was not delivered before was not tried again");
    }
    let mut answer = NotifyAnswer::default();
    let mut failed: Vec<String> = Vec::new();
    for record in request.0.records {
        let sns = record.sns;
        let message = serde_json::from_str::<Message>(&sns.message)
            .unwrap_or_else(|_| of_foreign(sns.subject.as_deref(), &sns.message, &sns.message_id, context.clock.now()));
        let delivery = match &control {
            Ok(control) => deliver(&**control, &targets, &message, &context).await?,
            Err(error) => blindly(error, &targets, &message).await,
        };
        failed.extend(delivery.failed.iter().map(|(channel, error)| format!("{channel}: {error}")));
        answer.messages.push(Notified {
            message_id: message.id,
            subject: message.subject,
            sent: delivery.sent,
            had: delivery.had,
            skipped: delivery.skipped,
        });
    }
    if failed.is_empty() {
        return Ok(answer);
    }
    Err(Error::new(ErrorKind::Store, format!("not delivered: {}", failed.join("; "))).with_hint(
        "it is tried again; `lifeboat alert list` shows what is still undelivered, `lifeboat alert test` tries",
    ))
}

async fn deliver(control: &dyn Store, targets: &[Target], message: &Message, context: &RunContext) -> Result<Delivery> {
    match deliveries::deliver(control, targets, message, context).await {
        Err(error) if error.kind() != ErrorKind::AlreadyRunning => Ok(blindly(&error, targets, message).await),
        other => other,
    }
}

/// Nothing is on record: better twice than not at all.
async fn blindly(error: &Error, targets: &[Target], message: &Message) -> Delivery {
    tracing::error!(%error, message = message.id, "delivering without a record: the control store cannot be used");
    let mut delivery = Delivery::default();
    for target in targets {
        let name = target.channel.name().to_owned();
        match target.audience.of(message) {
            None => delivery.skipped.push(name),
            Some(theirs) => match target.channel.send(&theirs).await {
                Ok(()) => delivery.sent.push(name),
                Err(error) => {
                    delivery.failed.insert(name, error.to_string());
                }
            },
        }
    }
    delivery
}
