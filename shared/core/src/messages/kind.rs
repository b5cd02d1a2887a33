//! What an incident is about, beside its database.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result};

/// The kind of an incident. As text: `backup`, `verify`, `corrupt`, `retention`, `drill`, `instance-drill`,
/// `maintenance`, `restore`, or `health:<code>` with the code of what health found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Kind {
    /// A damaged backup.
    Corrupt,
    /// No new backup.
    Backup,
    /// A drill of a backup that did not pass.
    Drill,
    /// A drill of another origin, such as a snapshot of RDS, that did not pass.
    InstanceDrill,
    /// A backup that could not be read to its end.
    Verify,
    /// Retention that was not carried out.
    Retention,
    /// Maintenance that was not carried out.
    Maintenance,
    /// A restore to a target of the configuration that failed.
    Restore,
    /// Something that health found, by its code.
    Health(String),
}

const PLAIN: [(&str, Kind); 8] = [
    ("corrupt", Kind::Corrupt),
    ("backup", Kind::Backup),
    ("drill", Kind::Drill),
    ("instance-drill", Kind::InstanceDrill),
    ("verify", Kind::Verify),
    ("retention", Kind::Retention),
    ("maintenance", Kind::Maintenance),
    ("restore", Kind::Restore),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Health(code) => write!(f, "health:{code}"),
            other => f.write_str(PLAIN.iter().find(|(_, kind)| kind == other).map_or("", |(name, _)| name)),
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some(code) = text.strip_prefix("health:").filter(|code| !code.is_empty()) {
            return Ok(Self::Health(code.to_owned()));
        }
        let plain = PLAIN.iter().find(|(name, _)| *name == text).map(|(_, kind)| kind.clone());
        plain.ok_or_else(|| Error::new(ErrorKind::Usage, format!("'{text}' is not a kind of incident")))
    }
}

impl TryFrom<String> for Kind {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        kind.to_string()
    }
}

impl JsonSchema for Kind {
    fn schema_name() -> Cow<'static, str> {
        "Kind".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        String::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_read_back_from_its_text() {
        for text in PLAIN.map(|(name, _)| name).into_iter().chain(["health:backup_too_old"]) {
            assert_eq!(text.parse::<Kind>().unwrap().to_string(), text);
        }
        for text in ["", "health:", "backups"] {
            assert!(text.parse::<Kind>().is_err(), "{text}");
        }
    }
}
