//! EventBridge as the bus.

use async_trait::async_trait;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    events::{Event, SOURCE},
    ports::EventBus,
};

use crate::client::{Aws, failed};

/// The most events that one call takes, by EventBridge's quotas.
const MOST_AT_ONCE: usize = 10;

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

    fn entry(&self, event: &Event) -> Result<PutEventsRequestEntry> {
        let detail = serde_json::to_string(event).or_error(ErrorKind::Unexpected, "encode an event")?;
        Ok(PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(event.body.name())
            .detail(detail)
            .build())
    }
}

#[async_trait]
impl EventBus for EventBridge {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        for batch in events.chunks(MOST_AT_ONCE) {
            let entries = batch.iter().map(|event| self.entry(event)).collect::<Result<Vec<_>>>()?;
            let doing = format!("publish to the bus '{}'", self.bus);
            let answer =
                self.client.put_events().set_entries(Some(entries)).send().await.map_err(|e| failed(&doing, e))?;
            // The call succeeds although entries were refused.
            let refused = answer.entries().iter().find(|entry| entry.error_code().is_some());
            if let Some(entry) = refused {
                let code = entry.error_code().unwrap_or_default();
                let message = entry.error_message().unwrap_or_default();
                return Err(Error::new(ErrorKind::Store, format!("{doing}: {code}: {message}"))
                    .with_hint("check that the bus exists and that the role may events:PutEvents on it"));
            }
        }
        Ok(())
    }
}
