//! Foreign keys with rows that refer to nothing.

use lifeboat_archive::names;
use lifeboat_core::{Error, ErrorKind, Result};

use crate::{failure::database_error, session::Session};

/// Every enforced, validated foreign key of the users' own, each at its root: OID, and name as bytes.
const KEYS: &str = "
SELECT k.oid, pg_catalog.convert_to(n.nspname || '.' || c.relname || '.' || k.conname,
       CASE pg_catalog.current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END)
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.convalidated
  AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::bool, true)
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't'
ORDER BY n.nspname, c.relname, k.conname";

/// Counts the orphans of one key. The query is put together and run by the server, so that names of any encoding do.
///
/// Types and collations are treated as PostgreSQL's own check of a new foreign key does (`RI_Initial_Check`): a plain
/// table is read without its children, MATCH SIMPLE passes over rows with a NULL, MATCH FULL over rows of NULLs only.
const COUNT: &str = r"
DO $lifeboat$
DECLARE
  statement text;
  answer bigint;
BEGIN
  WITH key AS (
    SELECT k.*, coalesce((pg_catalog.to_jsonb(k) ->> 'conperiod')::bool, false) AS period,
           (SELECT CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || pg_catalog.format('%I.%I', n.nspname, r.relname)
            FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = k.conrelid) AS child,
           (SELECT CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END || pg_catalog.format('%I.%I', n.nspname, r.relname)
            FROM pg_catalog.pg_class r JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = k.confrelid) AS parent
    FROM pg_catalog.pg_constraint k WHERE k.oid = {oid}
  ), col AS (
    SELECT u.place, u.place = pg_catalog.cardinality(key.conkey) AND key.period AS is_period,
           pg_catalog.format('c.%I', fa.attname) AS bare,
           pg_catalog.format('c.%I', fa.attname) || CASE WHEN o.oprright = fa.atttypid OR rt.typtype = 'p' THEN ''
             ELSE '::' || pg_catalog.format_type(o.oprright, NULL) END AS own,
           pg_catalog.format('p.%I', pa.attname) || CASE WHEN o.oprleft = pa.atttypid OR lt.typtype = 'p' THEN ''
             ELSE '::' || pg_catalog.format_type(o.oprleft, NULL) END
             || CASE WHEN pa.attcollation <> fa.attcollation AND pa.attcollation <> 0 THEN
                (SELECT pg_catalog.format(' COLLATE %I.%I', cn.nspname, cc.collname) FROM pg_catalog.pg_collation cc
                 JOIN pg_catalog.pg_namespace cn ON cn.oid = cc.collnamespace WHERE cc.oid = pa.attcollation) ELSE '' END AS theirs,
           pg_catalog.format('OPERATOR(%I.%s)', opn.nspname, o.oprname) AS operator
    FROM key, ROWS FROM (pg_catalog.unnest(key.conkey), pg_catalog.unnest(key.confkey), pg_catalog.unnest(key.conpfeqop))
         WITH ORDINALITY AS u(attnum, fattnum, op, place)
    JOIN pg_catalog.pg_attribute fa ON fa.attnum = u.attnum AND fa.attrelid = (SELECT conrelid FROM key)
    JOIN pg_catalog.pg_attribute pa ON pa.attnum = u.fattnum AND pa.attrelid = (SELECT confrelid FROM key)
    JOIN pg_catalog.pg_operator o ON o.oid = u.op JOIN pg_catalog.pg_namespace opn ON opn.oid = o.oprnamespace
    JOIN pg_catalog.pg_type lt ON lt.oid = o.oprleft JOIN pg_catalog.pg_type rt ON rt.oid = o.oprright
  ), part AS (
    SELECT pg_catalog.string_agg(bare || ' IS NOT NULL', ' AND ' ORDER BY place) AS all_set,
           pg_catalog.string_agg(bare || ' IS NOT NULL', ' OR ' ORDER BY place) AS some_set,
           pg_catalog.string_agg(CASE WHEN is_period THEN theirs || ' OPERATOR(pg_catalog.&&) ' || own
                                 ELSE theirs || ' ' || operator || ' ' || own END, ' AND ' ORDER BY place) AS matches,
           coalesce(pg_catalog.max(' HAVING pg_catalog.range_agg(' || theirs || ') OPERATOR(pg_catalog.@>) ' || own)
                    FILTER (WHERE is_period), '') AS covered
    FROM col
  )
  SELECT 'SELECT pg_catalog.count(*) FROM ' || key.child || ' c WHERE ' || CASE key.confmatchtype
         WHEN 'f' THEN '(' || part.some_set || ') AND NOT (' || part.all_set || ' AND EXISTS (' ELSE part.all_set || ' AND NOT (EXISTS (' END
         || 'SELECT 1 FROM ' || key.parent || ' p WHERE ' || part.matches || part.covered || '))'
  INTO STRICT statement FROM key, part;
  EXECUTE statement INTO STRICT answer;
  PERFORM pg_catalog.set_config('lifeboat.answer', answer::text, false);
END
$lifeboat$";

/// Names and numbers of orphaned rows, of those keys that have any.
pub(super) async fn orphans(session: &Session) -> Result<Vec<(String, u64)>> {
    let keys = session.query(KEYS, &[]).await.map_err(|e| database_error("list foreign keys", &e))?;
    let mut found = Vec::new();
    for key in keys {
        let (oid, name) = (key.get::<_, u32>(0), names::text(key.get(1)).into_owned());
        let doing = format!("look for orphans of {name}");
        let answer = answer(session, &COUNT.replace("{oid}", &oid.to_string()), &doing).await?;
        let count: u64 =
            answer.parse().map_err(|_| Error::new(ErrorKind::Unexpected, format!("{doing}: answer {answer:?}")))?;
        if count > 0 {
            found.push((name, count));
        }
    }
    Ok(found)
}

/// Runs a block that leaves its answer in the setting `lifeboat.answer`: blocks return nothing.
pub(super) async fn answer(session: &Session, block: &str, doing: &str) -> Result<String> {
    session.batch_execute(block).await.map_err(|e| database_error(doing, &e))?;
    let row = session
        .query_one("SELECT pg_catalog.current_setting('lifeboat.answer')", &[])
        .await
        .map_err(|e| database_error(doing, &e))?;
    Ok(row.get(0))
}
