//! Hooks a dump's steps: whatever a test wants to happen between two of them happens exactly there.

use std::{
    fmt::Debug,
    sync::{Mutex, OnceLock, PoisonError},
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};

/// Steps of the start, in order, each once per attempt.
pub(super) const START: [&str; 7] = [
    "tables listed",
    "tables locked",
    "snapshot exported",
    "locks checked",
    "table of contents harvested",
    "tables described",
    "inventory taken",
];

/// Steps of every unit that a worker reads.
pub(super) const UNIT: [&str; 3] = ["unit begun", "unit locked", "unit copied"];

struct Hook<F>(Mutex<F>);

/// Calls `hook` with each step of every dump that runs on this thread (a current-thread runtime) until the guard is
/// dropped. The dump stands still meanwhile.
pub(super) fn hook(hook: impl FnMut(&str) + Send + 'static) -> DefaultGuard {
    // As long as there is but one subscriber, `tracing` asks that of the thread which comes to a step first whether anybody
    // wants to hear of it, and keeps the answer for all threads; of several it asks all.
    static ANOTHER: OnceLock<Dispatch> = OnceLock::new();
    ANOTHER.get_or_init(|| Dispatch::new(Hook(Mutex::new(|_: &str| {}))));
    tracing::subscriber::set_default(Hook(Mutex::new(hook)))
}

#[derive(Default)]
struct Step(Option<String>);

impl Visit for Step {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "step" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

impl<F: FnMut(&str) + Send + 'static> Subscriber for Hook<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "lifeboat::step"
    }

    fn event(&self, event: &Event<'_>) {
        let mut step = Step::default();
        event.record(&mut step);
        if let Some(name) = step.0 {
            (self.0.lock().unwrap_or_else(PoisonError::into_inner))(&name);
        }
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}
