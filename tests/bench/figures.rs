//! The figures that Lifeboat is held to, each with its target and verdict.

use serde_json::{Value, json};

use crate::{
    cases::{
        DUMP_1, DUMP_1_TEXT, DUMP_3, DUMP_3_BIG, DUMP_3_TEXT, DUMP_AGE, DUMP_MINIO, MEMORY, MEMORY_LONG,
        MEMORY_LONG_MINIO, MEMORY_MINIO, NEWEST, NEWEST_BIG, NEWEST_TEXT, RAW, RAW_TEXT, RESTORE_FAST, RESTORE_LOADED,
        RESTORE_MINIO, STOCK, STOCK_PIPED, STOCK_RESTORE, STOCK_TEXT, VERIFY, VERIFY_MINIO,
    },
    results::Results,
};

/// One figure.
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    pub(crate) target: Target,
}

/// What a figure has to be.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: it is told beside another.
    Any,
}

impl Target {
    /// `None` where there is no target.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::AtLeast(least) => Some(format!("at least {least}")),
            Self::AtMost(most) => Some(format!("at most {most}")),
            Self::Any => None,
        }
    }
}

impl Figure {
    /// `None` where there is no target.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        match self.target {
            Target::AtLeast(least) => Some(self.value >= least),
            Target::AtMost(most) => Some(self.value <= most),
            Target::Any => None,
        }
    }

    pub(crate) fn verdict(&self) -> &'static str {
        match self.is_reached() {
            Some(true) => "reached",
            Some(false) => "**not reached**",
            None => "",
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "figure": self.name,
            "unit": self.unit,
            "value": self.value,
            "target": self.target.text(),
            "reached": self.is_reached(),
        })
    }
}

/// Name, the case that takes longer, the case that takes shorter, target: how many times as fast the second one is.
const SPEEDS: [(&str, &str, &str, Target); 14] = [
    ("dump of letters at zstd 1, × `pg_dump -Fc`", STOCK_TEXT, DUMP_1_TEXT, Target::AtLeast(6.0)),
    ("dump of letters at zstd 3, × `pg_dump -Fc`", STOCK_TEXT, DUMP_3_TEXT, Target::AtLeast(5.0)),
    (NEWEST_TIMES_TEXT, NEWEST_TEXT, DUMP_3_TEXT, Target::AtLeast(1.15)),
    ("dump of letters at zstd 1, share of the rate of two raw COPY streams", RAW_TEXT, DUMP_1_TEXT, RAW_SHARE),
    ("dump of the shop at zstd 1, × `pg_dump -Fc`", STOCK, DUMP_1, Target::AtLeast(6.0)),
    ("dump of the shop at zstd 3, × `pg_dump -Fc`", STOCK, DUMP_3, Target::AtLeast(5.0)),
    (NEWEST_TIMES, NEWEST, DUMP_3, Target::AtLeast(1.15)),
    ("dump of the shop at zstd 1, share of the rate of two raw COPY streams", RAW, DUMP_1, RAW_SHARE),
    ("the server's own limit: two raw COPY streams of the shop, × `pg_dump -Fc`", STOCK, RAW, Target::Any),
    (
        "dump of one big table at zstd 3, × newest `pg_dump -Fd -j2 -Z zstd:3`",
        NEWEST_BIG,
        DUMP_3_BIG,
        Target::AtLeast(1.5),
    ),
    (
        "dump of the shop to MinIO, TLS to the server, × `pg_dump -Fc` piped to `aws s3 cp -`",
        STOCK_PIPED,
        DUMP_MINIO,
        Target::AtLeast(4.0),
    ),
    (
        "restore from MinIO as far as `pg_restore` goes, × its `-j2` from local disk",
        STOCK_RESTORE,
        RESTORE_LOADED,
        RESTORED,
    ),
    ("the same with ANALYZE and the comparison of all rows", STOCK_RESTORE, RESTORE_MINIO, Target::Any),
    ("the same with both and `--fast-scratch`", STOCK_RESTORE, RESTORE_FAST, Target::Any),
];

const NEWEST_TIMES: &str = "dump of the shop at zstd 3, × newest `pg_dump -Fd -j2 -Z zstd:3`";
const NEWEST_TIMES_TEXT: &str = "dump of letters at zstd 3, × newest `pg_dump -Fd -j2 -Z zstd:3`";
const RAW_SHARE: Target = Target::AtLeast(0.75);
const RESTORED: Target = Target::AtLeast(1.2);

/// Name, the case whose time is looked at, the case whose time it is a share of, the most it may be.
const SHARES: [(&str, &str, &str, f64); 3] = [
    ("dump encrypted by age, × the same dump in the clear, wall time", DUMP_AGE, DUMP_1, 1.10),
    ("verify in a folder, share of the dump's wall time", VERIFY, DUMP_1, 0.40),
    ("verify in MinIO, share of the dump's wall time", VERIFY_MINIO, DUMP_MINIO, 0.40),
];

/// Name, case: the most memory that it may take, MiB, is [`MOST_MEMORY`].
const MEMORIES: [(&str, &str); 4] = [
    ("peak memory of a dump to a folder, 4 workers", MEMORY),
    ("peak memory of a dump to MinIO, 4 workers", MEMORY_MINIO),
    ("peak memory of a dump to a folder, 4 workers, rows of 500 MB among ordinary ones", MEMORY_LONG),
    ("peak memory of a dump to MinIO, 4 workers, rows of 500 MB among ordinary ones", MEMORY_LONG_MINIO),
];

const MOST_MEMORY: f64 = 100.0;

/// Every figure whose cases were measured.
pub(crate) fn figures(results: &Results) -> Vec<Figure> {
    let figure = |name, unit, value: Option<f64>, target| value.map(|value| Figure { name, unit, value, target });
    let speeds = SPEEDS.iter().map(|&(name, slow, fast, target)| figure(name, "×", results.ratio(slow, fast), target));
    let shares = SHARES
        .iter()
        .map(|&(name, part, whole, most)| figure(name, "×", results.ratio(part, whole), Target::AtMost(most)));
    let memories =
        MEMORIES.iter().map(|&(name, case)| figure(name, "MiB", results.peak(case), Target::AtMost(MOST_MEMORY)));
    speeds.chain(shares).chain(memories).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Measured;

    #[test]
    fn a_figure_is_the_median_of_the_rounds_own_ratios_and_is_left_out_where_a_case_is() {
        let mut results = Results::default();
        for (stock, ours) in [(60.0, 10.0), (10.0, 10.0), (7.0, 1.0)] {
            results.add(STOCK, Measured { wall: stock, ..Measured::default() });
            results.add(DUMP_1, Measured { wall: ours, ..Measured::default() });
        }
        results.add(MEMORY, Measured { peak_mib: 101.0, ..Measured::default() });
        let figures = figures(&results);
        let told: Vec<_> = figures.iter().map(|f| (f.value.to_string(), f.is_reached())).collect();
        assert_eq!(told, [("6".to_owned(), Some(true)), ("101".to_owned(), Some(false))]);
    }
}
