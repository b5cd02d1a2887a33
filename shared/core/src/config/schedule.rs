//! Schedules as EventBridge rules know them, in UTC: `cron(0 2 * * ? *)` and `rate(1 day)`.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A schedule that was checked; its text is handed on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(String);

/// Why a text is no schedule.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct ParseScheduleError(String);

struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIELDS: [Field; 6] = [
    Field { name: "minutes", least: 0, most: 59, names: &[] },
    Field { name: "hours", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: &MONTHS },
    Field { name: "day of week", least: 1, most: 7, names: &DAYS },
    Field { name: "year", least: 1970, most: 2199, names: &[] },
];

impl Schedule {
    /// A schedule of our own that need not be checked.
    pub(super) fn unchecked(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, as a rule takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The longest pause between two runs that this schedule makes, in seconds, as far as it can be told from its form:
    /// a day, a week, a month or a year for `cron`, the rate itself for `rate`.
    pub fn longest_pause_seconds(&self) -> u64 {
        const DAY: u64 = 86_400;
        if let Some(inside) = self.inside("rate") {
            let mut words = inside.split_whitespace();
            let number: u64 = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
            return number
                * match words.next().map(|unit| unit.trim_end_matches('s')) {
                    Some("minute") => 60,
                    Some("hour") => 3600,
                    _ => DAY,
                };
        }
        let fields: Vec<&str> = self.inside("cron").unwrap_or_default().split_whitespace().collect();
        let free = |index: usize| fields.get(index).is_none_or(|f| matches!(*f, "*" | "?"));
        match (free(1), free(2), free(3), free(4)) {
            (_, _, false, _) => 366 * DAY,
            (_, false, _, _) => 31 * DAY,
            // `1#1` is the first Sunday of a month.
            (_, _, _, false) if fields.get(4).is_some_and(|f| f.contains(['#', 'L'])) => 35 * DAY,
            (_, _, _, false) => 7 * DAY,
            (false, ..) => DAY,
            _ => 3600,
        }
    }

    fn inside(&self, form: &str) -> Option<&str> {
        self.0.strip_prefix(form)?.strip_prefix('(')?.strip_suffix(')')
    }
}

impl FromStr for Schedule {
    type Err = ParseScheduleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let schedule = Self(text.trim().to_owned());
        match (schedule.inside("cron"), schedule.inside("rate")) {
            (Some(inside), _) => check_cron(inside),
            (_, Some(inside)) => check_rate(inside),
            _ => Err(format!("'{text}' is not a schedule: write cron(0 2 * * ? *) or rate(1 day)")),
        }
        .map_err(ParseScheduleError)?;
        Ok(schedule)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

fn check_rate(inside: &str) -> Result<(), String> {
    let wrong = || format!("rate({inside}): write a number and minutes, hours or days, as in rate(12 hours)");
    let words: Vec<&str> = inside.split_whitespace().collect();
    let [number, unit] = words[..] else { return Err(wrong()) };
    let number: u64 = number.parse().ok().filter(|n| (1..=100_000).contains(n)).ok_or_else(wrong)?;
    let singular = matches!(unit, "minute" | "hour" | "day");
    let plural = matches!(unit, "minutes" | "hours" | "days");
    // EventBridge itself insists on the singular after 1.
    if (number == 1 && singular) || (number > 1 && plural) { Ok(()) } else { Err(wrong()) }
}

fn check_cron(inside: &str) -> Result<(), String> {
    let fields: Vec<&str> = inside.split_whitespace().collect();
    if fields.len() != 6 {
        return Err(format!(
            "cron({inside}) has {} fields, not 6: minutes, hours, day of month, month, day of week, year",
            fields.len()
        ));
    }
    if (fields[2] == "?") == (fields[4] == "?") {
        return Err(format!("cron({inside}): exactly one of day of month and day of week must be '?'"));
    }
    for (index, (text, field)) in fields.iter().zip(&FIELDS).enumerate() {
        if !text.split(',').all(|item| item_fits(item, field, index)) {
            return Err(format!("cron({inside}): '{text}' is not a value for {}", field.name));
        }
    }
    Ok(())
}

fn item_fits(item: &str, field: &Field, index: usize) -> bool {
    let number = |text: &str| {
        let by_name = field.names.iter().position(|n| n.eq_ignore_ascii_case(text));
        let number = by_name.map_or_else(|| text.parse().ok(), |p| u32::try_from(p).ok().map(|p| p + 1));
        number.filter(|n| (field.least..=field.most).contains(n))
    };
    let (day_of_month, day_of_week) = (index == 2, index == 4);
    match item {
        "*" => return true,
        "?" => return day_of_month || day_of_week,
        "L" | "LW" => return day_of_month || (day_of_week && item == "L"),
        _ => {}
    }
    if let (true, Some(day)) = (day_of_month, item.strip_suffix('W')) {
        return number(day).is_some();
    }
    if let (true, Some(day)) = (day_of_week, item.strip_suffix('L')) {
        return number(day).is_some();
    }
    if let (true, Some((day, nth))) = (day_of_week, item.split_once('#')) {
        return number(day).is_some() && matches!(nth, "1" | "2" | "3" | "4" | "5");
    }
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    let step_fits = step.is_none_or(|s| s.parse::<u32>().is_ok_and(|s| s >= 1 && s <= field.most));
    let range_fits = match range.split_once('-') {
        Some((from, to)) => number(from).is_some() && number(to).is_some(),
        None => (range == "*" && step.is_some()) || number(range).is_some(),
    };
    step_fits && range_fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_eventbridge_takes_is_taken() {
        for text in [
            "cron(0 2 * * ? *)",
            "cron(0 4 ? * 1#1 *)",
            "cron(0/15 * * * ? *)",
            "cron(*/5 8-17 ? * MON-FRI 2026-2030)",
            "cron(0 0 L * ? *)",
            "cron(0 0 15W,1 JAN,jul ? *)",
            "cron(0 10 ? * 6L 2026)",
            "rate(1 day)",
            "rate(12 hours)",
            "rate(5 minutes)",
        ] {
            assert_eq!(text.parse::<Schedule>().map(|s| s.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_it_refuses_is_refused_and_says_why() {
        for (text, why) in [
            ("0 2 * * *", "not a schedule"),
            ("cron(0 2 * * *)", "5 fields"),
            ("cron(0 2 * * * *)", "exactly one"),
            ("cron(0 2 ? * ? *)", "exactly one"),
            ("cron(60 2 * * ? *)", "minutes"),
            ("cron(0 24 * * ? *)", "hours"),
            ("cron(0 2 32 * ? *)", "day of month"),
            ("cron(0 2 ? * 8 *)", "day of week"),
            ("cron(0 2 ? * 1#6 *)", "day of week"),
            ("cron(0 2 * XXX ? *)", "month"),
            ("rate(1 days)", "rate"),
            ("rate(2 day)", "rate"),
            ("rate(0 days)", "rate"),
            ("rate(1 week)", "rate"),
        ] {
            let error = text.parse::<Schedule>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_pause_between_runs_is_told() {
        for (text, seconds) in [
            ("cron(0 2 * * ? *)", 86_400),
            ("cron(0 * * * ? *)", 3600),
            ("cron(0 2 ? * SUN *)", 7 * 86_400),
            ("cron(0 2 1 * ? *)", 31 * 86_400),
            ("cron(0 4 ? * 1#1 *)", 35 * 86_400),
            ("rate(12 hours)", 43_200),
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().longest_pause_seconds(), seconds, "{text}");
        }
    }
}
