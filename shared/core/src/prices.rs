//! What AWS asks for what a backup uses: the one table of prices, with its region, its date and where it is from.

use crate::retention::StorageClass;

/// What the prices are. They are written down here, not asked for: check them against the source before relying on cents.
pub const PRICES: &str = "list prices of us-east-1, November 2026";

/// Where they are from.
pub const SOURCE: &str = "aws.amazon.com/s3/pricing";

/// The prices of one storage class of S3, USD. A GB is 2^30 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassPrices {
    /// A GB for a month, the first 50 TB.
    pub gb_month: f64,
    /// A thousand PUT, COPY, POST and LIST requests.
    pub thousand_puts: f64,
    /// A thousand GET requests.
    pub thousand_gets: f64,
    /// A thousand objects that a lifecycle rule moves here.
    pub thousand_moves: f64,
    /// A GB read.
    pub gb_read: f64,
    /// A thousand objects thawed, standard speed.
    pub thousand_thaws: f64,
    /// Days that are billed even if the object goes earlier.
    pub minimum_days: u32,
    /// Bytes that each object is billed for beside its own, in this class and in STANDARD.
    pub overhead: (u32, u32),
}

/// The table.
pub const fn of(class: StorageClass) -> ClassPrices {
    match class {
        StorageClass::Standard => ClassPrices {
            gb_month: 0.023,
            thousand_puts: 0.005,
            thousand_gets: 0.000_4,
            thousand_moves: 0.0,
            gb_read: 0.0,
            thousand_thaws: 0.0,
            minimum_days: 0,
            overhead: (0, 0),
        },
        StorageClass::StandardIa => ClassPrices {
            gb_month: 0.0125,
            thousand_puts: 0.01,
            thousand_gets: 0.001,
            thousand_moves: 0.01,
            gb_read: 0.01,
            thousand_thaws: 0.0,
            minimum_days: 30,
            overhead: (0, 0),
        },
        StorageClass::GlacierIr => ClassPrices {
            gb_month: 0.004,
            thousand_puts: 0.02,
            thousand_gets: 0.01,
            thousand_moves: 0.02,
            gb_read: 0.03,
            thousand_thaws: 0.0,
            minimum_days: 90,
            overhead: (0, 0),
        },
        StorageClass::Glacier => ClassPrices {
            gb_month: 0.003_6,
            thousand_puts: 0.03,
            thousand_gets: 0.000_4,
            thousand_moves: 0.03,
            gb_read: 0.01,
            thousand_thaws: 0.05,
            minimum_days: 90,
            overhead: (32 << 10, 8 << 10),
        },
        StorageClass::DeepArchive => ClassPrices {
            gb_month: 0.000_99,
            thousand_puts: 0.05,
            thousand_gets: 0.000_4,
            thousand_moves: 0.05,
            gb_read: 0.02,
            thousand_thaws: 0.1,
            minimum_days: 180,
            overhead: (32 << 10, 8 << 10),
        },
    }
}

/// Bytes as GB, as S3 bills them.
#[expect(clippy::cast_precision_loss, reason = "an estimate of cents needs no 53 bits")]
pub fn gb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colder_a_class_the_cheaper_it_stores_and_the_dearer_it_is_to_move_into() {
        let classes = StorageClass::ALL.map(of);
        for pair in classes.windows(2) {
            assert!(pair[0].gb_month > pair[1].gb_month, "{pair:?}");
            assert!(pair[0].thousand_moves < pair[1].thousand_moves, "{pair:?}");
            assert!(pair[0].minimum_days <= pair[1].minimum_days, "{pair:?}");
        }
    }
}
