//! Durations and sizes as people write them: `26h`, `30m`, `3d`, `64MiB`.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Why a text is no duration or size.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0}")]
pub struct ParseUnitError(String);

const TIMES: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
const BYTES: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("KB", 1000),
    ("B", 1),
];

/// A length of time in whole seconds: `90s`, `30m`, `26h`, `3d`, `2w`, or several as in `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

/// A number of bytes: `64MiB`, `1GiB`, `500MB`, `4096B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// The number and the unit that a text begins with, and the rest.
fn piece(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    Some((number.parse().ok()?, unit, rest))
}

impl FromStr for Span {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseUnitError(format!("'{text}' is not a duration: write 90s, 30m, 26h, 3d, 2w or 1h30m"));
        let (mut rest, mut total, mut smaller_than) = (text, 0_u64, u64::MAX);
        while !rest.is_empty() {
            let (number, unit, after) = piece(rest).ok_or_else(wrong)?;
            let seconds = TIMES.iter().find(|(name, _)| *name == unit).map(|(_, s)| *s).ok_or_else(wrong)?;
            if seconds >= smaller_than {
                return Err(wrong());
            }
            total = number.checked_mul(seconds).and_then(|n| n.checked_add(total)).ok_or_else(wrong)?;
            (rest, smaller_than) = (after, seconds);
        }
        if total == 0 || total > 100 * 366 * 86_400 {
            return Err(wrong());
        }
        Ok(Self(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        for (unit, seconds) in TIMES.iter().skip(1) {
            if rest >= *seconds {
                write!(f, "{}{unit}", rest / seconds)?;
                rest %= seconds;
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { Ok(()) }
    }
}

impl FromStr for Size {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseUnitError(format!("'{text}' is not a size: write 64MiB, 1GiB, 500MB or 4096B"));
        let (number, unit, rest) = piece(text).ok_or_else(wrong)?;
        let bytes = BYTES.iter().find(|(name, _)| *name == unit).map(|(_, b)| *b).ok_or_else(wrong)?;
        if !rest.is_empty() {
            return Err(wrong());
        }
        number.checked_mul(bytes).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = BYTES
            .iter()
            .filter(|(name, _)| name.contains('i'))
            .find(|(_, b)| self.0 >= *b && self.0.is_multiple_of(*b));
        match unit {
            Some((name, bytes)) => write!(f, "{}{name}", self.0 / bytes),
            None => write!(f, "{}B", self.0),
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}
as_text!(Span);
as_text!(Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_back() {
        for (text, seconds) in [("90s", 90), ("30m", 1800), ("26h", 93_600), ("3d", 259_200), ("2w", 1_209_600)] {
            assert_eq!(text.parse::<Span>().unwrap().0, seconds, "{text}");
        }
        assert_eq!("1h30m".parse::<Span>().unwrap().0, 5400);
        for text in ["1d2h", "90m", "1h1s"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "h", "5 h", "-1h", "1.5h", "1m1h", "1h1h", "0s", "99999999999999999999d", "9000w", "1ä"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_written_back() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1GiB", 1 << 30), ("500MB", 500_000_000), ("4096B", 4096)] {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.0, bytes, "{text}");
            assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }
        for text in ["", "64", "64mib", "MiB", "1GiB2", "99999999999TiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
