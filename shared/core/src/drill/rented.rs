//! A scratch target in an instance of RDS, made and waited for in one go: what a drill from the command line does.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;

use super::instance::{self, Mark, Needs, Readiness};
use crate::{
    Error, Result,
    config::RdsScratch,
    ids::DrillId,
    ports::{
        Clock, InstanceContent, InstanceDatabases, Instances, RunContext, Scratch, ScratchFacts, ScratchProvider,
        ScratchWish, Target, ToolMessage,
    },
};

/// The database that a backup is restored into.
pub(super) const DATABASE: &str = "lifeboat_drill";

/// Makes an instance for every drill.
#[derive(Clone)]
pub struct RentedScratch {
    /// RDS.
    pub instances: Arc<dyn Instances>,
    /// What is in an instance.
    pub databases: Arc<dyn InstanceDatabases>,
    /// What it is to be like.
    pub config: RdsScratch,
    /// The deployment's name: its id begins with it, and its tag says it.
    pub prefix: String,
}

struct Rented {
    of: RentedScratch,
    id: String,
    drill: DrillId,
    facts: ScratchFacts,
    target: Arc<dyn Target>,
    messages: Vec<ToolMessage>,
    clock: Arc<dyn Clock>,
}

impl RentedScratch {
    fn look_every(&self) -> Duration {
        Duration::from_secs(self.config.times.look_every.0.max(1))
    }

    /// Waits until the instance can be used, and prepares it.
    async fn ready(
        &self,
        id: &str,
        begun: Timestamp,
        wish: &ScratchWish<'_>,
        context: &RunContext,
    ) -> Result<(ScratchFacts, Arc<dyn Target>, Vec<ToolMessage>)> {
        let (instance, address) = loop {
            let within = self.config.times.available_within;
            match instance::look(&*self.instances, id, false, begun, within, context.clock.now()).await? {
                Readiness::Ready(instance, address) => break (instance, address),
                Readiness::NotYet(status) => tracing::debug!(id, status, "waiting for the instance"),
            }
            tokio::time::sleep(self.look_every()).await;
        };
        let messages = self.databases.prepare(&address, DATABASE, wish.source, wish.globals, context).await?;
        let target = self.databases.open(&address, DATABASE).await?;
        Ok((instance::facts(&instance), target, messages))
    }

    /// Removes the instance and waits until it is gone.
    async fn remove(&self, id: &str, drill: &DrillId, clock: &dyn Clock) -> Result<String> {
        let begun = clock.now();
        let mut gone = instance::remove(&*self.instances, id, drill).await?;
        while !gone {
            tokio::time::sleep(self.look_every()).await;
            let within = self.config.times.gone_within;
            gone = instance::gone(&*self.instances, id, drill, begun, within, clock.now()).await?;
        }
        Ok(instance::proof(id))
    }

    /// What became of it, where it could not be used.
    async fn give_back(&self, id: &str, drill: &DrillId, error: Error, context: &RunContext) -> Error {
        match self.remove(id, drill, &*context.clock).await {
            Ok(_) => error,
            Err(again) => {
                let ttl = self.config.times.ttl;
                error.context(format!("the instance {id} REMAINS ({again}; health removes it {ttl} after it was made)"))
            }
        }
    }
}

#[async_trait]
impl ScratchProvider for RentedScratch {
    fn describe(&self) -> String {
        format!("RDS instance of class {}", self.config.class)
    }

    async fn provision(&self, wish: &ScratchWish<'_>, context: &RunContext) -> Result<Box<dyn Scratch>> {
        let begun = context.clock.now();
        let mark = Mark { database: wish.of, drill: wish.drill, execution: context.run_id.as_str(), begun };
        let needs = Needs { major: wish.source.server_version_num / 10_000, raw_bytes: wish.raw_bytes };
        let wanted = instance::wish(&self.config, &self.prefix, mark, needs, InstanceContent::Empty)?;
        let id = wanted.id.clone();
        // From here on it may be there, whatever is answered.
        let made = async {
            instance::provision(&*self.instances, &wanted).await?;
            self.ready(&id, begun, wish, context).await
        };
        match context.cancel.race(made).await {
            Ok((facts, target, messages)) => {
                let clock = Arc::clone(&context.clock);
                Ok(Box::new(Rented { of: self.clone(), id, drill: wish.drill.clone(), facts, target, messages, clock }))
            }
            Err(error) => Err(self.give_back(&id, wish.drill, error, context).await),
        }
    }
}

#[async_trait]
impl Scratch for Rented {
    fn target(&self) -> Arc<dyn Target> {
        Arc::clone(&self.target)
    }

    fn describe(&self) -> String {
        self.facts.description.clone()
    }

    fn facts(&self) -> ScratchFacts {
        self.facts.clone()
    }

    fn messages(&self) -> &[ToolMessage] {
        &self.messages
    }

    async fn tear_down(self: Box<Self>) -> Result<String> {
        self.of.remove(&self.id, &self.drill, &*self.clock).await
    }
}
