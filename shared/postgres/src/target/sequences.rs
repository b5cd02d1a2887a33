//! Sequences that stand behind the values of a column they feed: the next insert would meet a value that is there.

use lifeboat_archive::names;
use lifeboat_core::{Error, ErrorKind, Result};

use super::foreign_keys::answer;
use crate::{failure::database_error, session::Session};

/// Sequences with the integer columns they feed: owned by the column (serial, identity) or called by its default.
/// Partitions are looked at through their root. Sequences that cycle stand where they like.
const FED: &str = "
SELECT DISTINCT s.seqrelid, a.attrelid, a.attnum::int4, s.seqincrement > 0,
       pg_catalog.convert_to(sn.nspname || '.' || sc.relname,
       CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)
FROM (SELECT d.objid AS seq, d.refobjid AS rel, d.refobjsubid AS num FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
      UNION ALL SELECT d.refobjid, f.adrelid, f.adnum FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_attrdef f ON f.oid = d.objid
      WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^nextval\\(.*::(pg_catalog\\.)?regclass\\)$') u
JOIN pg_catalog.pg_sequence s ON s.seqrelid = u.seq AND NOT s.seqcycle
JOIN pg_catalog.pg_class sc ON sc.oid = s.seqrelid JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = u.rel AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
JOIN pg_catalog.pg_attribute a ON a.attrelid = u.rel AND a.attnum = u.num AND a.atttypid IN (20, 21, 23)
WHERE sn.nspname <> 'information_schema' AND sn.nspname !~ '^pg_'
ORDER BY 5";

/// Last value, whether it was given out, and the farthest value of the column (empty where there is none). The server puts
/// the queries together, so that names of any encoding do.
const STAND: &str = r"
DO $lifeboat$
DECLARE
  statement text;
  answer text;
BEGIN
  SELECT pg_catalog.format('SELECT last_value || %L || is_called || %L || coalesce((SELECT pg_catalog.%s(%I)::text FROM %I.%I), %L) FROM %I.%I',
         ',', ',', '{farthest}', a.attname, n.nspname, c.relname, '', sn.nspname, sc.relname)
  INTO STRICT statement
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.pg_class sc
  JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
  WHERE a.attrelid = {table} AND a.attnum = {column} AND sc.oid = {sequence};
  EXECUTE statement INTO STRICT answer;
  PERFORM pg_catalog.set_config('lifeboat.answer', answer, false);
END
$lifeboat$";

/// Name, last value and farthest value of those that are behind.
pub(super) async fn behind(session: &Session) -> Result<Vec<(String, i64, i64)>> {
    let fed = session.query(FED, &[]).await.map_err(|e| database_error("list sequences", &e))?;
    let mut found = Vec::new();
    for row in fed {
        let (sequence, table, column) = (row.get::<_, u32>(0), row.get::<_, u32>(1), row.get::<_, i32>(2));
        let (ascending, name) = (row.get::<_, bool>(3), names::text(row.get(4)).into_owned());
        let block = STAND
            .replace("{farthest}", if ascending { "max" } else { "min" })
            .replace("{table}", &table.to_string())
            .replace("{column}", &column.to_string())
            .replace("{sequence}", &sequence.to_string());
        let doing = format!("compare sequence {name} with its column");
        let answer = answer(session, &block, &doing).await?;
        let stand =
            parse(&answer).ok_or_else(|| Error::new(ErrorKind::Unexpected, format!("{doing}: answer {answer:?}")))?;
        if let Some(farthest) = stand.overtaken_by(ascending) {
            found.push((name, stand.last_value, farthest));
        }
    }
    Ok(found)
}

struct Stand {
    last_value: i64,
    is_called: bool,
    farthest: Option<i64>,
}

fn parse(answer: &str) -> Option<Stand> {
    let mut parts = answer.split(',');
    let last_value = parts.next()?.parse().ok()?;
    let is_called = parts.next()? == "true";
    let farthest = match parts.next()? {
        "" => None,
        number => Some(number.parse().ok()?),
    };
    Some(Stand { last_value, is_called, farthest })
}

impl Stand {
    /// The column's value that the sequence has yet to give out.
    fn overtaken_by(&self, ascending: bool) -> Option<i64> {
        let farthest = self.farthest?;
        let beyond = if ascending { farthest > self.last_value } else { farthest < self.last_value };
        (beyond || (farthest == self.last_value && !self.is_called)).then_some(farthest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_behind_when_it_has_yet_to_give_out_a_value_that_is_there() {
        let behind = |answer: &str, ascending| parse(answer).unwrap().overtaken_by(ascending);
        assert_eq!(behind("5,true,5", true), None);
        assert_eq!(behind("5,true,6", true), Some(6));
        assert_eq!(behind("1,false,1", true), Some(1));
        assert_eq!(behind("1,false,", true), None);
        assert_eq!(behind("-5,true,-6", false), Some(-6));
        assert_eq!(behind("-5,true,-5", false), None);
        assert!(parse("nonsense").is_none());
    }
}
