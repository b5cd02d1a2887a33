//! What `alert` and `notify` are given: the envelopes of SQS, EventBridge and SNS.

use aws_lambda_events::event::{eventbridge::EventBridgeEvent, sns::SnsEvent, sqs::SqsEvent};
use lifeboat_core::{Error, ErrorKind, Result, events::Event, incidents::Received};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What `alert` is given: a batch of a queue behind a rule, one event for a run by hand, or a wish.
#[derive(Debug, Clone)]
pub enum AlertRequest {
    /// SQS: every body is an event of EventBridge.
    Batch(Box<SqsEvent>),
    /// EventBridge, or the same by hand.
    Event(Box<EventBridgeEvent<Value>>),
    /// A wish.
    Wish(AlertWish),
}

/// What can be asked of `alert` without an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertWish {
    /// Send the digest now.
    #[serde(default)]
    pub digest: bool,
    /// Look for reminders that are due and for what could not be sent; send the digest if it is due. What the hourly
    /// rule asks.
    #[serde(default)]
    pub remind: bool,
}

impl<'de> Deserialize<'de> for AlertRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let wrong = serde::de::Error::custom;
        if value.get("Records").is_some() {
            return serde_json::from_value(value).map(|batch| Self::Batch(Box::new(batch))).map_err(wrong);
        }
        if value.get("detail-type").is_some() {
            return serde_json::from_value(value).map(|event| Self::Event(Box::new(event))).map_err(wrong);
        }
        serde_json::from_value(value).map(Self::Wish).map_err(wrong)
    }
}

/// The events of a batch, and by their ids those messages that hold none of ours.
#[derive(Debug, Default)]
pub struct Batch {
    /// Events.
    pub received: Vec<Received>,
    /// Messages that cannot be read, and why.
    pub unreadable: Vec<(String, Error)>,
}

impl Batch {
    /// Of a queue's messages.
    pub fn of_queue(event: &SqsEvent) -> Self {
        let mut batch = Self::default();
        for (n, record) in event.records.iter().enumerate() {
            // Without an id there is nothing that SQS could be told of it.
            let id = record.message_id.clone().unwrap_or_else(|| n.to_string());
            match of_body(record.body.as_deref().unwrap_or_default()) {
                Ok(event) => batch.received.push(Received { id, event }),
                Err(error) => batch.unreadable.push((id, error)),
            }
        }
        batch
    }

    /// Of one event.
    pub fn of_event(event: &EventBridgeEvent<Value>) -> Result<Self> {
        let id = event.id.clone().unwrap_or_default();
        Ok(Self { received: vec![Received { id, event: Event::from_detail(&event.detail)? }], unreadable: Vec::new() })
    }
}

fn of_body(body: &str) -> Result<Event> {
    let envelope: EventBridgeEvent<Value> = serde_json::from_str(body)
        .map_err(|e| Error::new(ErrorKind::Usage, format!("read an event of EventBridge: {e}")))?;
    Event::from_detail(&envelope.detail)
}

/// What `alert` answers. `batchItemFailures` is for SQS: these messages are delivered again, and after some time put into
/// the dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertAnswer {
    /// What SQS shall deliver again.
    #[serde(flatten)]
    pub failures: SqsFailures,
    /// Incidents that began.
    pub opened: u64,
    /// Incidents that ended.
    pub resolved: u64,
    /// Incidents and successes that people were told of.
    pub told: u64,
    /// The message that tells of them.
    pub message_id: Option<String>,
    /// The digest that was sent.
    pub digest_id: Option<String>,
}

/// In the form that SQS wants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SqsFailures {
    /// The messages.
    #[serde(rename = "batchItemFailures")]
    pub items: Vec<SqsFailure>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqsFailure {
    /// Its id.
    #[serde(rename = "itemIdentifier")]
    pub id: String,
}

impl SqsFailures {
    /// Of these messages.
    pub fn of(ids: impl IntoIterator<Item = String>) -> Self {
        Self { items: ids.into_iter().map(|id| SqsFailure { id }).collect() }
    }
}

/// What `notify` is given: messages of SNS, or a wish.
#[derive(Debug, Clone)]
pub enum NotifyRequest {
    /// SNS: every message is one of ours, or somebody else's on the same topic.
    Messages(Box<SnsEvent>),
    /// A wish.
    Wish(NotifyWish),
}

/// What can be asked of `notify` without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyWish {
    /// Try again what did not reach every channel. What the hourly rule asks.
    pub deliver: bool,
}

impl<'de> Deserialize<'de> for NotifyRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let wrong = serde::de::Error::custom;
        if value.get("Records").is_some() {
            return serde_json::from_value(value).map(|event| Self::Messages(Box::new(event))).map_err(wrong);
        }
        serde_json::from_value(value).map(Self::Wish).map_err(wrong)
    }
}

/// What `notify` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifyAnswer {
    /// What became of each message.
    pub messages: Vec<Notified>,
    /// Earlier messages that every channel has now.
    pub delivered: u64,
    /// Earlier messages that some channel still does not have.
    pub undelivered: u64,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Notified {
    /// The message.
    pub message_id: String,
    /// Its subject.
    pub subject: String,
    /// Channels that have it now.
    pub sent: Vec<String>,
    /// Channels that had it before: it was delivered twice.
    pub had: Vec<String>,
    /// Channels for which nothing in it is meant.
    pub skipped: Vec<String>,
}

#[cfg(test)]
mod tests {
    use aws_lambda_events::sqs::SqsBatchResponse;
    use lifeboat_core::messages::Message;

    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_sample_batches_of_a_queue_are_read_event_by_event() {
        let AlertRequest::Batch(event) = read(include_str!("../../../../events/alert/batch.json")) else {
            panic!("not a batch")
        };
        let batch = Batch::of_queue(&event);
        let names: Vec<&str> = batch.received.iter().map(|r| r.event.body.name()).collect();
        assert_eq!(names, ["BackupFailed", "BackupFailed", "BackupVerified"]);
        assert!(batch.unreadable.is_empty());
        let AlertRequest::Batch(event) = read(include_str!("../../../../events/alert/foreign.json")) else {
            panic!("not a batch")
        };
        let batch = Batch::of_queue(&event);
        assert_eq!((batch.received.len(), batch.unreadable.len()), (1, 1));
        assert_eq!(batch.unreadable[0].0, "19dd0b57-b21e-4ac1-bd88-01bbb068cb04");
    }

    #[test]
    fn an_event_and_wishes_by_hand_are_read() {
        let AlertRequest::Event(event) = read(include_str!("../../../../events/alert/failed.json")) else {
            panic!("not an event")
        };
        assert_eq!(Batch::of_event(&event).unwrap().received[0].event.database.as_str(), "orders");
        let wish = |text| match read(text) {
            AlertRequest::Wish(wish) => wish,
            other => panic!("not a wish: {other:?}"),
        };
        let digest = wish(include_str!("../../../../events/alert/digest.json"));
        assert_eq!(digest, AlertWish { digest: true, remind: false });
        let remind = wish(include_str!("../../../../events/alert/remind.json"));
        assert_eq!(remind, AlertWish { digest: false, remind: true });
        assert!(serde_json::from_str::<AlertRequest>(r#"{"digst":true}"#).is_err());
    }

    #[test]
    fn the_sample_messages_of_sns_and_the_wish_are_read() {
        let messages = |text| match read(text) {
            NotifyRequest::Messages(event) => event,
            other @ NotifyRequest::Wish(_) => panic!("not messages: {other:?}"),
        };
        let event = messages(include_str!("../../../../events/notify/incident.json"));
        let message: Message = serde_json::from_str(&event.records[0].sns.message).unwrap();
        assert_eq!((message.id.as_str(), message.entries.len()), ("bb088d684e223814dd8f1ef0", 1));
        let NotifyRequest::Wish(wish) = read(include_str!("../../../../events/notify/deliver.json")) else {
            panic!("not a wish")
        };
        assert!(wish.deliver);
        assert!(serde_json::from_str::<NotifyRequest>(r#"{"delivr":true}"#).is_err());
        let event = messages(include_str!("../../../../events/notify/alarm.json"));
        assert!(serde_json::from_str::<Message>(&event.records[0].sns.message).is_err());
    }

    #[test]
    fn the_answer_is_what_sqs_reads() {
        let answer = AlertAnswer {
            failures: SqsFailures::of(["a".to_owned(), "b".to_owned()]),
            opened: 1,
            resolved: 0,
            told: 1,
            message_id: None,
            digest_id: None,
        };
        let document = serde_json::to_value(&answer).unwrap();
        assert_eq!(document["batchItemFailures"][1]["itemIdentifier"], "b");
        let amazon: SqsBatchResponse = serde_json::from_value(document).unwrap();
        assert_eq!(amazon.batch_item_failures.len(), 2);
        assert_eq!(serde_json::to_value(SqsFailures::default()).unwrap().to_string(), r#"{"batchItemFailures":[]}"#);
    }
}
