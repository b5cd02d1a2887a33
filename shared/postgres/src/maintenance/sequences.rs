//! How far sequences have come, with the limits of the columns they feed.

use lifeboat_core::maintenance::{ObjectName, SequenceFacts};

use super::{Unread, queries, rows};
use crate::session::Session;

pub(super) async fn read(session: &Session) -> Result<Vec<SequenceFacts>, Unread> {
    let found = rows(session, &queries::sequences(), &[], "read sequences").await?;
    let mut sequences: Vec<SequenceFacts> = found
        .iter()
        .map(|row| {
            let column: Option<(ObjectName, String)> =
                row.get::<_, Option<String>>(7).map(|schema| (ObjectName { schema, name: row.get(8) }, row.get(9)));
            let (least, most): (i64, i64) = (row.get(4), row.get(5));
            let way = Way { upwards: row.get::<_, i64>(3) > 0, least, most, last: row.get(6) };
            let column_type: Option<String> = row.get(10);
            let (end, by_column) = way.end(column_type.as_deref().and_then(limits));
            SequenceFacts {
                name: ObjectName { schema: row.get(0), name: row.get(1) },
                data_type: row.get(2),
                last_value: way.last,
                end,
                used_percent: way.used_percent(end),
                column,
                column_type: column_type.filter(|_| by_column),
                identity: row.get(11),
            }
        })
        .collect();
    sequences.sort_by(|a, b| b.used_percent.cmp(&a.used_percent).then_with(|| a.name.cmp(&b.name)));
    Ok(sequences)
}

/// The least and the greatest value of a whole-number type.
fn limits(data_type: &str) -> Option<(i64, i64)> {
    match data_type {
        "smallint" => Some((i16::MIN.into(), i16::MAX.into())),
        "integer" => Some((i32::MIN.into(), i32::MAX.into())),
        "bigint" => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

/// From where to where a sequence goes, and where it stands.
struct Way {
    upwards: bool,
    least: i64,
    most: i64,
    last: i64,
}

impl Way {
    /// Where it ends, and whether that is because of its column.
    fn end(&self, column: Option<(i64, i64)>) -> (i64, bool) {
        match (self.upwards, column) {
            (true, Some((_, most))) if most < self.most => (most, true),
            (false, Some((least, _))) if least > self.least => (least, true),
            (true, _) => (self.most, false),
            (false, _) => (self.least, false),
        }
    }

    fn used_percent(&self, end: i64) -> u32 {
        let begin = i128::from(if self.upwards { self.least } else { self.most });
        let (end, last) = (i128::from(end), i128::from(self.last));
        let (whole, gone) = ((end - begin).abs().max(1), (last - begin).abs());
        u32::try_from((gone * 100 / whole).clamp(0, 100)).unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_ends_where_sequence_or_column_ends() {
        let big = Way { upwards: true, least: 1, most: i64::MAX, last: 2_000_000_000 };
        assert_eq!(big.end(limits("integer")), (i32::MAX.into(), true));
        assert_eq!(big.used_percent(i32::MAX.into()), 93);
        assert_eq!(big.end(limits("numeric")), (i64::MAX, false));
        assert_eq!(big.used_percent(i64::MAX), 0);
        let small = Way { upwards: true, least: 1, most: 100, last: 100 };
        assert_eq!(small.end(limits("bigint")), (100, false));
        assert_eq!(small.used_percent(100), 100);
        let down = Way { upwards: false, least: i64::MIN, most: -1, last: -32_000 };
        assert_eq!(down.end(limits("smallint")), (i16::MIN.into(), true));
        assert_eq!(down.used_percent(i16::MIN.into()), 97);
    }
}
