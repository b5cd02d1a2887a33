//! How people name a backup: `latest`, an id, or either with a database in front.

use std::{fmt, str::FromStr};

use crate::{
    Error, Result,
    ids::{BackupId, DatabaseSlug},
};

/// Which backup of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest good one.
    Latest,
    /// This one.
    Id(BackupId),
}

/// `latest`, `20261120T020000Z-abcd`, `orders/latest` or `orders/20261120T020000Z-abcd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReference {
    /// The database, where it was named.
    pub database: Option<DatabaseSlug>,
    /// The backup.
    pub which: Which,
}

impl BackupReference {
    /// The newest good backup of a database, or of the only one there is.
    pub fn latest(database: Option<DatabaseSlug>) -> Self {
        Self { database, which: Which::Latest }
    }

    /// One backup of one database.
    pub fn exact(database: DatabaseSlug, backup: BackupId) -> Self {
        Self { database: Some(database), which: Which::Id(backup) }
    }
}

impl FromStr for BackupReference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (database, backup) = match text.split_once('/') {
            Some((database, backup)) => (Some(database.parse()?), backup),
            None => (None, text),
        };
        let which = if backup == "latest" {
            Which::Latest
        } else {
            Which::Id(backup.parse().map_err(|e: Error| {
                e.with_hint(
                    "name a backup as `latest`, `20261120T020000Z-abcd` or `orders/latest`; see `lifeboat list`",
                )
            })?)
        };
        Ok(Self { database, which })
    }
}

impl fmt::Display for BackupReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(database) = &self.database {
            write!(f, "{database}/")?;
        }
        match &self.which {
            Which::Latest => f.write_str("latest"),
            Which::Id(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_parses_and_prints_back() {
        for text in ["latest", "20261120T020000Z-abcd", "orders/latest", "orders/20261120T020000Z-abcd"] {
            assert_eq!(text.parse::<BackupReference>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_a_usage_error_that_shows_the_forms() {
        for text in ["", "oldest", "orders/", "/latest", "a/b/latest", "../latest", "latest/orders"] {
            let error = text.parse::<BackupReference>().unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Usage, "{text}");
        }
        assert!("oldest".parse::<BackupReference>().unwrap_err().hint().contains("orders/latest"));
    }
}
