//! EventBridge as the bus.

use async_trait::async_trait;
use aws_sdk_eventbridge::{Client, error::ProvideErrorMetadata, types::PutEventsRequestEntry};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    events::{Event, SOURCE},
    ports::EventBus,
};

use crate::client::{Aws, failed_as};

/// The most events that one call takes, by EventBridge's quotas.
const MOST_AT_ONCE: usize = 10;

/// The most bytes that one call takes, by EventBridge's quotas; names and times count too.
const LARGEST: usize = 256 << 10;

/// What an entry counts beside its detail, at most.
const FRAME: usize = 1 << 10;

/// A bus of EventBridge, by name or ARN.
#[derive(Debug, Clone)]
pub struct EventBridge {
    client: Client,
    bus: String,
}

impl EventBridge {
    /// The bus of this name.
    pub fn new(aws: &Aws, bus: impl Into<String>) -> Self {
        Self { client: Client::new(&aws.0), bus: bus.into() }
    }

    fn entry(&self, event: &Event, detail: String) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(event.body.name())
            .detail(detail)
            .build()
    }

    /// The entries of as many calls as it takes.
    fn batches(&self, events: &[Event]) -> Result<Vec<Vec<PutEventsRequestEntry>>> {
        let (mut batches, mut batch, mut bytes) = (Vec::new(), Vec::new(), 0);
        for event in events {
            let detail = serde_json::to_string(event).or_error(ErrorKind::Unexpected, "encode an event")?;
            let size = detail.len() + FRAME;
            if batch.len() == MOST_AT_ONCE || (!batch.is_empty() && bytes + size > LARGEST) {
                batches.push(std::mem::take(&mut batch));
                bytes = 0;
            }
            bytes += size;
            batch.push(self.entry(event, detail));
        }
        if !batch.is_empty() {
            batches.push(batch);
        }
        Ok(batches)
    }
}

/// Whether EventBridge will never take the event, or did not take it now.
fn kind_of(code: &str) -> ErrorKind {
    match code {
        "MalformedDetail" | "InvalidArgument" | "ValidationException" => ErrorKind::Refused,
        _ => ErrorKind::Store,
    }
}

#[async_trait]
impl EventBus for EventBridge {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        for entries in self.batches(events)? {
            let doing = format!("publish to the bus '{}'", self.bus);
            let answer = self.client.put_events().set_entries(Some(entries)).send().await.map_err(|e| {
                let kind = kind_of(e.code().unwrap_or_default());
                failed_as(kind, &doing, e)
            })?;
            // The call succeeds although entries were refused.
            let refused = answer.entries().iter().find(|entry| entry.error_code().is_some());
            if let Some(entry) = refused {
                let code = entry.error_code().unwrap_or_default();
                let message = entry.error_message().unwrap_or_default();
                return Err(Error::new(kind_of(code), format!("{doing}: {code}: {message}"))
                    .with_hint("check that the bus exists and that the role may events:PutEvents on it"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_core::{
        events::{Body, FORMAT_VERSION, HealthRecovered},
        ids::RunId,
    };

    use super::*;

    #[test]
    fn no_call_holds_more_events_or_bytes_than_eventbridge_takes() {
        let bus = EventBridge::new(&Aws::fixed("eu-central-1", "AKID", "secret"), "lifeboat");
        let event = |length: usize| Event {
            format_version: FORMAT_VERSION,
            run_id: RunId::new(7),
            database: "orders".parse().unwrap(),
            at: "2026-11-20T02:00:00Z".parse().unwrap(),
            body: Body::HealthRecovered(HealthRecovered { recovered: vec!["x".repeat(length)] }),
        };
        let sizes = |events: Vec<Event>| bus.batches(&events).unwrap().iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(vec![]), Vec::<usize>::new());
        assert_eq!(sizes(vec![event(1); 23]), [10, 10, 3]);
        assert_eq!(sizes(vec![event(100_000); 5]), [2, 2, 1]);
    }

    #[test]
    fn only_what_is_wrong_with_the_event_itself_is_a_refusal() {
        for code in ["MalformedDetail", "InvalidArgument", "ValidationException"] {
            assert_eq!(kind_of(code), ErrorKind::Refused, "{code}");
        }
        for code in [
            "ThrottlingException",
            "InternalFailure",
            "NotAuthorizedForDetailTypeException",
            "AccessDeniedException",
            "",
        ] {
            assert_eq!(kind_of(code), ErrorKind::Store, "{code}");
        }
    }
}
