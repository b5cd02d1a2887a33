//! Plans a dump: which tables are split into which ranges of blocks.

use crate::ports::{BlockRange, SourceTable, Unit};

/// A table never needs more chunks than this: their numbers have five digits, and listing stays cheap.
pub const MAX_CHUNKS: u64 = 10_000;

/// Blocks, of 8 KiB, below which splitting a table costs more than it gains.
const MIN_BLOCKS: u64 = 2;

/// Bytes of a chunk that is not made smaller so that workers end at the same time.
const LEAST: u64 = 8 << 20;

/// Chunks, at least, that each worker has in a database that is large enough.
const CHUNKS_EACH: u64 = 8;

/// The units of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpPlan {
    /// In the order of the tables and their blocks.
    pub units: Vec<Unit>,
    /// Bytes of heap and TOAST in all.
    pub total_bytes: u64,
}

/// Splits tables larger than a chunk into ranges that cover every block exactly once: the first from block 0, the
/// last open-ended, because rows may have been added since the size was read. A chunk covers `chunk_bytes`, less where so many
/// `jobs` would else not all be busy to the end.
pub fn plan(tables: &[SourceTable], chunk_bytes: u64, jobs: u32) -> DumpPlan {
    let total_bytes = tables.iter().map(|t| t.bytes).sum::<u64>();
    let chunk_bytes = match jobs {
        0 | 1 => chunk_bytes,
        _ => (total_bytes / (CHUNKS_EACH * u64::from(jobs))).max(LEAST).min(chunk_bytes),
    };
    let mut units = Vec::with_capacity(tables.len());
    for table in tables {
        let wanted = (table.bytes / chunk_bytes.max(1)).min(MAX_CHUNKS);
        let ranges = wanted.min(u64::from(table.blocks) / MIN_BLOCKS);
        if !table.splittable || ranges < 2 {
            units.push(Unit { dump_id: table.dump_id, range: None, chunk: None, last: true, bytes: table.bytes });
            continue;
        }
        let border = |i: u64| u32::try_from(u64::from(table.blocks) * i / ranges).unwrap_or(u32::MAX);
        for i in 0..ranges {
            let last = i + 1 == ranges;
            units.push(Unit {
                dump_id: table.dump_id,
                range: Some(BlockRange { from: border(i), to: (!last).then(|| border(i + 1)) }),
                chunk: u32::try_from(i + 1).ok(),
                last,
                bytes: table.bytes / ranges,
            });
        }
    }
    DumpPlan { units, total_bytes }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(blocks: u32, bytes: u64, splittable: bool) -> SourceTable {
        SourceTable {
            dump_id: 7,
            oid: 1,
            schema: "s".to_owned(),
            name: "t".to_owned(),
            blocks,
            bytes,
            splittable,
            columns: vec![],
            loads_into: None,
        }
    }

    proptest! {
        #[test]
        fn ranges_cover_every_block_once_and_the_last_is_open(blocks: u32, toast in 0u64..1 << 50, chunk in 1u64..1 << 32) {
            let bytes = u64::from(blocks) * 8192 + toast;
            let plan = plan(&[table(blocks, bytes, true)], chunk, 2);
            prop_assert!(plan.units.len() as u64 <= MAX_CHUNKS);
            let units = plan.units;
            prop_assert_eq!(units.iter().filter(|u| u.last).count(), 1);
            if units.len() > 1 {
                let mut next = 0;
                for (i, unit) in units.iter().enumerate() {
                    let range = unit.range.unwrap();
                    prop_assert_eq!(range.from, next);
                    prop_assert_eq!(unit.chunk, u32::try_from(i + 1).ok());
                    prop_assert_eq!(range.to.is_none(), unit.last);
                    next = range.to.unwrap_or(u32::MAX);
                    prop_assert!(unit.last || next > range.from);
                }
            } else {
                prop_assert_eq!(units[0].range, None);
            }
        }
    }

    #[test]
    fn a_table_that_cannot_be_split_is_one_unit() {
        let plan = plan(&[table(1_000_000, 8 << 30, false)], 1 << 20, 2);
        assert_eq!(plan.units.len(), 1);
        assert_eq!(plan.units[0].chunk, None);
    }

    #[test]
    fn a_table_of_middling_size_is_split_so_far_that_all_workers_have_some_of_it() {
        let chunks = |bytes: u64, jobs| plan(&[table(1 << 20, bytes, true)], 64 << 20, jobs).units.len();
        assert_eq!(chunks(320 << 20, 2), 16);
        assert_eq!(chunks(320 << 20, 1), 5, "one worker has nobody to wait for");
        assert_eq!(chunks(320 << 20, 64), 40, "no smaller than 8 MiB");
        assert_eq!(chunks(64 << 30, 2), 1024, "no larger than was asked for");
    }
}
