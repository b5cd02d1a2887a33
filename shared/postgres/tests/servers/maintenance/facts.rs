//! What is read of a database: figures as they are, estimates near to what the extension measures.

use lifeboat_core::maintenance::{BloatSource, Facts, Operation, Outcome, TableKind};
use lifeboat_postgres::ConnectionTarget;

use super::{bloated, facts, index, maintain, request, run_sql, session, table};
use crate::setting::{MAJORS, cluster, create_database, every_kind};

const KINDS: &str = "
SET search_path = public;
CREATE TABLE plain (id smallserial PRIMARY KEY, a int, b text);
INSERT INTO plain (a, b) SELECT g, 'x' || g FROM generate_series(1, 1000) g;
SELECT setval('plain_id_seq', 32000);
CREATE TABLE wide (id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 100), x int);
SELECT setval('wide_id_seq', 50);
CREATE SEQUENCE free; SELECT nextval('free');
CREATE TABLE \"Fed \"\"by\"\" default\" (n int DEFAULT nextval('public.free'));
CREATE SEQUENCE cycling MAXVALUE 3 CYCLE; SELECT setval('cycling', 3);
CREATE SEQUENCE never_used;
CREATE INDEX plain_a ON plain (a); CREATE INDEX plain_a_again ON plain (a);
CREATE UNIQUE INDEX plain_a_unique ON plain (a);
CREATE INDEX plain_lower ON plain (lower(b)) WHERE a > 5; CREATE INDEX plain_lower_2 ON plain (lower( b )) WHERE (a > 5);
CREATE INDEX plain_desc ON plain (a DESC);
CREATE TABLE excluded (r int4range, EXCLUDE USING gist (r WITH &&));
CREATE TABLE child (a int REFERENCES plain (a));
CREATE TABLE root (i int PRIMARY KEY) PARTITION BY RANGE (i);
CREATE TABLE middle PARTITION OF root FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (i);
CREATE TABLE leaf PARTITION OF middle FOR VALUES FROM (0) TO (10);
CREATE MATERIALIZED VIEW seen AS SELECT * FROM plain;
CREATE TABLE neglected (i int) WITH (autovacuum_enabled = off);
CREATE TEMPORARY TABLE passing (i int)";

fn check_kinds(facts: &Facts) {
    let plain = table(facts, "plain");
    assert_eq!((plain.kind, plain.live_tuples, plain.identified), (TableKind::Table, 1000, true));
    assert!(plain.may_own && plain.may_maintain && plain.autovacuum && plain.last_analyze.is_none());
    assert_eq!(table(facts, "root").kind, TableKind::Partitioned);
    assert_eq!(table(facts, "leaf").ancestors, [table(facts, "middle").oid, table(facts, "root").oid]);
    assert_eq!(table(facts, "seen").kind, TableKind::MaterializedView);
    assert!(!table(facts, "neglected").autovacuum && !table(facts, "neglected").identified);
    assert!(!facts.tables.iter().any(|t| t.name.name == "passing"));

    // Two indexes that do the same work are told so, however they were written.
    let signature = |name: &str| &index(facts, name).signature;
    assert_eq!(signature("plain_a"), signature("plain_a_again"));
    assert_eq!(signature("plain_a"), signature("plain_a_unique"));
    assert_eq!(signature("plain_lower"), signature("plain_lower_2"));
    assert_ne!(signature("plain_a"), signature("plain_desc"));
    assert!(index(facts, "plain_a_unique").backs_constraint, "a foreign key rests on it");
    assert!(!index(facts, "plain_a").backs_constraint && index(facts, "plain_pkey").backs_constraint);
    let excluded = facts.indexes.iter().find(|i| i.table.name == "excluded").unwrap();
    assert!(excluded.exclusion && excluded.backs_constraint && excluded.method == "gist");
    assert!(index(facts, "root_pkey").partitioned && index(facts, "leaf_pkey").attached);

    let sequences: Vec<_> = facts.sequences.iter().map(|s| (s.name.name.as_str(), s.used_percent, s.end)).collect();
    assert_eq!(sequences, [("plain_id_seq", 97, 32767), ("wide_id_seq", 49, 100), ("free", 0, i32::MAX.into())]);
    let free = &facts.sequences[2];
    assert_eq!(free.column.as_ref().unwrap().0.name, "Fed \"by\" default");
    assert_eq!(free.column_type.as_deref(), Some("integer"));
    assert!(facts.sequences[1].identity && facts.sequences[1].column_type.is_none());
}

#[tokio::test]
async fn tables_indexes_and_sequences_are_told_as_they_are() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let connection = create_database(&cluster, "d", "").await;
        run_sql(&connection, KINDS).await;
        let facts = facts(&connection).await;
        check_kinds(&facts);
        assert_eq!(facts.server_version_num / 10_000, major);
        assert!(!facts.standby && facts.standbys == 0 && facts.sees_all_sessions && !facts.can_measure);
        assert!(facts.database_bytes > 5 << 20 && facts.statistics_since.is_some());
        assert!(facts.sessions.most_connections > 10 && facts.cache_hit_percent.is_some());
    }
}

#[tokio::test]
async fn a_database_of_every_kind_of_object_can_be_read() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let connection = every_kind(major, &cluster, "every").await;
        let outcome =
            maintain(&connection, request(&[Operation::Vacuum, Operation::Analyze, Operation::Reindex])).await;
        assert!(
            outcome.failure.is_none() && outcome.report.count(Outcome::Skipped) == 0,
            "{:#?}",
            outcome.report.statements
        );
        assert!(outcome.report.count(Outcome::Done) > 5);
        let facts = facts(&connection).await;
        assert!(facts.tables.len() > 10 && facts.indexes.len() > 5, "{} tables", facts.tables.len());
        for index in facts.indexes.iter().filter(|i| i.bloat.is_some()) {
            assert!(index.bloat.unwrap().bytes <= index.bytes, "{index:?}");
        }
    }
}

/// What the extension says, in bytes: dead and free of the table, and not needed of the index.
const MEASURED: &str = "
SELECT (SELECT dead_tuple_len + free_space FROM pgstattuple('public.t'))::text || ' ' ||
       (SELECT (index_size - (leaf_pages * avg_leaf_density / 90 + internal_pages + 1) * 8192)::int8 FROM pgstatindex('public.t_v'))::text";

async fn measured(connection: &ConnectionTarget) -> (u64, u64) {
    let session = session(connection).await;
    session.batch_execute("SET search_path = public").await.unwrap();
    let told: String = session.query_one(MEASURED, &[]).await.unwrap().get(0);
    let (table, index) = told.split_once(' ').unwrap();
    (table.parse().unwrap(), index.parse().unwrap())
}

/// Whether two figures are within so many percent of a whole.
fn near(one: u64, other: u64, percent: u64, whole: u64) -> bool {
    one.abs_diff(other) * 100 <= whole * percent
}

#[tokio::test]
async fn estimates_are_near_what_pgstattuple_measures_and_with_it_are_its_own() {
    let (_cluster, connection) = bloated(15).await;
    run_sql(&connection, "ANALYZE").await;
    let estimated = facts(&connection).await;
    run_sql(&connection, "CREATE EXTENSION pgstattuple SCHEMA public").await;
    let (table_bytes, index_bytes) = measured(&connection).await;
    let (t, v) = (table(&estimated, "t"), index(&estimated, "t_v"));
    assert_eq!(t.bloat.unwrap().source, BloatSource::Estimated);
    // An estimate may be off by a tenth of the whole.
    let figures = format!(
        "table {:?} of {}, {table_bytes}; index {:?} of {}, {index_bytes}",
        t.bloat, t.heap_bytes, v.bloat, v.bytes
    );
    assert!(near(t.bloat.unwrap().bytes, table_bytes, 10, t.heap_bytes), "{figures}");
    eprintln!("estimates: {figures}");

    // Until VACUUM has removed the entries of dead rows, pgstatindex takes them for others.
    assert_eq!(index(&facts(&connection).await, "t_v").bloat.unwrap().source, BloatSource::Estimated);
    run_sql(&connection, "VACUUM public.t").await;
    let (table_bytes, index_bytes) = measured(&connection).await;
    let exact = facts(&connection).await;
    assert!(exact.can_measure);
    let (t, v) = (table(&exact, "t"), index(&exact, "t_v"));
    let figures = format!(
        "table {:?} of {}, {table_bytes}; index {:?} of {}, {index_bytes}",
        t.bloat, t.heap_bytes, v.bloat, v.bytes
    );
    assert_eq!((t.bloat.unwrap().source, v.bloat.unwrap().source), (BloatSource::Measured, BloatSource::Measured));
    assert!(near(t.bloat.unwrap().bytes, table_bytes, 1, t.heap_bytes), "{figures}");
    assert!(near(v.bloat.unwrap().bytes, index_bytes, 1, v.bytes), "{figures}");
    eprintln!("measured: {figures}");
}
