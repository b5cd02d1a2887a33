//! The command line of Lifeboat: the same runs as the functions, with output for people and programs.

mod answer;
mod app;
mod arguments;
mod commands;
mod progress;
mod redact;
mod table;
mod text;

use std::{error::Error as _, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind as ClapErrorKind};
use lifeboat_core::{Error, ErrorKind, Result};

use answer::{Answer, err, out, print_error};
use app::App;
use arguments::{Arguments, Command, Output};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let output = arguments.global.output;
    if let Command::Completions(completions) = &arguments.command {
        let mut script = Vec::new();
        clap_complete::generate(completions.shell, &mut Arguments::command(), "lifeboat", &mut script);
        let script = String::from_utf8_lossy(&script);
        let document = serde_json::json!({ "shell": completions.shell.to_string(), "script": script });
        return ExitCode::from(match Answer::new(&document, script) {
            Ok(answer) => {
                answer.print(output, true);
                0
            }
            Err(error) => print_error(&error, output),
        });
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = Error::new(ErrorKind::Unexpected, format!("start the runtime: {error}"));
            return ExitCode::from(print_error(&error, output));
        }
    };
    let (quiet, result) = (arguments.global.quiet, runtime.block_on(run(&arguments)));
    // A question that nobody answered may still be waiting for a line.
    runtime.shutdown_timeout(Duration::from_secs(2));
    ExitCode::from(match result {
        Ok(answer) => {
            answer.print(output, quiet);
            answer.exit
        }
        Err(error) => print_error(&error, output),
    })
}

async fn run(arguments: &Arguments) -> Result<Answer> {
    let app = App::begin(&arguments.global)?;
    let result = Box::pin(commands::run(&app, &arguments.command)).await;
    app.clear_progress();
    result
}

/// Help, version and usage errors.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion => {
            out(&text);
            return 0;
        }
        ClapErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            err(&text);
            return ErrorKind::Usage.exit_code();
        }
        _ => {}
    }
    let text = redact::without_urls(&text, &words());
    // A value that one of our own types refused: it knows what would have been right.
    let hint = error.source().and_then(|source| source.downcast_ref::<Error>()).map(Error::hint);
    let hint = hint.map(|hint| redact::without_urls(hint, &words()));
    if wants_json() {
        let mut error = usage_error(&text);
        if let Some(hint) = hint {
            error = error.with_hint(hint);
        }
        return print_error(&error, Output::Json);
    }
    match hint {
        Some(hint) => err(&format!("{text}hint: {hint}\n")),
        None => err(&text),
    }
    ErrorKind::Usage.exit_code()
}

/// What the parser says in several paragraphs: what is wrong, perhaps a tip, and how the command is used.
fn usage_error(text: &str) -> Error {
    let one_line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.trim_start_matches("error: ").split("\n\n").map(one_line);
    let error = Error::new(ErrorKind::Usage, paragraphs.next().unwrap_or_default());
    let tips: Vec<String> =
        paragraphs.filter(|p| p.starts_with("tip: ")).map(|p| p.trim_start_matches("tip: ").to_owned()).collect();
    if tips.is_empty() { error } else { error.with_hint(tips.join("; ")) }
}

/// The arguments could not be parsed, but whoever reads the answer has said how.
fn wants_json() -> bool {
    let words = words();
    words.iter().any(|w| w == "--output=json")
        || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
}

/// The words of this call; one that is no text must not end the program.
fn words() -> Vec<String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect()
}
