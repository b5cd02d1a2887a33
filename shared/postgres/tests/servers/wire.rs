//! The client of our own against real servers: who it lets in and whom it trusts, rows of any size, sessions that end.

mod copy_in;

use std::time::Duration;

use lifeboat_core::ErrorKind;
use lifeboat_postgres::{ConnectionTarget, cluster::ThrowawayCluster, wire::WireSession};

use crate::setting::{MAJORS, cluster, create_database, repository};

fn certificate(name: &str) -> String {
    repository().join("tests/fixtures/tls").join(name).to_str().unwrap().to_owned()
}

/// Writes a file into the server's data folder, as the server's own account.
async fn put(session: &mut WireSession, name: &str, text: &str) {
    let lines = format!("SELECT unnest(string_to_array($f${}$f$, chr(10)))", text.trim_end());
    session.execute(format!("COPY ({lines}) TO PROGRAM 'umask 077; cat > {name}'")).await.unwrap();
}

/// Lets the server know TLS, and roles that prove themselves in each way.
async fn with_tls_and_roles(cluster: &ThrowawayCluster) {
    let mut session = cluster.target("postgres").connect_wire("test").await.unwrap();
    for name in ["server.crt", "server.key"] {
        put(&mut session, name, &std::fs::read_to_string(certificate(name)).unwrap()).await;
    }
    let hba = "local all all trust\nhost all md5_role all md5\nhost all clear_role all password\nhost all all all scram-sha-256";
    put(&mut session, "pg_hba.conf", hba).await;
    for sql in [
        "SET password_encryption = md5; CREATE ROLE md5_role LOGIN PASSWORD 'pass word'",
        "CREATE ROLE clear_role LOGIN PASSWORD 'pass word'",
        "SET password_encryption = 'scram-sha-256'; CREATE ROLE scram_role LOGIN PASSWORD 'pass word'",
        "ALTER SYSTEM SET ssl = on",
        "SELECT pg_reload_conf()",
    ] {
        session.execute(sql).await.unwrap();
    }
    drop(session);
    // The server reads its settings in a moment of its own.
    while encrypted(cluster, "localhost", "scram_role", "ca.crt").connect_wire("test").await.is_err() {}
}

fn encrypted(cluster: &ThrowawayCluster, host: &str, role: &str, authority: &str) -> ConnectionTarget {
    let (port, file) = (cluster.port(), certificate(authority));
    let url = format!("postgres://{role}:pass%20word@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={file}");
    ConnectionTarget::parse(&url).unwrap()
}

#[tokio::test]
async fn every_way_to_prove_oneself_works_with_and_without_tls() {
    let cluster = cluster(15).await;
    with_tls_and_roles(&cluster).await;
    for role in ["scram_role", "md5_role", "clear_role"] {
        let with = |password: &str| {
            ConnectionTarget::local("127.0.0.1", cluster.port(), role, Some(password.into()), "postgres")
        };
        let pinned = encrypted(&cluster, "localhost", role, "ca.crt").pin().await.unwrap();
        for (target, tls) in [(with("pass word"), "f"), (pinned, "t")] {
            let mut session = target.connect_wire("a name").await.unwrap();
            let sql =
                "SELECT s.ssl, a.usename, a.application_name FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid)
                       WHERE pid = pg_backend_pid()";
            let row = session.query_one(sql).await.unwrap();
            assert_eq!([0, 1, 2].map(|column| row.text(column).into_owned()), [tls, role, "a name"]);
        }
        let refused = with("other").connect_wire("test").await.err().unwrap();
        assert!(refused.to_string().contains("28P01") && refused.hint().contains("PGPASSWORD"), "{refused}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_host_or_authority_is_refused() {
    let cluster = cluster(15).await;
    with_tls_and_roles(&cluster).await;
    // The server's own certificate is no authority; and it is not for an address.
    for (host, authority) in [("localhost", "server.crt"), ("127.0.0.1", "ca.crt")] {
        let refused = encrypted(&cluster, host, "scram_role", authority).connect_wire("test").await.err().unwrap();
        assert_eq!(refused.kind(), ErrorKind::Database);
        assert!(refused.to_string().contains("TLS") && refused.hint().contains("sslrootcert"), "{refused}");
    }
    let plain = crate::setting::cluster(15).await;
    let refused = encrypted(&plain, "localhost", "postgres", "ca.crt").connect_wire("test").await.err().unwrap();
    assert!(refused.to_string().contains("server does not support TLS"), "{refused}");
}

#[tokio::test]
async fn a_server_that_only_calls_itself_one_of_rds_is_refused_and_told_apart_from_one_in_a_newer_region() {
    let cluster = cluster(15).await;
    with_tls_and_roles(&cluster).await;
    for (region, hint) in [("eu-central-1", "sslrootcert"), ("il-central-1", "download https://truststore.pki.rds")] {
        let host = format!("orders.abc.{region}.rds.amazonaws.com");
        let url = format!("postgres://scram_role:x@{host}:{}/postgres?hostaddr=127.0.0.1", cluster.port());
        let target = ConnectionTarget::parse(&url).unwrap();
        for refused in [target.connect_wire("test").await.err().unwrap(), target.connect("test").await.err().unwrap()] {
            assert!(refused.to_string().contains("UnknownIssuer") && refused.hint().contains(hint), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn both_clients_have_the_same_settings() {
    let settings = "SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session' AND name <> 'client_encoding' ORDER BY 1";
    for major in MAJORS {
        let cluster = cluster(major).await;
        let target = cluster.target("postgres");
        let mut ours = Vec::new();
        for row in target.connect_wire("test").await.unwrap().query(settings).await.unwrap() {
            ours.push((row.text(0).into_owned(), row.text(1).into_owned()));
        }
        let theirs: Vec<(String, String)> = target
            .connect("test")
            .await
            .unwrap()
            .query(settings, &[])
            .await
            .unwrap()
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        assert_eq!(ours, theirs);
        assert!(ours.len() > 15, "{ours:?}");
    }
}

#[tokio::test]
async fn with_a_database_without_encoding_bytes_go_and_come_as_they_are() {
    let cluster = cluster(15).await;
    let target = create_database(&cluster, "bytes", "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'").await;
    let mut session = target.connect_wire("test").await.unwrap();
    session.execute(b"CREATE TABLE public.\"t\xe4\" AS SELECT 'x\xff' AS \"c\xe4\"").await.unwrap();
    let row = session.query_one(b"SELECT \"c\xe4\" FROM public.\"t\xe4\"").await.unwrap();
    assert_eq!(row.bytes(0), Some(&b"x\xff"[..]));
    let refused = session.execute(b"SELECT 1 FROM public.\"\xe4\"").await.unwrap_err();
    assert!(refused.to_string().contains("42P01"), "{refused}");
    let others = create_database(&cluster, "latin1", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'").await;
    let mut session = others.connect_wire("test").await.unwrap();
    assert_eq!(session.query_one(r"SELECT E'\xe4'").await.unwrap().bytes(0), Some("ä".as_bytes()));
}

#[tokio::test]
async fn a_row_longer_than_any_buffer_comes_in_blocks() {
    let cluster = cluster(15).await;
    let mut session = cluster.target("postgres").connect_wire("test").await.unwrap();
    let sql = "COPY (SELECT 'a' UNION ALL SELECT repeat('0123456789', 3000000)) TO STDOUT";
    let mut copy = session.copy_out(sql).await.unwrap();
    let (mut length, mut newlines) = (0, 0);
    while let Some(block) = copy.next_block().await.unwrap() {
        assert!(block.len() <= 256 << 10);
        length += block.len();
        newlines += block.iter().filter(|b| **b == b'\n').count();
    }
    assert_eq!((length, newlines, copy.rows()), (30_000_003, 2, Some(2)));
    drop(copy);
    session.execute("SELECT 1").await.unwrap();
}

/// Neither leaves a backend behind that goes on sending, nor one that holds its locks.
#[tokio::test]
async fn what_is_dropped_in_the_middle_of_a_copy_is_over_for_the_server() {
    let cluster = cluster(15).await;
    let target = cluster.target("postgres");
    let mut watching = target.connect_wire("watching").await.unwrap();
    let mut session = target.connect_wire("dropped").await.unwrap();
    let mut copy = session.copy_out("COPY (SELECT generate_series(1, 1000000000)) TO STDOUT").await.unwrap();
    copy.next_block().await.unwrap().unwrap();
    drop(copy);
    assert!(session.is_closed());
    let gone = async {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dropped'";
        while watching.query_one(sql).await.unwrap().bytes(0) != Some(b"0") {}
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the server has noticed");
}
