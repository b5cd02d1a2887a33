//! Logs on standard error: words for people at the command line, JSON for functions.

mod lines;

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::environment::Environment;

pub use lines::{Run, Running, begin};

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

/// Crates that tell of requests, headers and signatures when they are asked for details: they never are, because secrets
/// are among them.
const DISCREET: [&str; 11] = [
    "aws_config",
    "aws_runtime",
    "aws_sigv4",
    "aws_smithy_http_client",
    "aws_smithy_runtime",
    "aws_smithy_runtime_api",
    "h2",
    "hyper",
    "hyper_util",
    "lettre",
    "reqwest",
];

/// `LIFEBOAT_LOG` beats the default, in `tracing`'s syntax; but what might tell a secret is not to be had.
fn filter(environment: &Environment, default: &str) -> EnvFilter {
    let wanted = environment.text("LIFEBOAT_LOG").ok().flatten();
    match wanted.and_then(|text| EnvFilter::try_new(discreet(&text)).ok()) {
        Some(filter) => filter,
        None => EnvFilter::new(default),
    }
}

fn discreet(wanted: &str) -> String {
    // What a person says of one of these crates, or of a module in it, is left out.
    let told = |directive: &&str| {
        let target = directive.split(['=', '[']).next().unwrap_or_default().trim();
        !DISCREET.contains(&target.split("::").next().unwrap_or_default())
    };
    let kept: Vec<&str> = wanted.split(',').filter(told).collect();
    let capped: Vec<String> = DISCREET.iter().map(|name| format!("{name}=warn")).collect();
    format!("{},{}", kept.join(","), capped.join(","))
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

/// Logs for functions: one JSON object per line, with the run it belongs to; docs/LOGGING.md tells its fields.
pub fn for_functions(environment: &Environment) {
    // The adapter has logged a failure already, with its kind and hint.
    let directives = format!("{},lambda_runtime::layers::panic=off", Verbosity::Verbose.directives());
    let layer = lines::Lines(std::io::stderr);
    let subscriber = tracing_subscriber::registry().with(filter(environment, &directives)).with(layer);
    drop(subscriber.try_init());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_might_tell_a_secret_is_never_logged_in_detail() {
        for wanted in ["trace", "debug,aws_sigv4=trace", "aws_sigv4::http_request=trace,hyper=debug", "aws_runtime"] {
            let filter = EnvFilter::try_new(discreet(wanted)).unwrap().to_string();
            for name in DISCREET {
                assert!(filter.contains(&format!("{name}=warn")), "{wanted}: {filter}");
                assert!(
                    !filter.contains(&format!("{name}=trace")) && !filter.contains(&format!("{name}::")),
                    "{filter}"
                );
            }
        }
        assert!(discreet("lifeboat_store=debug").starts_with("lifeboat_store=debug,"));
    }
}
