//! COPY FROM STDIN against servers that answer in the middle of it, or not at all.

use tokio::io::{DuplexStream, duplex};

use super::*;

/// Bytes that the pipe between the two takes: less than what either has to say.
const PIPE: usize = 1000;

impl Server<DuplexStream> {
    async fn begins_a_copy(&mut self) {
        assert_eq!(self.hears().await.0, b'Q');
        self.says(&message(b'G', &[0, 0, 0])).await;
    }
}

/// Both at once, on one thread.
fn talk<T>(client: impl AsyncFnOnce(WireSession) -> T, server: impl AsyncFnOnce(Server<DuplexStream>)) -> T {
    let (ours, theirs) = duplex(PIPE);
    let both = async { tokio::join!(client(session_on(ours)), server(Server(theirs))).0 };
    run(async { tokio::time::timeout(PATIENCE, both).await.expect("both sides wait for each other") })
}

fn done(tag: &[u8]) -> Vec<u8> {
    [message(b'C', tag), ready()].concat()
}

#[test]
fn rows_arrive_as_they_were_sent_and_the_server_counts_them() {
    let rows = vec![b'x'; 300_000];
    let count = talk(
        async |mut session| {
            let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
            copy.send(&rows).await.unwrap();
            copy.send(b"").await.unwrap();
            let count = copy.finish().await.unwrap();
            session.execute("COMMIT").await.unwrap();
            count
        },
        async |mut server| {
            server.begins_a_copy().await;
            // It may have something to say before anything else.
            server.says(&notice()).await;
            assert!(server.hears().await == (b'd', rows.clone()));
            assert_eq!([server.hears().await, server.hears().await], [(b'd', Vec::new()), (b'c', Vec::new())]);
            server.says(&done(b"COPY 7\0")).await;
            assert_eq!(server.hears().await, (b'Q', b"COMMIT\0".to_vec()));
            server.says(&done(b"COMMIT\0")).await;
        },
    );
    assert_eq!(count, 7);
}

#[test]
fn a_server_that_says_much_in_the_middle_of_a_block_and_refuses_it_is_heard() {
    talk(
        async |mut session| {
            let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
            let refused = copy.send(&vec![b'x'; 300_000]).await.unwrap_err();
            assert!(matches!(refused, WireError::Refused { .. }), "{refused}");
            assert!(matches!(copy.send(b"x").await, Err(WireError::Closed)));
            drop(copy);
            session.execute("ROLLBACK").await.unwrap();
        },
        async |mut server| {
            server.begins_a_copy().await;
            let mut some = vec![0; 5 + 2000];
            server.0.read_exact(&mut some).await.unwrap();
            for _ in 0..100 {
                server.says(&notice()).await;
            }
            server.says(&message(b'N', &[&b"SWARNING\0M"[..], &vec![b'm'; 200_000], b"\0\0"].concat())).await;
            server.says(&[refusal(), ready()].concat()).await;
            // It passes over the rest of the message.
            let mut rest = vec![0; 300_000 - 2000];
            server.0.read_exact(&mut rest).await.unwrap();
            assert_eq!(server.hears().await, (b'Q', b"ROLLBACK\0".to_vec()));
            server.says(&done(b"ROLLBACK\0")).await;
        },
    );
}

#[test]
fn a_refusal_at_the_end_leaves_the_session_open_and_one_that_ends_the_session_is_told_with_its_reason() {
    for fatal in [false, true] {
        talk(
            async |mut session| {
                let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
                copy.send(b"1\n").await.unwrap();
                let refused = copy.finish().await.unwrap_err();
                assert_eq!(refused.to_string(), "could not obtain lock (t\u{fffd}ble) [SQLSTATE 55P03]");
                assert_eq!(session.is_closed(), fatal);
            },
            async |mut server| {
                server.begins_a_copy().await;
                server.hears().await;
                assert_eq!(server.hears().await.0, b'c');
                server.says(&refusal()).await;
                if !fatal {
                    server.says(&ready()).await;
                }
            },
        );
    }
}

#[test]
fn a_copy_that_is_given_up_is_refused_and_one_that_is_dropped_ends_the_session() {
    talk(
        async |mut session| {
            let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
            copy.send(b"1\n").await.unwrap();
            copy.fail("no more").await.unwrap();
            session.execute("ROLLBACK").await.unwrap();
            drop(session.copy_in("COPY t FROM STDIN").await.unwrap());
            assert!(session.is_closed());
        },
        async |mut server| {
            server.begins_a_copy().await;
            server.hears().await;
            assert_eq!(server.hears().await, (b'f', b"no more\0".to_vec()));
            server.says(&[refusal(), ready()].concat()).await;
            server.hears().await;
            server.says(&done(b"ROLLBACK\0")).await;
            server.begins_a_copy().await;
            assert_eq!(server.0.read(&mut [0]).await.unwrap(), 0, "the socket is closed");
        },
    );
}

#[test]
fn an_answer_out_of_turn_ends_the_session() {
    for answer in [done(b"COPY 1\0"), ready(), message(b'd', b"1\n"), message(b'c', b"")] {
        talk(
            async |mut session| {
                let mut copy = session.copy_in("COPY t FROM STDIN").await.unwrap();
                let mut sent = Ok(());
                while sent.is_ok() {
                    sent = copy.send(&[b'x'; 500]).await;
                }
                assert!(matches!(sent, Err(WireError::Protocol(_))), "{sent:?}");
                drop(copy);
                assert!(session.is_closed());
            },
            async |mut server| {
                server.begins_a_copy().await;
                server.says(&answer).await;
                while server.0.read(&mut [0; 100]).await.unwrap() > 0 {}
            },
        );
    }
}
