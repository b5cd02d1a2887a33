//! What a command answers: one document for programs, text for people, and the exit code.

use std::io::{self, Write};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use serde::Serialize;
use serde_json::Value;

use crate::arguments::Output;

/// The whole answer of a command.
#[derive(Debug)]
pub(crate) struct Answer {
    /// For `--output json`.
    pub(crate) document: Value,
    /// For people, on standard output; what scripts may rely on.
    pub(crate) text: String,
    /// For people, on standard error: figures and remarks.
    pub(crate) remarks: String,
    /// The exit code.
    pub(crate) exit: u8,
}

impl Answer {
    /// An answer with exit code 0.
    pub(crate) fn new(document: &impl Serialize, text: impl Into<String>) -> Result<Self> {
        let document = serde_json::to_value(document).or_error(ErrorKind::Unexpected, "write the answer as JSON")?;
        Ok(Self { document, text: text.into(), remarks: String::new(), exit: 0 })
    }

    /// With figures for people.
    pub(crate) fn with_remarks(mut self, remarks: impl Into<String>) -> Self {
        self.remarks = remarks.into();
        self
    }

    /// With the exit code of a kind of error.
    pub(crate) fn with_exit(mut self, kind: Option<ErrorKind>) -> Self {
        self.exit = kind.map_or(0, ErrorKind::exit_code);
        self
    }

    /// Prints it.
    pub(crate) fn print(&self, output: Output, quiet: bool) {
        match output {
            Output::Json => print_document(&self.document),
            Output::Text => {
                if !quiet {
                    err(&self.remarks);
                }
                out(&self.text);
            }
        }
    }
}

/// Prints an error and gives its exit code.
pub(crate) fn print_error(error: &Error, output: Output) -> u8 {
    match output {
        Output::Json => print_document(&lifeboat_runtime::error_document(error)),
        Output::Text => err(&format!("error: {error}\nhint: {}\n", error.hint())),
    }
    error.kind().exit_code()
}

fn print_document(document: &Value) {
    out(&format!("{document:#}\n"));
}

/// Writes to standard output. A reader that has gone away is no error: `lifeboat list | head` ends quietly.
pub(crate) fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    drop(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()));
}

/// Writes to standard error.
pub(crate) fn err(text: &str) {
    let mut stderr = io::stderr().lock();
    drop(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
}
