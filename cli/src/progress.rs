//! Tells people how far a run is: a bar on a terminal, a line now and then in verbose logs, nothing otherwise.

use std::{
    io::{self, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lifeboat_core::{
    ports::Progress,
    report::words::{bytes, count, duration},
};
use tracing_subscriber::fmt::MakeWriter;

use crate::text::Append;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A bar that is drawn again and again.
    Bar,
    /// A line every ten seconds.
    Lines,
    /// Not at all.
    Silent,
}

/// The one watcher of a command.
pub(crate) struct Watcher {
    style: Style,
    quiet: bool,
    bar: ProgressBar,
    state: Mutex<State>,
}

struct State {
    phase: String,
    total: Option<u64>,
    done: u64,
    began: Instant,
    last_line: Instant,
}

/// Some phases count rows where others count bytes.
fn counts_rows(phase: &str) -> bool {
    phase.contains("compare")
}

impl Watcher {
    pub(crate) fn new(style: Style, quiet: bool) -> Self {
        let bar = match style {
            Style::Bar => ProgressBar::no_length(),
            _ => ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()),
        };
        let now = Instant::now();
        let state = State { phase: String::new(), total: None, done: 0, began: now, last_line: now };
        Self { style, quiet, bar, state: Mutex::new(state) }
    }

    /// Takes the bar off the screen.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Where log lines go: above the bar.
    pub(crate) fn log_writer(&self) -> AboveBar {
        AboveBar(self.bar.clone())
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| crate::answer::err(&format!("{text}\n")));
    }
}

impl Progress for Watcher {
    fn phase(&self, name: &str, total_bytes: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *state = State { phase: name.to_owned(), total: total_bytes, done: 0, began: now, last_line: now };
        drop(state);
        match self.style {
            Style::Silent => {}
            Style::Lines => self.line(&format!("{name} …")),
            Style::Bar => {
                self.bar.reset();
                self.bar.set_style(style(name, total_bytes));
                self.bar.set_prefix(name.to_owned());
                self.bar.set_position(0);
                match total_bytes {
                    Some(total) => self.bar.set_length(total),
                    None => self.bar.unset_length(),
                }
                self.bar.enable_steady_tick(Duration::from_millis(120));
            }
        }
    }

    fn advance(&self, bytes: u64) {
        match self.style {
            Style::Silent => {}
            Style::Bar => self.bar.inc(bytes),
            Style::Lines => {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.done += bytes;
                if state.last_line.elapsed() >= LINE_EVERY {
                    state.last_line = Instant::now();
                    let text = state.words();
                    drop(state);
                    self.line(&text);
                }
            }
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            self.line(&format!("note: {text}"));
        }
    }
}

impl State {
    fn words(&self) -> String {
        let told = |n: u64| if counts_rows(&self.phase) { format!("{} rows", count(n)) } else { bytes(n) };
        let seconds = self.began.elapsed().as_secs_f64().max(0.001);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for people"
        )]
        let rate = (self.done as f64 / seconds) as u64;
        let mut text = format!("{}: {}", self.phase, told(self.done));
        if let Some(total) = self.total.filter(|t| *t > 0) {
            text.add(format_args!(" of {}", told(total)));
            #[allow(clippy::cast_precision_loss, reason = "a guess for people")]
            if rate > 0 {
                let left = total.saturating_sub(self.done) as f64 / rate as f64;
                text.add(format_args!(", {} left", duration(left)));
            }
        }
        format!("{text}, {}/s", told(rate))
    }
}

fn style(phase: &str, total: Option<u64>) -> ProgressStyle {
    let template = match (total.is_some(), counts_rows(phase)) {
        (true, false) => {
            "{spinner} {prefix:16} {wide_bar} {bytes:>10} of {total_bytes:<10} {bytes_per_sec:>12} {eta:>4} left"
        }
        (true, true) => "{spinner} {prefix:16} {wide_bar} {human_pos:>10} of {human_len:<10} rows {eta:>4} left",
        (false, false) => "{spinner} {prefix:16} {elapsed}",
        (false, true) => "{spinner} {prefix:16} {human_pos} rows {elapsed}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─")
}

/// Writes log lines above the bar.
#[derive(Clone)]
pub(crate) struct AboveBar(ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl MakeWriter<'_> for AboveBar {
    type Writer = Self;
    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_phase_amount_and_time_left() {
        let began = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let state = State { phase: "data".to_owned(), total: Some(40 << 20), done: 10 << 20, began, last_line: began };
        let words = state.words();
        assert!(words.starts_with("data: 10.0 MiB of 40.0 MiB, 30.") || words.contains("30"), "{words}");
        assert!(words.ends_with("/s"), "{words}");
    }

    #[test]
    fn comparing_counts_rows() {
        let began = Instant::now();
        let state = State { phase: "compare".to_owned(), total: Some(2000), done: 1000, began, last_line: began };
        assert!(state.words().starts_with("compare: 1,000 rows of 2,000 rows"), "{}", state.words());
    }
}
