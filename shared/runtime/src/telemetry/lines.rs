//! A function's log: one JSON object per line, and in each of them which run of which database it belongs to.

use std::{
    fmt::{self, Write as _},
    io::Write,
    sync::{PoisonError, RwLock},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, fmt::MakeWriter, layer::Context};

/// What every line of a run says. A process of a function works on one request at a time, so this is the process's: lines
/// from tasks that the run has started say it too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Run {
    /// The function's operation.
    pub operation: String,
    /// The run.
    pub run_id: String,
    /// The database of the request, where it names one.
    pub database: Option<String>,
    /// The invocation, as AWS names it.
    pub request_id: String,
}

static RUN: RwLock<Option<Run>> = RwLock::new(None);

/// Ends with the run.
#[derive(Debug)]
pub struct Running(());

impl Drop for Running {
    fn drop(&mut self) {
        *RUN.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// From now on, and until the value is dropped, every line says that it is of this run.
#[must_use]
pub fn begin(run: Run) -> Running {
    *RUN.write().unwrap_or_else(PoisonError::into_inner) = Some(run);
    Running(())
}

/// Writes the lines.
pub(super) struct Lines<W>(pub(super) W);

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), json!(format!("{:.3}", Timestamp::now())));
        line.insert("level".to_owned(), json!(metadata.level().as_str()));
        if let Some(run) = &*RUN.read().unwrap_or_else(PoisonError::into_inner) {
            line.insert("operation".to_owned(), json!(run.operation));
            line.insert("run_id".to_owned(), json!(run.run_id));
            line.insert("database".to_owned(), json!(run.database));
            line.insert("request_id".to_owned(), json!(run.request_id));
        }
        line.insert("target".to_owned(), json!(metadata.target()));
        event.record(&mut Fields(&mut line));
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        // Where the log cannot be written there is nobody to tell.
        drop(self.0.make_writer().write_all(text.as_bytes()));
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn set(&mut self, field: &Field, value: Value) {
        // What comes from the `log` crate brings its own target.
        if !field.name().starts_with("log.") {
            self.0.insert(field.name().to_owned(), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, json!(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, json!(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, json!(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, json!(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, json!(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        let _ = write!(text, "{value:?}");
        self.set(field, json!(text));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_line_says_of_which_run_it_is_from_whatever_thread_it_comes() {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = Arc::new(tracing_subscriber::registry().with(Lines(move || writer.clone())));
        let log = |message: &'static str| {
            let subscriber = Arc::clone(&subscriber);
            let work = move || tracing::subscriber::with_default(subscriber, || tracing::info!(bytes = 7, "{message}"));
            std::thread::spawn(work).join().unwrap();
        };
        log("before");
        let run = Run {
            operation: "dump".to_owned(),
            run_id: "abc".to_owned(),
            database: Some("orders".to_owned()),
            request_id: "r-1".to_owned(),
        };
        let running = begin(run);
        log("a \"quoted\"\nmessage");
        drop(running);
        log("after");
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{text}");
        let line = &lines[1];
        assert_eq!(line["message"], "a \"quoted\"\nmessage");
        assert_eq!((&line["level"], &line["bytes"]), (&json!("INFO"), &json!(7)));
        for (name, value) in [("operation", "dump"), ("run_id", "abc"), ("database", "orders"), ("request_id", "r-1")] {
            assert_eq!(line[name], value);
            assert_eq!((lines[0].get(name), lines[2].get(name)), (None, None));
        }
        assert!(line["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    }
}
