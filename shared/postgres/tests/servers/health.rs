//! Health's questions, with every condition caused on a real server.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    ErrorKind,
    ports::{ClientToolVersions, ScratchReaper, ServerFacts, WatchedServer},
};
use lifeboat_postgres::{
    ConnectionTarget,
    cluster::{ClusterOptions, LeftClusters, ThrowawayCluster},
    health::PgWatched,
    scratch::LeftDatabases,
    tools::ToolSearch,
};

use crate::setting::{MAJORS, cluster, create_database, options, run, search};

pub(crate) async fn observe(target: &ConnectionTarget) -> ServerFacts {
    PgWatched::new(target.clone()).observe(Timestamp::now()).await.unwrap()
}

/// Looks until there is something to be seen; a minute at most.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), looking).await.unwrap_or_else(|_| panic!("still not: {what}"))
}

pub(crate) async fn sql(target: &ConnectionTarget, statement: &str) {
    target.connect("test").await.unwrap().batch_execute(statement).await.unwrap();
}

/// A cluster with these settings beside the usual ones.
pub(crate) async fn cluster_with(major: u32, settings: &[(&str, &str)]) -> ThrowawayCluster {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ThrowawayCluster::start(&ClusterOptions { settings, ..options(major) }).await.unwrap()
}

#[tokio::test]
async fn a_superuser_sees_everything_there_is() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let target = create_database(&cluster, "watched", "").await;
        let facts = observe(&target).await;
        assert_eq!((facts.version.as_str(), facts.version_num / 10_000), (cluster.version(), major));
        assert_eq!(facts.hidden, Vec::new());
        assert!(facts.clock.duration_since(facts.our_clock).abs() < SignedDuration::from_secs(30));
        assert!(facts.database_bytes > Some(1 << 20) && facts.wal_bytes > Some(1 << 20));
        assert_eq!(facts.temporary_bytes, Some(0));
        let connections = facts.connections.unwrap();
        assert!(connections.used >= 1 && connections.most == 50, "{connections:?}");
        assert!(facts.counters.as_ref().unwrap().blocks_hit > 0);
        let ids = facts.ids.unwrap();
        assert!(ids.transaction_ids > 0 && ids.transaction_ids < 1_000_000, "{ids:?}");
        assert!(!facts.standby && facts.archiver.is_none() && facts.slots.is_empty() && facts.standbys.is_empty());
        let role = facts.role.unwrap();
        assert_eq!((role.name.as_str(), role.valid_until, role.sees_all), ("postgres", None, true));
        // The server runs here: its disk is the one of its folder.
        let disk = facts.disk.unwrap();
        assert!(Path::new(&disk.folder).starts_with(cluster.folder()) && disk.free_bytes <= disk.total_bytes);
        assert!(disk.total_bytes > 0);
        // Over TCP on this machine too, because its own file says that it is this server.
        assert_eq!(observe(&cluster.tcp_target("watched")).await.disk.map(|d| d.total_bytes), Some(disk.total_bytes));
        // The counters count.
        let before = facts.counters.unwrap();
        let after = observe(&target).await.counters.unwrap();
        assert!(after.transactions >= before.transactions && after.at > before.at);
    }
}

#[tokio::test]
async fn open_idle_and_prepared_transactions_are_seen() {
    let cluster = cluster_with(15, &[("max_prepared_transactions", "5")]).await;
    let target = create_database(&cluster, "busy", "").await;
    let idle = target.connect("worker").await.unwrap();
    idle.batch_execute("CREATE TABLE public.t (a int); BEGIN; INSERT INTO public.t VALUES (1)").await.unwrap();
    let prepared = target.connect("coordinator").await.unwrap();
    prepared.batch_execute("BEGIN; CREATE TABLE public.u (a int); PREPARE TRANSACTION 'it''s'").await.unwrap();
    let working = target.connect("reporter").await.unwrap();
    let long = working.query("SELECT pg_catalog.pg_sleep(600)", &[]);
    let look = until("the long query is seen", async || {
        let facts = observe(&target).await;
        facts.transactions.iter().any(|t| t.application == "reporter").then_some(facts)
    });
    let facts = tokio::select! {
        facts = look => facts,
        _ = long => panic!("the query has ended"),
    };
    let of = |name: &str| facts.transactions.iter().find(|t| t.application == name).unwrap();
    assert!(of("worker").idle_seconds.is_some() && of("reporter").idle_seconds.is_none());
    assert_eq!((of("worker").database.as_str(), of("worker").role.as_str()), ("busy", "postgres"));
    assert!(of("worker").age_seconds >= of("reporter").age_seconds);
    let [gone] = facts.prepared.as_slice() else { panic!("{:?}", facts.prepared) };
    assert_eq!((gone.gid.as_str(), gone.database.as_str(), gone.owner.as_str()), ("it's", "busy", "postgres"));
    sql(&target, "ROLLBACK PREPARED 'it''s'").await;
    assert_eq!(observe(&target).await.prepared, Vec::new());
}

#[tokio::test]
async fn slots_that_retain_wal_and_an_archiver_that_fails_are_seen() {
    for major in MAJORS {
        let settings = [
            ("wal_level", "logical"),
            ("max_wal_senders", "4"),
            ("archive_mode", "on"),
            ("archive_command", "false"),
            ("max_slot_wal_keep_size", "-1"),
        ];
        let cluster = cluster_with(major, &settings).await;
        let target = create_database(&cluster, "walled", "").await;
        let session = target.connect("test").await.unwrap();
        session
            .batch_execute(
                "SELECT pg_catalog.pg_create_physical_replication_slot('standby', true);
                 SELECT pg_catalog.pg_create_logical_replication_slot('debezium', 'pgoutput')",
            )
            .await
            .unwrap();
        session.batch_execute("CREATE TABLE public.t AS SELECT pg_catalog.generate_series(1, 100000) AS a; SELECT pg_catalog.pg_switch_wal()").await.unwrap();
        let facts = until("archiving has failed", async || {
            let facts = observe(&target).await;
            facts.archiver.as_ref().unwrap().last_failed_at.is_some().then_some(facts)
        })
        .await;
        let archiver = facts.archiver.unwrap();
        assert_eq!(archiver.last_archived_at, None);
        assert_eq!(archiver.last_failed_wal.map(|name| name.len()), Some(24));
        let [debezium, standby] = facts.slots.as_slice() else { panic!("{:?}", facts.slots) };
        assert_eq!((debezium.name.as_str(), debezium.kind.as_str(), debezium.active), ("debezium", "logical", false));
        assert!(debezium.retained_bytes > Some(1 << 20), "{debezium:?}");
        assert_eq!((standby.kind.as_str(), standby.wal_status.as_deref()), ("physical", Some("reserved")));
        assert_eq!(facts.hidden, Vec::new());
    }
}

#[tokio::test]
async fn a_role_that_ends_and_sees_little_is_seen_as_such() {
    let cluster = cluster(15).await;
    let admin = create_database(&cluster, "roles", "").await;
    sql(&admin, "CREATE ROLE brief LOGIN PASSWORD 'x' VALID UNTIL '2030-01-02 03:04:05+00'; CREATE ROLE lasting LOGIN VALID UNTIL 'infinity'; GRANT pg_monitor TO lasting").await;
    let as_role = |name: &str| {
        let host = cluster.folder().join("socket");
        ConnectionTarget::local(&host.to_string_lossy(), cluster.port(), name, None, "roles")
    };
    let facts = observe(&as_role("brief")).await;
    let role = facts.role.unwrap();
    assert_eq!((role.valid_until, role.sees_all), (Some("2030-01-02T03:04:05Z".parse().unwrap()), false));
    let hidden: Vec<&str> = facts.hidden.iter().map(|h| h.what.as_str()).collect();
    for what in ["the size of WAL", "other roles' sessions", "the server's data folder"] {
        assert!(hidden.contains(&what), "{hidden:?}");
    }
    assert!(facts.hidden.iter().all(|h| h.why.contains("pg_monitor")), "{:?}", facts.hidden);
    // What everybody may see is there all the same.
    assert!(facts.ids.is_some() && facts.connections.is_some() && facts.database_bytes.is_some());
    let facts = observe(&as_role("lasting")).await;
    let role = facts.role.unwrap();
    assert_eq!((role.valid_until, role.sees_all), (None, true));
    assert!(facts.wal_bytes.is_some(), "{:?}", facts.hidden);
}

/// Makes a certificate for `localhost` in a folder that the server can read: key, certificate.
fn certificate(folder: &Path, days: i64) {
    let mut command = Command::new("openssl");
    command
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days"])
        .arg(days.to_string())
        .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(folder.join("server.key"))
        .arg("-out")
        .arg(folder.join("server.crt"));
    run(command);
    for name in ["server.key", "server.crt"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        let mut own = Command::new("chown");
        own.arg("postgres").arg(folder.join(name));
        run(own);
    }
}

#[tokio::test]
async fn the_servers_certificate_is_seen_with_its_end_even_where_nobody_trusts_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    certificate(folder.path(), 5);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let cluster = cluster_with(
        15,
        &[("ssl", "on"), ("ssl_key_file", &file("server.key")), ("ssl_cert_file", &file("server.crt"))],
    )
    .await;
    let url =
        |more: &str| format!("postgres://postgres@localhost:{}/postgres?sslmode=verify-full{more}", cluster.port());
    let untrusted = PgWatched::new(ConnectionTarget::parse(&url("")).unwrap());
    let seen = untrusted.certificate().await.unwrap().unwrap();
    assert_eq!(seen.subject, "CN=localhost");
    let left = seen.valid_until.duration_since(Timestamp::now());
    assert!(left > SignedDuration::from_hours(4 * 24) && left <= SignedDuration::from_hours(5 * 24), "{left}");
    // The session itself does not trust it.
    assert_eq!(untrusted.observe(Timestamp::now()).await.unwrap_err().kind(), ErrorKind::Database);
    // A socket has none.
    assert_eq!(PgWatched::new(cluster.target("postgres")).certificate().await.unwrap(), None);
}

#[tokio::test]
async fn a_server_without_tls_or_without_an_answer_is_an_error_that_says_so() {
    let cluster = cluster(15).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=require", cluster.port());
    let error = PgWatched::new(ConnectionTarget::parse(&url).unwrap()).certificate().await.unwrap_err();
    assert!(error.to_string().contains("does not encrypt"), "{error}");
    assert!(error.hint().contains("sslmode=disable"), "{}", error.hint());
    let nobody = PgWatched::new(ConnectionTarget::local("127.0.0.1", 1, "postgres", None, "x"));
    assert_eq!(nobody.observe(Timestamp::now()).await.unwrap_err().kind(), ErrorKind::Database);
}

#[tokio::test]
async fn client_tools_are_told_with_their_versions_and_what_fits() {
    let facts = search().tools(Some(150_018)).await;
    assert!(facts.found.iter().any(|t| t.major == 15) && facts.found.iter().any(|t| t.major == 18), "{facts:?}");
    assert!(facts.chosen.is_some_and(|version| version.starts_with("15.")) && facts.trouble.is_none());
    let too_old = search().tools(Some(990_000)).await;
    assert_eq!(too_old.trouble.unwrap().kind, "client_tool");
    assert!(!too_old.found.is_empty());
    let empty = tempfile::tempdir().unwrap();
    let nothing = ToolSearch { configured: Some(empty.path().to_owned()), ..ToolSearch::default() };
    let facts = nothing.tools(None).await;
    assert!(facts.found.is_empty() && facts.trouble.is_some());
}

#[tokio::test]
async fn scratch_databases_are_known_by_name_and_remark_and_spared_while_in_use() {
    let cluster = cluster(15).await;
    let server = cluster.target("postgres");
    let made = "2026-11-01T02:00:00Z";
    for (name, remark) in [
        (
            "lifeboat_drill_00000000000000aa",
            format!("Scratch database of a Lifeboat drill, made {made}; it may be dropped"),
        ),
        (
            "lifeboat_drill_00000000000000bb",
            format!("Scratch database of a Lifeboat drill, made {made}; it may be dropped"),
        ),
        ("lifeboat_drill_00000000000000cc", "kept by Ann".to_owned()),
        ("lifeboat_drill_mine", format!("Scratch database of a Lifeboat drill, made {made}; it may be dropped")),
    ] {
        create_database(&cluster, name, "").await;
        sql(&server, &format!("COMMENT ON DATABASE {name} IS '{remark}'")).await;
    }
    let busy = cluster.target("lifeboat_drill_00000000000000bb").connect("ann").await.unwrap();
    let reaper = LeftDatabases { server: server.clone() };
    let left = reaper.left().await.unwrap();
    let names: Vec<(&str, bool)> = left.iter().map(|l| (l.name.as_str(), l.in_use.is_some())).collect();
    assert_eq!(names, [("lifeboat_drill_00000000000000aa", false), ("lifeboat_drill_00000000000000bb", true)]);
    assert_eq!(left[0].made_at, made.parse().unwrap());
    reaper.remove(&left[0]).await.unwrap();
    reaper.remove(&left[0]).await.unwrap();
    assert_eq!(reaper.remove(&left[1]).await.unwrap_err().kind(), ErrorKind::Refused);
    drop(busy);
    // The server's process outlives its client by moments.
    until("nobody is connected any more", async || match reaper.remove(&left[1]).await {
        Ok(()) => Some(()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
            None
        }
    })
    .await;
    assert!(reaper.left().await.unwrap().is_empty());
    let still = server.connect("test").await.unwrap();
    let row = still.query_one("SELECT count(*) FROM pg_catalog.pg_database WHERE datname LIKE 'lifeboat_drill%'", &[]);
    assert_eq!(row.await.unwrap().get::<_, i64>(0), 2);
}

#[tokio::test]
async fn clusters_whose_maker_died_are_found_ended_and_removed() {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let options = ClusterOptions { work_folder: folder.path().to_owned(), ..options(15) };
    let cluster = ThrowawayCluster::start(&options).await.unwrap();
    let reaper = LeftClusters { work_folder: folder.path().to_owned() };
    let left = reaper.left().await.unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].in_use.is_some(), "{left:?}");
    assert!(Timestamp::now().duration_since(left[0].made_at) < SignedDuration::from_mins(5));
    assert_eq!(reaper.remove(&left[0]).await.unwrap_err().kind(), ErrorKind::Refused);
    // A folder of somebody else's that only looks like one.
    fs::create_dir(folder.path().join("lifeboat-cluster-mine")).unwrap();
    fs::write(folder.path().join("lifeboat-cluster-mine/settings"), "port = 1\n").unwrap();
    assert_eq!(reaper.left().await.unwrap().len(), 1);
    // The guardian is killed, as by the kernel for want of memory: the server stays.
    let guardian = guardian_of(cluster.folder());
    let mut kill = Command::new("kill");
    kill.args(["-KILL", &guardian.to_string()]);
    run(kill);
    let left = until("nobody guards the cluster", async || {
        let left = reaper.left().await.unwrap();
        left[0].in_use.is_none().then_some(left)
    })
    .await;
    assert!(cluster.target("postgres").connect("test").await.is_ok());
    reaper.remove(&left[0]).await.unwrap();
    assert!(!cluster.folder().exists() && std::net::TcpStream::connect(("127.0.0.1", cluster.port())).is_err());
    assert!(reaper.left().await.unwrap().is_empty());
    assert!(folder.path().join("lifeboat-cluster-mine").exists());
}

/// The process that watches over the cluster in a folder.
fn guardian_of(folder: &Path) -> u32 {
    let found = fs::read_dir("/proc").unwrap().flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let line = String::from_utf8(fs::read(process.path().join("cmdline")).ok()?).ok()?;
        let watches = line.contains("lifeboat-guardian") && line.contains(folder.to_str()?);
        watches.then_some(pid)
    });
    found.unwrap()
}
