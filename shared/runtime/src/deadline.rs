//! Deadlines: when a run must have ended, and the alarm that stops it with time to clean up.

use std::{fmt, str::FromStr, time::Duration};

use jiff::Timestamp;
use lifeboat_core::{Error, ErrorKind, Result, cancel::Canceller, config::Span};

/// When a run must have ended, as a person says it: `2h` from its beginning, or `2026-11-30T06:00:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deadline {
    /// So long after its beginning.
    In(Span),
    /// At that time.
    At(Timestamp),
}

impl FromStr for Deadline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match (text.parse::<Span>(), text.parse::<Timestamp>()) {
            (Ok(span), _) => Ok(Self::In(span)),
            (_, Ok(at)) => Ok(Self::At(at)),
            _ => Err(Error::new(
                ErrorKind::Usage,
                "write how long it may take, such as 2h or 90m, or a time such as 2026-11-30T06:00:00Z",
            )),
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(span) => span.fmt(f),
            Self::At(at) => at.fmt(f),
        }
    }
}

impl Deadline {
    /// What is left of it at `now`. A time that is past is `Usage`.
    pub fn left(&self, now: Timestamp) -> Result<Duration> {
        let left = match self {
            Self::In(span) => Duration::from_secs(span.0),
            Self::At(at) => Duration::try_from(at.duration_since(now)).unwrap_or_default(),
        };
        if left.is_zero() {
            return Err(Error::new(ErrorKind::Usage, format!("the deadline {self} is past"))
                .with_hint("name a time to come, or how long the run may take"));
        }
        Ok(left)
    }
}

/// How long a run may work of what is left: one with very little time still gets half of it.
pub fn time_to_work(left: Duration, margin: Duration) -> Duration {
    left.saturating_sub(margin).max(left / 2)
}

/// Presses the switch after a time; goes off with the run.
#[derive(Debug)]
pub struct Alarm(tokio::task::JoinHandle<()>);

impl Alarm {
    /// Begins to wait.
    pub fn set(time: Duration, canceller: Canceller) -> Self {
        Self(tokio::spawn(async move {
            tokio::time::sleep(time).await;
            canceller.cancel(ErrorKind::Deadline);
        }))
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_core::runner::CLEANING_UP;

    use super::*;

    #[test]
    fn a_deadline_is_a_length_or_a_time_and_one_that_is_past_is_refused() {
        let now: Timestamp = "2026-11-30T04:00:00Z".parse().unwrap();
        for (text, left) in
            [("2h", 7200), ("90s", 90), ("2026-11-30T06:00:00Z", 7200), ("2026-11-30T06:00:00+01:00", 3600)]
        {
            let deadline: Deadline = text.parse().unwrap();
            assert_eq!(deadline.left(now).unwrap(), Duration::from_secs(left), "{text}");
        }
        for past in ["2026-11-30T04:00:00Z", "2020-01-01T00:00:00Z"] {
            let refused = past.parse::<Deadline>().unwrap().left(now).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Usage);
        }
        for text in ["", "0s", "2", "tomorrow", "06:00", "2026-11-30"] {
            assert!(text.parse::<Deadline>().unwrap_err().to_string().contains("2h"), "{text}");
        }
    }

    #[test]
    fn most_of_the_time_is_for_work_and_a_minute_for_what_comes_after() {
        let minutes = Duration::from_mins;
        assert_eq!(time_to_work(minutes(120), CLEANING_UP), minutes(119));
        assert_eq!(time_to_work(Duration::from_secs(80), CLEANING_UP), Duration::from_secs(40));
    }
}
