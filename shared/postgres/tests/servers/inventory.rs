//! The inventory: the same on a source and on what stock tools restored from it, and different when something differs.

use lifeboat_core::ports::{Inventory, Target};

use crate::setting::{MAJORS, cluster, create_database, every_kind, run, target, tool};

fn difference(a: &Inventory, b: &Inventory) -> Vec<String> {
    let only = |a: &Inventory, b: &Inventory, mark: &str| {
        let missing = a.items.iter().filter(|item| !b.items.contains(item));
        missing.map(|i| format!("{mark} {} {}: {}", i.kind, i.name, i.state)).collect::<Vec<_>>()
    };
    [only(a, b, "-"), only(b, a, "+")].concat()
}

#[tokio::test]
async fn a_stock_restore_of_every_kind_has_the_same_inventory() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let source = every_kind(major, &cluster, "every_kind").await;
        let restored = create_database(&cluster, "restored", "").await;
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("archive");
        let mut dump = tool(major, "pg_dump", &source).await;
        dump.args(["-Fc", "-Z0", "-f"]).arg(&archive);
        run(dump);
        let mut restore = tool(major, "pg_restore", &restored).await;
        restore.arg("--dbname=").arg(&archive);
        run(restore);
        let before = target(&source).await.inventory().await.unwrap();
        let after = target(&restored).await.inventory().await.unwrap();
        assert!(before.items.len() > 800, "{}", before.items.len());
        assert_eq!(difference(&before, &after), Vec::<String>::new(), "PostgreSQL {major}");
    }
}

#[tokio::test]
async fn what_differs_is_seen() {
    let cluster = cluster(18).await;
    let connection = create_database(&cluster, "d", "").await;
    let session = connection.connect("test").await.unwrap();
    session
        .batch_execute(
            "SET search_path = public; CREATE TABLE p (id serial PRIMARY KEY); CREATE TABLE t (i int, p int); CREATE INDEX x ON t (i);
             CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
             ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES p; CREATE MATERIALIZED VIEW m AS SELECT 1",
        )
        .await
        .unwrap();
    let target = target(&connection).await;
    for (change, seen) in [
        ("ALTER TABLE public.t DISABLE TRIGGER g", "trigger public.t.g: enabled=D"),
        ("DROP INDEX public.x", "index public.x on t"),
        ("ALTER TABLE public.t ENABLE ROW LEVEL SECURITY", "row_security=true"),
        (
            "ALTER TABLE public.t DROP CONSTRAINT k, ADD CONSTRAINT k FOREIGN KEY (p) REFERENCES public.p NOT VALID",
            "validated=false",
        ),
        ("REFRESH MATERIALIZED VIEW public.m WITH NO DATA", "populated=false"),
        ("SELECT nextval('public.p_id_seq'), nextval('public.p_id_seq')", "sequence public.p_id_seq: 2,true"),
        ("GRANT SELECT ON public.t TO PUBLIC", "PUBLIC=SELECT"),
        ("SELECT lo_create(4711)", "large objects all: count=1"),
        ("ALTER TABLE public.t REPLICA IDENTITY FULL", "replica_identity=f"),
        ("COMMENT ON TABLE public.t IS 'x'", "comments pg_class: count=1"),
    ] {
        let before = target.inventory().await.unwrap();
        session.batch_execute(change).await.unwrap();
        let found = difference(&before, &target.inventory().await.unwrap());
        assert!(found.iter().any(|line| line.contains(seen)), "{change}: {found:#?}");
    }
}

/// The same objects, made in the one order or the other.
fn made(forwards: bool) -> String {
    let both = |a: &str, b: &str, between: &str| if forwards { [a, b].join(between) } else { [b, a].join(between) };
    format!(
        "SET search_path = public; CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE child () INHERITS ({parents});
         CREATE TABLE t (i int, j int, EXCLUDE USING btree (i WITH =)) WITH ({options}); {policies}; {grants};
         CREATE STATISTICS s ({kinds}) ON {columns} FROM t; {indexes};
         CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
         CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ({tags}) EXECUTE FUNCTION f();
         CREATE PUBLICATION p FOR TABLE {tables};
         CREATE SUBSCRIPTION u CONNECTION 'dbname=none' PUBLICATION {publications} WITH (connect = false, slot_name = NONE)",
        parents = both("a", "b", ", "),
        options = both("fillfactor = 70", "autovacuum_enabled = false", ", "),
        policies = both("CREATE POLICY x ON t TO zoe, adam", "CREATE POLICY y ON t TO adam, zoe", "; ")
            .replace("zoe, adam", &both("zoe", "adam", ", ")),
        grants = both("GRANT UPDATE, SELECT ON t TO zoe", "GRANT SELECT, INSERT ON t TO adam", "; "),
        kinds = both("dependencies", "ndistinct", ", "),
        columns = both("i", "j", ", "),
        indexes = both("CREATE INDEX x1 ON t (i)", "CREATE INDEX x2 ON t (j)", "; "),
        tags = both("'CREATE TABLE'", "'DROP TABLE'", ", "),
        tables = both("a", "b", ", "),
        publications = both("one", "two", ", "),
    )
}

#[tokio::test]
async fn the_order_in_which_objects_were_made_is_no_difference() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let mut found = Vec::new();
        for (name, forwards) in [("forwards", true), ("backwards", false)] {
            let connection = create_database(&cluster, name, "").await;
            let session = connection.connect("test").await.unwrap();
            // Roles lie in another order on the disk, and have other OIDs.
            let roles =
                if forwards { "CREATE ROLE adam; CREATE ROLE zoe" } else { "CREATE ROLE zoe; CREATE ROLE adam" };
            session.batch_execute(roles).await.unwrap();
            session.batch_execute(&made(forwards)).await.unwrap();
            found.push(target(&connection).await.inventory().await.unwrap());
            session.batch_execute("DROP SUBSCRIPTION u; DROP OWNED BY adam, zoe; DROP ROLE adam, zoe").await.unwrap();
        }
        assert!(found[0].items.len() > 12, "{:#?}", found[0]);
        assert_eq!(difference(&found[0], &found[1]), Vec::<String>::new(), "PostgreSQL {major}");
    }
}
