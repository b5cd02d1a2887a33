//! Scratch targets: like their source, with its roles, and gone afterwards.

use jiff::Timestamp;
use lifeboat_core::{
    ErrorKind, Result,
    ids::DrillId,
    manifest::SourceFacts,
    ports::{Classification, Scratch, ScratchProvider, ScratchWish},
};
use lifeboat_postgres::scratch::{LocalScratch, ServerScratch};

use crate::setting::{MAJORS, cluster, fatal, search};

const GLOBALS: &[u8] = br#"
SET default_transaction_read_only = off;
CREATE ROLE postgres;
ALTER ROLE postgres WITH NOSUPERUSER NOLOGIN;
CREATE ROLE lb_owner;
ALTER ROLE lb_owner WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE "lb ""q"" '; role";
ALTER ROLE "lb ""q"" '; role" SET search_path TO '$user', 'public';
\! touch lb_pwned
GRANT lb_owner TO "lb ""q"" '; role" GRANTED BY postgres;
CREATE TABLESPACE fast OWNER postgres LOCATION '/nowhere/at/all';
"#;

fn facts(version: u32, encoding: &str, collate: &str) -> SourceFacts {
    SourceFacts {
        owner: None,
        system_identifier: None,
        database_name: "orders".to_owned(),
        server: "db:5432".to_owned(),
        server_version: version.to_string(),
        server_version_num: version * 10_000,
        client_version: version.to_string(),
        archive_version: "1.14".to_owned(),
        snapshot_at: Timestamp::UNIX_EPOCH,
        snapshot_lsn: None,
        standby: false,
        encoding: encoding.to_owned(),
        collate: collate.to_owned(),
        ctype: collate.to_owned(),
        locale_provider: "libc".to_owned(),
        locale: None,
        lc_monetary: "C".to_owned(),
        extensions: Vec::new(),
        settings: std::collections::BTreeMap::new(),
    }
}

async fn provision(provider: &dyn ScratchProvider, source: SourceFacts, globals: &[u8]) -> Result<Box<dyn Scratch>> {
    let context = lifeboat_testkit::context().build();
    let drill = DrillId::new(context.clock.now(), context.entropy.next());
    let of = "orders".parse()?;
    provider.provision(&ScratchWish { drill: &drill, of: &of, source: &source, globals, raw_bytes: 0 }, &context).await
}

fn local() -> LocalScratch {
    LocalScratch { search: search(), work_folder: std::env::temp_dir(), account: None }
}

#[tokio::test]
async fn a_local_scratch_has_the_sources_version_encoding_and_roles() {
    for major in MAJORS {
        let scratch = provision(&local(), facts(major, "LATIN1", "C"), GLOBALS).await.unwrap();
        assert_eq!(fatal(scratch.messages()), Vec::<&_>::new());
        let left_out = scratch.messages().iter().filter(|m| m.classification == Classification::VersionDifference);
        assert_eq!(left_out.count(), 1, "{:?}", scratch.messages());
        let target = scratch.target();
        let facts = target.facts().await.unwrap();
        assert_eq!((facts.server_version_num / 10_000, facts.encoding.as_str()), (major, "LATIN1"));
        assert!(facts.superuser && facts.contents.is_empty());
        let membership = "SELECT pg_has_role(E'lb \"q\" \\'; role', 'lb_owner', 'member')";
        assert!(target.assert(membership).await.unwrap());
        drop(target);
        let proof = scratch.tear_down().await.unwrap();
        assert!(proof.contains("is closed"), "{proof}");
    }
}

#[tokio::test]
async fn a_locale_that_is_missing_is_replaced_and_told() {
    let scratch = provision(&local(), facts(15, "UTF8", "xx_XX.UTF-8"), b"").await.unwrap();
    let [message] = scratch.messages() else { panic!("{:?}", scratch.messages()) };
    assert_eq!(message.classification, Classification::VersionDifference);
    assert!(message.text.contains("xx_XX.UTF-8"), "{}", message.text);
    assert_eq!(scratch.target().facts().await.unwrap().encoding, "UTF8");
}

#[tokio::test]
async fn a_scratch_database_and_its_roles_are_gone_after_tear_down_or_drop() {
    let cluster = cluster(18).await;
    let session = cluster.target("postgres").connect("test").await.unwrap();
    session.batch_execute("CREATE ROLE lb_owner; CREATE ROLE drills LOGIN CREATEDB CREATEROLE").await.unwrap();
    let left = || async {
        let sql = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'lifeboat%'), \
                   (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lb%')";
        let row = session.query_one(sql, &[]).await.unwrap();
        (row.get::<_, i64>(0), row.get::<_, i64>(1))
    };
    let connection = cluster.target("postgres");
    let server =
        lifeboat_postgres::ConnectionTarget::local(connection.host(), connection.port(), "drills", None, "postgres");
    let provider = ServerScratch { server, search: search(), work_folder: std::env::temp_dir() };
    let scratch = provision(&provider, facts(15, "UTF8", "C"), GLOBALS).await.unwrap();
    assert_eq!(fatal(scratch.messages()), Vec::<&_>::new());
    // The role that was there is not touched, the other is added, without a login.
    assert_eq!(left().await, (1, 2));
    let logins: i64 = session
        .query_one("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'lb%' AND rolcanlogin", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(logins, 0);
    let facts_there = scratch.target().facts().await.unwrap();
    assert!(facts_there.contents.is_empty() && facts_there.database.starts_with("lifeboat_drill_"));
    // Somebody connected to it does not keep it alive.
    let _guest = provider.server.with_database(&facts_there.database).connect("guest").await.unwrap();
    let proof = scratch.tear_down().await.unwrap();
    assert!(proof.contains(&facts_there.database), "{proof}");
    assert_eq!(left().await, (0, 1));
    let scratch = provision(&provider, facts(18, "UTF8", "C"), GLOBALS).await.unwrap();
    assert_eq!(left().await, (1, 2));
    drop(scratch);
    assert_eq!(left().await, (0, 1));
}

/// What DROP DATABASE does not do by itself, with event triggers of the backup that would interfere.
const SUBSCRIBED: &str = r#"
CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
CREATE SUBSCRIPTION "lb ""quoted"" 'one'" CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false);
CREATE SUBSCRIPTION lb_plain CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = NONE);
CREATE EVENT TRIGGER "lb ""refuses""" ON sql_drop EXECUTE FUNCTION public.refuse();
CREATE EVENT TRIGGER lb_refuses_always ON ddl_command_start EXECUTE FUNCTION public.refuse();
ALTER EVENT TRIGGER lb_refuses_always ENABLE ALWAYS;
"#;

#[tokio::test]
async fn a_scratch_database_with_subscriptions_is_gone_after_tear_down_or_drop() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let server = cluster.target("postgres");
        let session = server.connect("test").await.unwrap();
        // Subscriptions elsewhere on the server stay.
        session
            .batch_execute("CREATE SUBSCRIPTION other CONNECTION 'port=1' PUBLICATION p WITH (connect = false)")
            .await
            .unwrap();
        let provider = ServerScratch { server: server.clone(), search: search(), work_folder: std::env::temp_dir() };
        for torn_down in [true, false] {
            let scratch = provision(&provider, facts(major, "UTF8", "C"), b"").await.unwrap();
            let database = scratch.target().facts().await.unwrap().database;
            let inside = server.with_database(&database).connect("test").await.unwrap();
            inside.batch_execute(SUBSCRIBED).await.unwrap();
            if torn_down {
                let proof = scratch.tear_down().await.unwrap();
                assert!(proof.contains(&database), "{proof}");
            } else {
                drop(scratch);
            }
            let sql = "SELECT (SELECT count(*) FROM pg_database WHERE datname LIKE 'lifeboat%'), \
                       (SELECT string_agg(subname, ' ') FROM pg_subscription)";
            let row = session.query_one(sql, &[]).await.unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (0, "other"), "PostgreSQL {major}, {torn_down}");
        }
    }
}

#[tokio::test]
async fn a_scratch_server_older_than_the_backup_is_refused() {
    let cluster = cluster(15).await;
    let provider =
        ServerScratch { server: cluster.target("postgres"), search: search(), work_folder: std::env::temp_dir() };
    let error = provision(&provider, facts(18, "UTF8", "C"), b"").await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Config);
}
