//! S3's storage classes, from warm to cold.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Result, prices};

/// What estimates of storage alone are made of: [`prices::PRICES`], without requests, retrieval and minimum sizes.
pub const PRICES_OF: &str = "list prices of us-east-1, November 2026, storage only";

/// A storage class, warm to cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StorageClass {
    /// Where everything lands.
    Standard,
    /// Infrequent access.
    StandardIa,
    /// Glacier Instant Retrieval.
    GlacierIr,
    /// Glacier Flexible Retrieval: needs a thaw of hours before it can be read.
    Glacier,
    /// Glacier Deep Archive: needs a thaw of up to two days.
    DeepArchive,
}

impl StorageClass {
    /// All of them, warm to cold.
    pub const ALL: [Self; 5] = [Self::Standard, Self::StandardIa, Self::GlacierIr, Self::Glacier, Self::DeepArchive];

    /// S3's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::StandardIa => "STANDARD_IA",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// Days that are billed even if the object goes earlier.
    pub fn minimum_days(self) -> u32 {
        prices::of(self).minimum_days
    }

    /// Whether its objects must be thawed, for hours, before they can be read.
    pub fn is_frozen(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }

    /// What so many bytes cost a month, USD, see [`PRICES_OF`].
    pub fn usd_per_month(self, bytes: u64) -> f64 {
        prices::gb(bytes) * prices::of(self).gb_month
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StorageClass {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("'{text}' is not a storage class that Lifeboat moves to"))
                .with_hint("use STANDARD, STANDARD_IA, GLACIER_IR, GLACIER or DEEP_ARCHIVE")
        })
    }
}
