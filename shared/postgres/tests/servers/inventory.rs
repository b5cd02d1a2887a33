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
