//! Names of things: databases, backups, runs and drills, checked when made.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, ErrorKind, Result};

/// Words that cannot be a database's slug, because they mean something else in a key or on the command line.
pub const RESERVED_SLUGS: [&str; 9] =
    ["all", "latest", "oldest", "random", "rotate", "drills", "archive", "attestations", "status"];

/// How slugs of safety backups begin.
const SAFETY: &str = "safety-";

const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

fn base32(mut n: u64, digits: usize) -> String {
    let mut text = String::with_capacity(digits);
    for _ in 0..digits {
        text.push(char::from(BASE32[usize::try_from(n % 32).unwrap_or(0)]));
        n /= 32;
    }
    text
}

macro_rules! text_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                text.parse()
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                String::json_schema(generator)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

/// One source database under Lifeboat's care: 1 to 48 of `a-z 0-9 - _`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseSlug(String);
text_id!(DatabaseSlug);

impl FromStr for DatabaseSlug {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let ok = (1..=48).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
            && !text.starts_with(['-', '_']);
        if !ok {
            return Err(Error::new(ErrorKind::Usage, format!("'{text}' cannot name a database"))
                .with_hint("use 1 to 48 of a-z, 0-9, '-' and '_', beginning with a letter or digit"));
        }
        if RESERVED_SLUGS.contains(&text) {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("'{text}' is a reserved word and cannot name a database"),
            )
            .with_hint("choose another short name, such as 'orders'"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl DatabaseSlug {
    /// A slug made of any database name. A name that can be a slug is its own; of any other, what can stay is kept in
    /// lower case, and a hash of the name is added, so that no two names share a slug.
    pub fn from_name(name: &str) -> Result<Self> {
        if let Ok(slug) = name.parse::<Self>()
            && !slug.is_safety()
        {
            return Ok(slug);
        }
        let kept: String = name
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' })
            .take(36)
            .collect();
        let digest = Sha256::digest(name.as_bytes());
        let hash = base32(digest.iter().take(8).fold(0, |n, byte| (n << 8) | u64::from(*byte)), 6);
        match kept.trim_matches(['-', '_']).trim_start_matches(SAFETY) {
            "" => format!("db-{hash}").parse(),
            kept => format!("{kept}-{hash}").parse(),
        }
    }

    /// The slug under which safety backups of a restore's target are kept: apart from every source's own history.
    pub fn safety_of(target: &str) -> Result<Self> {
        let of = Self::from_name(target)?;
        let kept: String = of.0.chars().take(48 - SAFETY.len()).collect();
        format!("{SAFETY}{}", kept.trim_end_matches(['-', '_'])).parse()
    }

    /// Whether backups under this slug are safety backups, which no source may share.
    pub fn is_safety(&self) -> bool {
        self.0.starts_with(SAFETY)
    }
}

/// `YYYYMMDDTHHMMSSZ-xxxx`: the UTC start of the dump and 4 random base32 characters; sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId(String);
text_id!(BackupId);

fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn parse_stamped(text: &str, what: &str) -> Result<()> {
    let bytes = text.as_bytes();
    let ok = bytes.len() == 21
        && bytes.iter().enumerate().all(|(i, b)| match i {
            8 => *b == b'T',
            15 => *b == b'Z',
            16 => *b == b'-',
            17.. => BASE32.contains(b),
            _ => b.is_ascii_digit(),
        })
        && Timestamp::strptime("%Y%m%dT%H%M%S%z", text.get(..15).map(|t| format!("{t}+0000")).unwrap_or_default())
            .is_ok();
    if ok {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Usage, format!("'{text}' is not a {what}"))
            .with_hint("ids look like 20261120T020000Z-abcd; `lifeboat list` shows them"))
    }
}

impl FromStr for BackupId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        parse_stamped(text, "backup id")?;
        Ok(Self(text.to_owned()))
    }
}

impl BackupId {
    /// The id of a dump that starts at `start`, with any random number.
    pub fn new(start: Timestamp, random: u64) -> Self {
        Self(format!("{}-{}", stamp(start), base32(random, 4)))
    }

    /// When the dump began, to the second.
    pub fn started_at(&self) -> Timestamp {
        // By hand: retention asks this of every backup again and again.
        let number = |from: usize, to: usize| {
            self.0
                .as_bytes()
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .fold(0, |n, b| n * 10 + i16::from(b.wrapping_sub(b'0')))
        };
        let part = |from: usize| i8::try_from(number(from, from + 2)).unwrap_or_default();
        // A leap second is written, and is none to jiff.
        DateTime::new(number(0, 4), part(4), part(6), part(9), part(11), part(13).min(59), 0)
            .and_then(|started| TimeZone::UTC.to_timestamp(started))
            .unwrap_or_default()
    }
}

/// The id of one drill; same form as a backup id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DrillId(String);
text_id!(DrillId);

impl FromStr for DrillId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        parse_stamped(text, "drill id")?;
        Ok(Self(text.to_owned()))
    }
}

impl DrillId {
    /// The id of a drill that starts at `start`, with any random number.
    pub fn new(start: Timestamp, random: u64) -> Self {
        Self(format!("{}-{}", stamp(start), base32(random, 4)))
    }
}

/// Names one execution of one operation; appears in every log line, event and report.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);
text_id!(RunId);

impl FromStr for RunId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Error::new(ErrorKind::Usage, format!("'{text}' is not a run id")));
        }
        Ok(Self(text.to_owned()))
    }
}

impl RunId {
    /// A run id made of any random number: 12 base32 characters.
    pub fn new(random: u64) -> Self {
        Self(base32(random, 12))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backup_ids_sort_by_time_and_parse_back() {
        let early = BackupId::new("2026-11-20T02:00:00Z".parse().unwrap(), 7);
        let late = BackupId::new("2026-11-20T02:00:01Z".parse().unwrap(), 3);
        assert!(early < late);
        assert_eq!(early.as_str().parse::<BackupId>().unwrap(), early);
        assert_eq!(early.started_at(), "2026-11-20T02:00:00Z".parse().unwrap());
    }

    #[test]
    fn ids_that_would_escape_their_folder_are_refused() {
        for text in ["..", "20261120T020000Z-ab/d", "20261320T020000Z-abcd", "", "20261120T020000Z-abc", "latest"] {
            assert!(text.parse::<BackupId>().is_err(), "{text}");
        }
    }

    #[test]
    fn reserved_and_malformed_slugs_are_refused() {
        for text in ["all", "latest", "drills", "", "-x", "A", "a/b", "..", "ä"] {
            assert!(text.parse::<DatabaseSlug>().is_err(), "{text}");
        }
        assert!("orders-2".parse::<DatabaseSlug>().is_ok());
    }

    #[test]
    fn no_two_database_names_share_a_slug() {
        let slug = |name: &str| DatabaseSlug::from_name(name).unwrap();
        assert_eq!(slug("orders").as_str(), "orders");
        assert!(slug("My Shop").as_str().starts_with("my-shop-"));
        for (one, other) in
            [("Orders", "orders"), ("My Shop", "my-shop"), ("a.b", "a b"), ("Ä", "Ö"), ("latest", "Latest")]
        {
            assert_ne!(slug(one), slug(other), "{one} and {other}");
        }
    }

    #[test]
    fn safety_backups_are_apart_from_every_source() {
        let safety = DatabaseSlug::safety_of("orders").unwrap();
        assert_eq!(safety.as_str(), "safety-orders");
        assert!(safety.is_safety());
        assert!(!DatabaseSlug::from_name("safety-orders").unwrap().is_safety());
        assert!(DatabaseSlug::safety_of(&"x".repeat(63)).unwrap().is_safety());
    }
}
