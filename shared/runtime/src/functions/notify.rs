//! `notify`: takes messages of the topic to the channels, each once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use lifeboat_channels::Patience;
use lifeboat_core::{
    Error, ErrorKind, Result,
    deliveries::{self, Again, Delivery, Target},
    messages::{Message, of_foreign},
    ports::{RunContext, Store},
};

use crate::{
    alerting::FOR_CONTROL_OF_FUNCTIONS,
    requests::{Notified, NotifyAnswer, NotifyRequest, NotifyWish},
    setup::Setup,
};

/// How long it works on messages that did not arrive before, after new ones.
const AFTER_NEW: Duration = Duration::from_secs(30);
/// The same where that is all there is to do.
const ASKED: Duration = Duration::from_mins(2);

/// `notify`: delivers, what is new first. A channel that fails makes the run fail, so that it is tried again: what arrived
/// is on record and is not sent twice. After its last attempt Lambda puts the message into the dead-letter queue; the status
/// page shows it, and each later run tries it again. A control store that hangs keeps nobody from being told. A wish fails only where nothing could be tried.
pub async fn notify(setup: Arc<Setup>, request: NotifyRequest, context: RunContext) -> Result<NotifyAnswer> {
    let setup = setup.with_patience(FOR_CONTROL_OF_FUNCTIONS);
    let event = match request {
        NotifyRequest::Messages(event) => event,
        NotifyRequest::Wish(NotifyWish { deliver: false }) => return Ok(NotifyAnswer::default()),
        NotifyRequest::Wish(NotifyWish { deliver: true }) => {
            somebody(&Box::pin(setup.open_targets(Patience::default())).await?)?;
            let but = BTreeSet::new();
            let again = setup.deliver_again(&but, Patience::default(), ASKED, &context);
            let Again { delivered, left } = context.cancel.race(Box::pin(again)).await?;
            return Ok(NotifyAnswer { delivered, undelivered: left, ..NotifyAnswer::default() });
        }
    };
    let targets = Box::pin(setup.open_targets(Patience::default())).await?;
    somebody(&targets)?;
    let control = setup.open_control().await;
    let (mut answer, mut failed) = (NotifyAnswer::default(), BTreeMap::new());
    let mut refused = None;
    for record in event.records {
        let sns = record.sns;
        let message = serde_json::from_str::<Message>(&sns.message)
            .unwrap_or_else(|_| of_foreign(sns.subject.as_deref(), &sns.message, &sns.message_id, context.clock.now()));
        let delivery = match &control {
            Ok(control) => deliver(&**control, &targets, &message, &context).await,
            Err(error) => Ok(blindly(error, &targets, &message).await),
        };
        match delivery {
            Ok(delivery) => {
                failed.extend(delivery.failed);
                answer.messages.push(Notified {
                    message_id: message.id,
                    subject: message.subject,
                    sent: delivery.sent,
                    had: delivery.had,
                    skipped: delivery.skipped,
                });
            }
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    let but: BTreeSet<String> = failed.keys().cloned().collect();
    let again = Box::pin(setup.deliver_again(&but, Patience::default(), AFTER_NEW, &context));
    match context.cancel.race(again).await {
        Ok(again) => (answer.delivered, answer.undelivered) = (again.delivered, again.left),
        Err(error) => tracing::warn!(%error, "what was not delivered before was not tried again"),
    }
    if let Some(error) = refused {
        return Err(error);
    }
    if failed.is_empty() {
        return Ok(answer);
    }
    let failed: Vec<String> = failed.into_iter().map(|(channel, error)| format!("{channel}: {error}")).collect();
    Err(Error::new(ErrorKind::Store, format!("not delivered: {}", failed.join("; "))).with_hint(
        "it is tried again; `lifeboat alert list` shows what is still undelivered, `lifeboat alert test` tries",
    ))
}

fn somebody(targets: &[Target]) -> Result<()> {
    if targets.is_empty() {
        return Err(Error::new(ErrorKind::Config, "no channel is configured: there is nobody to notify")
            .with_hint("write an [alerts.channels.NAME] section: see docs/ALERTS.md"));
    }
    Ok(())
}

/// An error of the control store means that nothing was sent yet; what was sent and could not be written down is no error.
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
    let sending = targets.iter().map(|target| async move {
        let result = match target.audience.of(message) {
            Some(theirs) => Some(target.channel.send(&theirs).await),
            None => None,
        };
        (target.channel.name().to_owned(), result)
    });
    for (name, result) in join_all(sending).await {
        match result {
            None => delivery.skipped.push(name),
            Some(Ok(())) => delivery.sent.push(name),
            Some(Err(error)) => {
                delivery.failed.insert(name, error.to_string());
            }
        }
    }
    delivery
}
