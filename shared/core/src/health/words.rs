//! Ages and times in the words of findings.

use jiff::{SignedDuration, Timestamp};

use crate::{config::Span, report::words};

/// Seconds from one moment to another; zero where it lies behind.
pub(super) fn seconds_between(earlier: Timestamp, later: Timestamp) -> u64 {
    u64::try_from(later.duration_since(earlier).as_secs()).unwrap_or(0)
}

/// So many seconds, in words.
#[expect(clippy::cast_precision_loss, reason = "shown in the two largest units")]
pub(super) fn span(seconds: u64) -> String {
    words::duration(seconds as f64)
}

/// A moment as people read it: `20 Nov 2026, 02:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// That much later; the end of time where there is no such moment.
pub(super) fn after(at: Timestamp, span: Span) -> Timestamp {
    at.saturating_add(signed(span)).unwrap_or(Timestamp::MAX)
}

/// That much earlier.
pub(super) fn before(at: Timestamp, span: Span) -> Timestamp {
    at.saturating_sub(signed(span)).unwrap_or(Timestamp::MIN)
}

fn signed(span: Span) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(span.0).unwrap_or(i64::MAX))
}

/// `one, two and 3 more`: at most `most` names.
pub(super) fn named(names: &[String], most: usize) -> String {
    let shown = names.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 backup`, `2 backups`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", words::count(count as u64)) }
}
