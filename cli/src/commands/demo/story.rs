//! Tells the demo step by step, as it happens.

use std::time::Instant;

use lifeboat_core::report::words::duration;
use serde_json::{Value, json};

use crate::{answer::out, app::App, arguments::Output};

/// The steps so far.
pub(super) struct Story<'a> {
    app: &'a App,
    aloud: bool,
    began: Instant,
    steps: Vec<Value>,
}

impl<'a> Story<'a> {
    /// Begins, with a title.
    pub(super) fn begin(app: &'a App, title: &str) -> Self {
        let story = Self { app, aloud: app.output == Output::Text, began: Instant::now(), steps: Vec::new() };
        story.say(&format!("{title}\n\n"));
        story
    }

    /// One step is done: its name, its lines, and the figures behind them.
    pub(super) fn step(&mut self, name: &str, lines: &[String], figures: &Value) {
        let number = self.steps.len() + 1;
        for (index, line) in lines.iter().enumerate() {
            let head = if index == 0 { format!("{number:>2}. {name}") } else { String::new() };
            self.say(&format!("{head:<16}{line}\n"));
        }
        self.steps.push(json!({ "step": name, "figures": figures }));
    }

    /// A block of its own.
    pub(super) fn block(&self, lines: &[String]) {
        let width = lines.iter().map(|l| l.chars().count()).max().unwrap_or(0) + 4;
        let rule = "─".repeat(width.min(110));
        let body: Vec<String> = lines.iter().map(|line| format!("  {line}").trim_end().to_owned()).collect();
        let body = format!("{}\n", body.join("\n"));
        self.say(&format!("\n{rule}\n{body}{rule}\n"));
    }

    /// Plain words.
    pub(super) fn say(&self, text: &str) {
        if self.aloud {
            self.app.clear_progress();
            out(text);
        }
    }

    /// How long it has taken so far, in words.
    pub(super) fn elapsed(&self) -> String {
        duration(self.began.elapsed().as_secs_f64())
    }

    /// Every step with its figures.
    pub(super) fn into_steps(self) -> Vec<Value> {
        self.steps
    }
}
