//! A bus in memory that remembers what it was told, and can be stopped.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lifeboat_core::{Error, ErrorKind, Result, events::Event, ports::EventBus};

/// A bus in memory; clones share what was told.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    events: Vec<Event>,
    stopped: bool,
    refused: Option<&'static str>,
}

impl MemoryBus {
    /// From now on every event is refused, as by a bus that is out of reach; or taken again.
    pub fn stop(&self, stopped: bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stopped = stopped;
    }

    /// From now on a call with an event of this name is refused, because of that event; or none.
    pub fn refuse(&self, name: Option<&'static str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).refused = name;
    }

    /// Everything that was told, in order.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }

    /// The names of everything that was told, in order.
    pub fn names(&self) -> Vec<&'static str> {
        self.events().iter().map(|event| event.body.name()).collect()
    }
}

#[async_trait]
impl EventBus for MemoryBus {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.stopped {
            return Err(Error::new(ErrorKind::Store, "publish to the bus: no answer"));
        }
        if events.iter().any(|event| Some(event.body.name()) == told.refused) {
            return Err(Error::new(ErrorKind::Refused, "publish to the bus: it is too large"));
        }
        told.events.extend_from_slice(events);
        Ok(())
    }
}
