//! A source that cannot be dumped: each reason with its own code and remedy, and nothing is listed afterwards.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest, cluster::programs};

use super::failing::{Failure, fails};
use crate::shared::{call, eighteen, fifteen, tools_of_fifteen, with_tools};

/// The longest that anybody waits for a server that does not answer: both forms of output, connecting and probing.
const PATIENCE: Duration = Duration::from_secs(30);

fn nothing_is_listed(store: &StoreUnderTest) -> Result<()> {
    if !store.path().is_some_and(|folder| folder.exists()) {
        // The source is looked at before the store's folder is made.
        store.lifeboat(["list"]).run()?.expect(6)?;
        return Ok(());
    }
    let listed = store.lifeboat(["list"]).json()?;
    ensure!(listed["backups"] == serde_json::json!([]), "{listed:#}");
    ensure!(listed["unfinished"] == serde_json::json!([]), "{listed:#}");
    Ok(())
}

/// A dump from a URL, which may hold a password: it goes by environment.
fn dump_from(store: &StoreUnderTest, url: &str) -> Result<Lifeboat> {
    Ok(with_tools(store.lifeboat(["dump"]).database(url), &tools_of_fifteen()?))
}

/// A database with a table that has row security, and a role that logs in with the password `hunter2`.
fn with_role(database: &str, role: &str, grant: &str) -> Result<String> {
    let cluster = fifteen()?;
    cluster.create_database(database)?;
    cluster.sql(
        database,
        &format!(
            "CREATE TABLE payroll (id integer PRIMARY KEY, salary integer);
             INSERT INTO payroll VALUES (1, 1000), (2, 2000);
             ALTER TABLE payroll ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON payroll USING (id = 1);
             CREATE ROLE {role} LOGIN PASSWORD 'hunter2'; {grant}"
        ),
    )?;
    Ok(format!("postgres://{role}:hunter2@127.0.0.1:{}/{database}", cluster.port()))
}

#[test]
fn a_role_that_row_security_would_filter() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let url = with_role("filtered", "filtered_role", "GRANT pg_read_all_data TO filtered_role")?;
    fails(
        || dump_from(&store, &url),
        &Failure {
            code: 4,
            kind: "database",
            says: &["row security would hide rows", "public.payroll"],
            hint: &["BYPASSRLS"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn a_role_that_may_not_read() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let url = with_role("unreadable", "blind_role", "")?;
    fails(
        || dump_from(&store, &url),
        &Failure {
            code: 4,
            kind: "database",
            says: &["may not read", "public.payroll"],
            hint: &["GRANT pg_read_all_data"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn all_that_forbids_a_dump_is_told_at_once() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let url =
        with_role("twofold", "twofold_role", "GRANT SELECT ON payroll TO twofold_role; CREATE TABLE closed (i int)")?;
    fails(
        || dump_from(&store, &url),
        &Failure {
            code: 4,
            kind: "database",
            says: &["row security would hide rows", "public.payroll", "may not read", "public.closed"],
            hint: &["BYPASSRLS", "GRANT pg_read_all_data"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn client_tools_newer_than_who_must_read_the_backup() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::folder()?, fifteen()?);
    let newer = programs(18)?;
    let dump = || {
        let call = store.lifeboat(["dump"]).database(&cluster.url("postgres"));
        Ok(with_tools(call, &newer).env("LIFEBOAT_RESTORER", "15"))
    };
    fails(
        dump,
        &Failure {
            code: 3,
            kind: "client_tool",
            says: &["restorer = 15", "client found for PostgreSQL 15 is 18."],
            hint: &["install the PostgreSQL client 15", "raise restorer"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn client_tools_older_than_the_server() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::folder()?, eighteen()?);
    let older = tools_of_fifteen()?;
    fails(
        || Ok(with_tools(store.lifeboat(["dump"]).database(&cluster.url("postgres")), &older)),
        &Failure {
            code: 3,
            kind: "client_tool",
            says: &["PostgreSQL 18 or newer is needed", "found only 15."],
            hint: &["postgresql-client-18", "client_tools"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn no_client_tools_at_all() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::folder()?, eighteen()?);
    let empty = tempfile::tempdir()?;
    fails(
        || Ok(with_tools(store.lifeboat(["dump"]).database(&cluster.url("postgres")), empty.path())),
        &Failure {
            code: 3,
            kind: "client_tool",
            says: &["pg_dump", "not found in", &empty.path().display().to_string()],
            hint: &["postgresql-client-18", "client_tools"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn a_wrong_password() -> Result<()> {
    let (store, port) = (StoreUnderTest::folder()?, fifteen()?.port());
    fails(
        || dump_from(&store, &format!("postgres://postgres:hunter2@127.0.0.1:{port}/postgres")),
        &Failure {
            code: 4,
            kind: "database",
            says: &["connect to database 'postgres'", "as 'postgres'", "password authentication failed"],
            hint: &["PGPASSWORD"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn a_role_that_may_not_connect_or_not_often_enough() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    let url = with_role("closed", "shut_out_role", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC")?;
    fails(
        || dump_from(&store, &url),
        &Failure {
            code: 4,
            kind: "database",
            says: &["connect to database 'closed'", "as 'shut_out_role'", "permission denied"],
            hint: &["GRANT CONNECT"],
        },
    )?;
    let grant = "GRANT pg_read_all_data TO lonely_role; ALTER ROLE lonely_role BYPASSRLS CONNECTION LIMIT 1";
    let url = with_role("crowded", "lonely_role", grant)?;
    fails(
        || dump_from(&store, &url),
        &Failure {
            code: 4,
            kind: "database",
            says: &["too many connections for role \"lonely_role\""],
            hint: &["CONNECTION LIMIT", "max_connections", "--jobs"],
        },
    )?;
    nothing_is_listed(&store)
}

#[test]
fn a_database_that_does_not_exist() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fails(
        || call(&store, "no_such_database", &["dump"]),
        &Failure {
            code: 4,
            kind: "database",
            says: &["\"no_such_database\" does not exist"],
            hint: &["check the database's name"],
        },
    )
}

#[test]
fn a_closed_port() -> Result<()> {
    let (store, begun) = (StoreUnderTest::folder()?, Instant::now());
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    fails(
        || dump_from(&store, &format!("postgres://postgres:hunter2@{address}/orders")),
        &Failure {
            code: 4,
            kind: "database",
            says: &[&format!("connect to {address}"), "refused"],
            hint: &["host and port", "firewall"],
        },
    )?;
    ensure!(begun.elapsed() < PATIENCE);
    nothing_is_listed(&store)
}

#[test]
fn a_host_without_a_name() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fails(
        || dump_from(&store, "postgres://postgres:hunter2@lifeboat.invalid/orders?sslmode=disable"),
        &Failure { code: 4, kind: "database", says: &["resolve lifeboat.invalid"], hint: &["the host's name", "DNS"] },
    )
}

/// A listener whose queue is full: the kernel drops what would connect, as a firewall does.
fn unreachable() -> Result<(tokio::net::TcpListener, Vec<TcpStream>, SocketAddr)> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let listener = socket.listen(1)?;
    let address = listener.local_addr()?;
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        waiting.push(stream);
        ensure!(waiting.len() < 100, "the queue does not fill");
    }
    Ok((listener, waiting, address))
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_given_up_soon() -> Result<()> {
    let (store, begun) = (StoreUnderTest::folder()?, Instant::now());
    let (_listener, _waiting, address) = unreachable()?;
    fails(
        || dump_from(&store, &format!("postgres://postgres:hunter2@{address}/orders?connect_timeout=2")),
        &Failure {
            code: 4,
            kind: "database",
            says: &[&format!("connect to {address}"), "no answer within 2 s"],
            hint: &["host and port", "firewall"],
        },
    )?;
    ensure!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    nothing_is_listed(&store)
}

#[test]
fn a_server_that_says_nothing_is_given_up_soon() -> Result<()> {
    let (store, begun) = (StoreUnderTest::folder()?, Instant::now());
    // Connections are accepted by the kernel, and nobody ever answers.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    fails(
        || dump_from(&store, &format!("postgres://postgres:hunter2@{address}/orders?connect_timeout=2")),
        &Failure { code: 4, kind: "database", says: &["connect to", &address.to_string()], hint: &["check"] },
    )?;
    ensure!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    nothing_is_listed(&store)
}
