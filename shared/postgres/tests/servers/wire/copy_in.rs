//! COPY FROM STDIN: rows as they were sent, refusals heard in the middle, and nothing left of what was given up.

use lifeboat_postgres::{
    session::Session,
    wire::{WireError, WireSession},
};

use super::*;

const COPY: &str = "COPY public.t FROM STDIN";

struct Setting {
    cluster: ThrowawayCluster,
    wire: WireSession,
    watching: Session,
}

async fn setting(sql: &str) -> Setting {
    let cluster = cluster(15).await;
    let target = cluster.target("postgres");
    let watching = target.connect("watching").await.unwrap();
    watching.batch_execute(sql).await.unwrap();
    let wire = target.connect_wire("copying").await.unwrap();
    Setting { cluster, wire, watching }
}

impl Setting {
    async fn rows(&self) -> i64 {
        number(&self.watching, "SELECT count(*) FROM public.t").await
    }

    /// Waits until no session copies any more.
    async fn until_nobody_copies(&self) {
        let gone = async {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'copying'";
            while number(&self.watching, sql).await > 0 {}
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the server has noticed");
    }
}

async fn number(session: &Session, sql: &str) -> i64 {
    session.query_one(sql, &[]).await.unwrap().get(0)
}

/// Sends blocks until the server refuses; fails if it does not within a gigabyte.
async fn send_until_refused(session: &mut WireSession, sql: &str, block: &[u8]) -> (WireError, usize) {
    let mut copy = session.copy_in(sql).await.unwrap();
    let mut sent = 0;
    loop {
        match copy.send(block).await {
            Ok(()) => sent += block.len(),
            Err(error) => return (error, sent),
        }
        assert!(sent < 1 << 30, "it is not heard");
    }
}

#[tokio::test]
async fn rows_of_any_size_and_encoding_arrive_as_they_were_sent() {
    let mut s = setting("CREATE TABLE public.t (i int, t text)").await;
    let mut copy = s.wire.copy_in(format!("{COPY} (ENCODING 'LATIN1')")).await.unwrap();
    for block in [&b"1\t\xe4"[..], b"\xf6\n2\t", b"", b"\\N\n3\t"] {
        copy.send(block).await.unwrap();
    }
    let part = vec![b'x'; 100_000];
    for _ in 0..300 {
        copy.send(&part).await.unwrap();
    }
    copy.send(b"\n").await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 3);
    let sql = "SELECT count(*) FROM public.t WHERE t = 'äö' OR t IS NULL OR length(t) = 30000000";
    assert_eq!(number(&s.watching, sql).await, 3);
    assert_eq!(s.wire.copy_in(COPY).await.unwrap().finish().await.unwrap(), 0);
}

#[tokio::test]
async fn a_refusal_is_heard_in_the_middle_with_and_without_tls_and_the_session_goes_on() {
    let mut s = setting("CREATE TABLE public.t (i int); CREATE TABLE public.unique_ones (i int PRIMARY KEY)").await;
    with_tls_and_roles(&s.cluster).await;
    s.watching.batch_execute("GRANT ALL ON public.t, public.unique_ones TO scram_role").await.unwrap();
    let target = encrypted(&s.cluster, "localhost", "scram_role", "ca.crt");
    for _ in 0..2 {
        for (table, block, state) in
            [("t", b"1\nx\n".repeat(50_000), "22P02"), ("unique_ones", b"7\n".repeat(100_000), "23505")]
        {
            let sql = format!("COPY public.{table} FROM STDIN");
            let (refused, sent) = send_until_refused(&mut s.wire, &sql, &block).await;
            assert!(refused.to_string().contains(state), "{refused}");
            assert!(sent < 100 << 20, "{sent} bytes were sent in vain");
            assert!(!s.wire.is_closed());
        }
        assert!(s.wire.copy_in("COPY public.gone FROM STDIN").await.err().unwrap().to_string().contains("42P01"));
        s.wire.execute("SELECT 1").await.unwrap();
        s.wire = target.connect_wire("copying").await.unwrap();
    }
    assert_eq!(s.rows().await, 0);
}

/// Neither side may wait for the other to read first.
#[tokio::test]
async fn a_server_that_says_much_about_each_row_is_listened_to() {
    let mut s = setting(
        "CREATE TABLE public.t (i int);
         CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RAISE NOTICE '%', repeat('x', 20000); RETURN NEW; END $$;
         CREATE TRIGGER f BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.f()",
    )
    .await;
    let all = async {
        let mut copy = s.wire.copy_in(COPY).await.unwrap();
        for _ in 0..10 {
            copy.send(&b"1\n".repeat(500)).await.unwrap();
        }
        copy.finish().await.unwrap()
    };
    let count = tokio::time::timeout(Duration::from_mins(1), all).await.expect("both wait for each other");
    assert_eq!(count, 5000);
}

#[tokio::test]
async fn nothing_is_left_of_what_is_given_up_or_dropped_in_the_middle() {
    let mut s = setting("CREATE TABLE public.t (i int)").await;
    let mut copy = s.wire.copy_in(COPY).await.unwrap();
    copy.send(&b"1\n".repeat(500_000)).await.unwrap();
    copy.fail("no more rows").await.unwrap();
    let mut copy = s.wire.copy_in(COPY).await.unwrap();
    copy.send(b"1\n").await.unwrap();
    drop(copy);
    assert!(s.wire.is_closed());
    s.until_nobody_copies().await;
    assert_eq!(s.rows().await, 0);
}

#[tokio::test]
async fn a_session_that_somebody_cancels_goes_on_and_one_that_is_terminated_is_told_so() {
    let mut s = setting("CREATE TABLE public.t (i int)").await;
    for (end, state, goes_on) in [("cancel", "57014", true), ("terminate", "57P01", false)] {
        let mut copy = s.wire.copy_in(COPY).await.unwrap();
        copy.send(b"1\n").await.unwrap();
        let sql = format!(
            "SELECT count(pg_{end}_backend(pid)) FROM pg_stat_activity WHERE application_name = 'copying' AND state = 'active'"
        );
        assert_eq!(number(&s.watching, &sql).await, 1);
        let refused = loop {
            if let Err(error) = copy.send(b"1\n").await {
                break error;
            }
            tokio::task::yield_now().await;
        };
        assert!(refused.to_string().contains(state), "{refused}");
        drop(copy);
        assert_eq!(!s.wire.is_closed(), goes_on);
    }
    assert_eq!(s.rows().await, 0);
}
