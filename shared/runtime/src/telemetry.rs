//! Logs on standard error: words for people at the command line, JSON for functions.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::environment::Environment;

/// How much the command line logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// Errors only (`-q`).
    Quiet,
    /// Warnings and errors.
    #[default]
    Normal,
    /// What happens (`-v`).
    Verbose,
    /// Every step (`-vv`).
    Debug,
}

impl Verbosity {
    fn directives(self) -> &'static str {
        match self {
            Self::Quiet => "error",
            // The SDK tells at length where it found no region or credentials; the error that follows says it in a line.
            Self::Normal => "warn,aws_config=error",
            Self::Verbose => {
                "warn,lifeboat=info,lifeboat_core=info,lifeboat_postgres=info,lifeboat_store=info,lifeboat_runtime=info"
            }
            Self::Debug => {
                "info,lifeboat=debug,lifeboat_core=debug,lifeboat_postgres=debug,lifeboat_store=debug,lifeboat_runtime=debug"
            }
        }
    }
}

/// `LIFEBOAT_LOG` beats the default, in `tracing`'s syntax.
fn filter(environment: &Environment, default: &str) -> EnvFilter {
    let wanted = environment.text("LIFEBOAT_LOG").ok().flatten();
    wanted.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(default))
}

/// Logs for people. `write` lets progress bars step aside while a line is printed.
pub fn for_people<W>(environment: &Environment, verbosity: Verbosity, colour: bool, write: W)
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer =
        fmt::layer().with_writer(write).with_ansi(colour).with_target(verbosity == Verbosity::Debug).without_time();
    let subscriber = tracing_subscriber::registry().with(filter(environment, verbosity.directives())).with(layer);
    // Set already in tests: then that one stays.
    drop(subscriber.try_init());
}

/// Logs for functions: one JSON object per line, with the run id of the span it was written in.
pub fn for_functions(environment: &Environment) {
    let layer = fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // The adapter has logged a failure already, with its kind and hint.
    let directives = format!("{},lambda_runtime::layers::panic=off", Verbosity::Verbose.directives());
    let subscriber =
        tracing_subscriber::registry().with(filter(environment, &directives)).with(layer.with_writer(std::io::stderr));
    drop(subscriber.try_init());
}
