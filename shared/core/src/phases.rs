//! Times the phases of a run and tells whoever watches.

use std::sync::Arc;

use crate::{
    manifest::PhaseDuration,
    ports::{Clock, Progress, RunContext},
};

/// The phases of one run, one after the other.
pub struct Phases {
    clock: Arc<dyn Clock>,
    progress: Arc<dyn Progress>,
    done: Vec<PhaseDuration>,
    current: Option<(String, f64)>,
}

impl Phases {
    /// Begins with the first phase; `total_bytes` where known.
    pub fn begin(context: &RunContext, name: &str, total_bytes: Option<u64>) -> Self {
        let mut phases = Self {
            clock: Arc::clone(&context.clock),
            progress: Arc::clone(&context.progress),
            done: Vec::new(),
            current: None,
        };
        phases.next(name, total_bytes);
        phases
    }

    /// Ends the current phase and begins another; a phase entered again adds to its time.
    pub fn next(&mut self, name: &str, total_bytes: Option<u64>) {
        self.end();
        tracing::debug!(phase = name, "phase begins");
        self.progress.phase(name, total_bytes);
        self.current = Some((name.to_owned(), self.clock.monotonic_seconds()));
    }

    /// Ends the current phase.
    pub fn end(&mut self) {
        if let Some((phase, began)) = self.current.take() {
            let seconds = self.clock.monotonic_seconds() - began;
            match self.done.iter_mut().find(|d| d.phase == phase) {
                Some(earlier) => earlier.seconds += seconds,
                None => self.done.push(PhaseDuration { phase, seconds }),
            }
        }
    }

    /// The phases that have ended, in order.
    pub fn so_far(&self) -> Vec<PhaseDuration> {
        self.done.clone()
    }
}
