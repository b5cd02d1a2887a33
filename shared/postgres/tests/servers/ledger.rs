//! The ledger of a restore: written with the data or not at all, held by one run, and gone without a trace.

use lifeboat_core::{
    Error, ErrorKind,
    ports::{LedgerHead, LoadStatement, Target},
};
use lifeboat_postgres::ConnectionTarget;

use crate::setting::{Blocks, cluster, create_database, target};

fn head() -> LedgerHead {
    LedgerHead {
        backup: "orders/20260101T000000Z-abcd".to_owned(),
        manifest_sha256: "0".repeat(64),
        request: "definitions and data of \"ö\".t".to_owned(),
        run: "a-run".to_owned(),
    }
}

fn statement() -> LoadStatement {
    LoadStatement {
        copy_stmt: b"COPY public.t (i) FROM stdin;\n".to_vec(),
        encoding: "UTF8".to_owned(),
        lc_monetary: "C".to_owned(),
        disable_triggers: false,
    }
}

#[tokio::test]
async fn an_entry_is_made_with_its_data_or_not_at_all() {
    let cluster = cluster(15).await;
    let connection = create_database(&cluster, "d", "").await;
    let session = connection.connect("test").await.unwrap();
    let sql = "CREATE TABLE public.t (i int PRIMARY KEY); CREATE ROLE loader; GRANT INSERT ON public.t TO loader; SELECT lo_create(77)";
    session.batch_execute(sql).await.unwrap();
    let target = target(&connection).await;
    let ledger = target.ledger().await.unwrap();
    assert_eq!(ledger.read().await.unwrap(), None);
    assert!(ledger.begin(&head(), Some("loader")).await.unwrap());
    let mut worker = target.worker(Some("loader")).await.unwrap();
    let copy = statement();
    assert_eq!(worker.copy_in(&copy, &mut Blocks::of(b"1\n2\n"), Some("a's chunk")).await.unwrap(), 2);
    let failure = Error::new(ErrorKind::Store, "gone");
    worker.copy_in(&copy, &mut Blocks::then_fail(b"3\n", failure), Some("lost")).await.unwrap_err();
    worker.copy_in(&copy, &mut Blocks::of(b"1\n"), Some("twice")).await.unwrap_err();
    let mut owner = target.worker(None).await.unwrap();
    owner.load_large_object(77, &mut Blocks::of(b"content"), Some("large")).await.unwrap();
    ledger.note("pre-data").await.unwrap();
    ledger.note("pre-data").await.unwrap();
    let found = target.ledger().await.unwrap().read().await.unwrap().unwrap();
    assert_eq!(found.head, head());
    assert!(found.begun_at.ends_with('Z') && found.begun_at.len() == 20, "{}", found.begun_at);
    let mut done: Vec<&str> = found.done.iter().map(String::as_str).collect();
    done.sort_unstable();
    assert_eq!(done, ["a's chunk", "large", "pre-data"]);
    // A new one takes its place.
    assert!(ledger.begin(&head(), None).await.unwrap());
    assert!(ledger.read().await.unwrap().unwrap().done.is_empty());
}

#[tokio::test]
async fn one_run_holds_it_and_ends_the_sessions_that_another_has_left() {
    let cluster = cluster(18).await;
    let connection = create_database(&cluster, "d", "").await;
    let target = target(&connection).await;
    let (one, other) = (target.ledger().await.unwrap(), target.ledger().await.unwrap());
    assert!(one.begin(&head(), None).await.unwrap());
    one.claim().await.unwrap();
    let error = other.claim().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyRunning);
    drop(one);
    // The server lets go when it has seen that the session is closed.
    while other.claim().await.is_err() {
        tokio::task::yield_now().await;
    }
    // The first run is on record, then the second; the third ends what both have left.
    for (run, taken_over_by) in [("a-run", "b-run"), ("b-run", "c-run")] {
        let left = connection.connect(&format!("lifeboat {run}")).await.unwrap();
        let somebody = connection.connect("lifeboat other-run").await.unwrap();
        other.take_over(taken_over_by).await.unwrap();
        assert!(left.batch_execute("SELECT 1").await.is_err(), "the session of {run} is still there");
        somebody.batch_execute("SELECT 1").await.unwrap();
        assert_eq!(other.read().await.unwrap().unwrap().head.run, taken_over_by);
    }
}

#[tokio::test]
async fn it_goes_unnoticed_by_event_triggers_and_is_not_made_without_the_right_to() {
    for major in [15, 18] {
        let cluster = cluster(major).await;
        let connection = create_database(&cluster, "d", "").await;
        let session = connection.connect("test").await.unwrap();
        let target = target(&connection).await;
        let ledger = target.ledger().await.unwrap();
        assert!(ledger.begin(&head(), None).await.unwrap());
        session
            .batch_execute(
                "CREATE TABLE public.noticed (tag text); CREATE PUBLICATION p FOR ALL TABLES;
                 CREATE FUNCTION public.notice() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.noticed VALUES (tg_tag); END';
                 CREATE EVENT TRIGGER noticing ON sql_drop EXECUTE FUNCTION public.notice();
                 CREATE ROLE nobody LOGIN",
            )
            .await
            .unwrap();
        ledger.note("post-data").await.unwrap();
        ledger.remove().await.unwrap();
        ledger.remove().await.unwrap();
        assert_eq!(ledger.read().await.unwrap(), None);
        let noticed: i64 = session.query_one("SELECT count(*) FROM public.noticed", &[]).await.unwrap().get(0);
        assert_eq!(noticed, 0, "PostgreSQL {major}");
        let (host, port) = (connection.host(), connection.port());
        let nobody = ConnectionTarget::local(host, port, "nobody", None, connection.database());
        let ledger = crate::setting::target(&nobody).await.ledger().await.unwrap();
        assert!(!ledger.begin(&head(), None).await.unwrap(), "PostgreSQL {major}");
        assert_eq!(ledger.read().await.unwrap(), None);
    }
}
