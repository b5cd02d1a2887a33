//! Builds the context that every run is given.

use std::sync::Arc;

use lifeboat_core::{
    cancel::Cancel,
    ids::RunId,
    ports::{Clock, Entropy, Progress, RunContext, Unwatched},
};

use crate::{FixedEntropy, ManualClock};

/// A context at noon of 2026-11-20, unwatched, uncancelled; every part can be replaced.
pub struct ContextBuilder(RunContext);

/// Begins a context.
pub fn context() -> ContextBuilder {
    ContextBuilder(RunContext {
        run_id: RunId::new(1),
        clock: Arc::new(ManualClock::at("2026-11-20T12:00:00Z")),
        entropy: Arc::new(FixedEntropy::default()),
        progress: Arc::new(Unwatched),
        cancel: Cancel::never(),
    })
}

impl ContextBuilder {
    /// The run's id is made of this number.
    #[must_use]
    pub fn run(mut self, number: u64) -> Self {
        self.0.run_id = RunId::new(number);
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.0.clock = clock;
        self
    }

    /// Other random numbers.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.0.entropy = entropy;
        self
    }

    /// Somebody who watches.
    #[must_use]
    pub fn progress(mut self, progress: Arc<dyn Progress>) -> Self {
        self.0.progress = progress;
        self
    }

    /// A switch that may stop the run.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.0.cancel = cancel;
        self
    }

    /// The context.
    pub fn build(self) -> RunContext {
        self.0
    }
}
