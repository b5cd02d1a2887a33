//! When a digest is due.

use jiff::{SignedDuration, Timestamp, ToSpan, civil::Time, tz::TimeZone};

use crate::config::{AlertsConfig, DigestEvery};

/// The time between two digests; none where none is sent.
pub fn period(config: &AlertsConfig) -> Option<SignedDuration> {
    match config.digest.value {
        DigestEvery::Weekly => Some(SignedDuration::from_hours(7 * 24)),
        DigestEvery::Daily => Some(SignedDuration::from_hours(24)),
        DigestEvery::Off => None,
    }
}

/// The last moment, not after `now`, at which a digest was due; none where none is sent.
pub fn due(config: &AlertsConfig, now: Timestamp) -> Option<Timestamp> {
    period(config)?;
    let today = now.to_zoned(TimeZone::UTC);
    let hour = i8::try_from(config.digest_hour.value).unwrap_or(0);
    let mut at = today.with().time(Time::constant(0, 0, 0, 0)).hour(hour).build().ok()?;
    for _ in 0..8 {
        let fits = config.digest.value == DigestEvery::Daily || at.weekday() == config.digest_day.value.0;
        if fits && at.timestamp() <= now {
            return Some(at.timestamp());
        }
        at = at.checked_sub(1.day()).ok()?;
    }
    None
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;

    use super::*;
    use crate::config::{DigestDay, Setting};

    fn config(every: DigestEvery) -> AlertsConfig {
        AlertsConfig {
            digest: Setting::default_of(every),
            digest_day: Setting::default_of(DigestDay(Weekday::Monday)),
            digest_hour: Setting::default_of(7),
            ..AlertsConfig::default()
        }
    }

    #[test]
    fn a_digest_is_due_at_its_hour_on_its_day_and_not_before() {
        // 2026-11-20 is a Friday.
        for (every, now, expected) in [
            (DigestEvery::Weekly, "2026-11-20T12:00:00Z", Some("2026-11-16T07:00:00Z")),
            (DigestEvery::Weekly, "2026-11-16T07:00:00Z", Some("2026-11-16T07:00:00Z")),
            (DigestEvery::Weekly, "2026-11-16T06:59:59Z", Some("2026-11-09T07:00:00Z")),
            (DigestEvery::Daily, "2026-11-20T12:00:00Z", Some("2026-11-20T07:00:00Z")),
            (DigestEvery::Daily, "2026-11-20T06:00:00Z", Some("2026-11-19T07:00:00Z")),
            (DigestEvery::Off, "2026-11-20T12:00:00Z", None),
        ] {
            let found = due(&config(every), now.parse().unwrap());
            assert_eq!(found, expected.map(|text| text.parse().unwrap()), "{every} at {now}");
        }
    }
}
