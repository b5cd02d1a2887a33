//! Health's questions to a standby and its primary.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use lifeboat_postgres::ConnectionTarget;

use crate::{
    health::{cluster_with, observe, sql, until},
    setting::{create_database, run, search, tool},
};

#[tokio::test]
async fn a_standby_tells_how_far_it_lies_behind_and_its_primary_too() {
    let settings = [("wal_level", "replica"), ("max_wal_senders", "4"), ("hot_standby", "on")];
    let primary = cluster_with(15, &settings).await;
    let target = create_database(&primary, "origin", "").await;
    let copy = tempfile::tempdir().unwrap();
    let data = copy.path().join("data");
    let mut command = tool(15, "pg_basebackup", &primary.tcp_target("postgres")).await;
    command.env("PGDATABASE", "").args(["-D", data.to_str().unwrap(), "-R", "-X", "stream", "-c", "fast"]);
    run(command);
    let standby = Standby::start(copy.path(), &data).await;
    // Replay is held back, so that there is a lag to be seen.
    let on_standby = standby.target("origin");
    let facts = until("the standby streams", async || {
        let facts = observe(&target).await;
        facts.standbys.iter().any(|s| s.state == "streaming").then_some(facts)
    })
    .await;
    assert_eq!(facts.standbys.len(), 1);
    let seen = observe(&on_standby).await;
    assert!(seen.standby && seen.replay.as_ref().is_some_and(|r| r.receiving), "{:?}", seen.replay);
    assert!(seen.ids.is_some() && seen.hidden.is_empty(), "{:?}", seen.hidden);
    sql(&on_standby, "SELECT pg_catalog.pg_wal_replay_pause()").await;
    sql(&target, "CREATE TABLE public.t AS SELECT pg_catalog.generate_series(1, 10000) AS a").await;
    until("both see the lag", async || {
        let (behind, facts) = (observe(&on_standby).await, observe(&target).await);
        let seen = behind.replay.as_ref().is_some_and(|r| r.delay_seconds > 0.0);
        (seen && facts.standbys.first()?.lag_bytes > Some(0)).then_some(())
    })
    .await;
    // Cut off from its primary it says so, and counts from what it knows.
    drop(primary);
    let alone =
        until("the standby is cut off", async || observe(&on_standby).await.replay.filter(|replay| !replay.receiving))
            .await;
    assert!(alone.delay_seconds > 0.0);
}

/// A second server beside a throwaway cluster, made of its copy.
struct Standby {
    data: String,
    bin: std::path::PathBuf,
    socket: String,
    port: u16,
}

impl Standby {
    async fn start(folder: &Path, data: &Path) -> Self {
        let bin = search().find_for(150_000).await.unwrap().folder().to_owned();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let socket = folder.join("socket");
        fs::create_dir(&socket).unwrap();
        let settings =
            format!("\nport = {port}\nunix_socket_directories = '{}'\narchive_mode = off\n", socket.display());
        let file = data.join("postgresql.conf");
        fs::write(&file, fs::read_to_string(&file).unwrap() + &settings).unwrap();
        // PostgreSQL refuses to run as root.
        let mut own = Command::new("chown");
        own.args(["-R", "postgres"]).arg(folder);
        run(own);
        let standby = Self { data: data.display().to_string(), bin, socket: socket.display().to_string(), port };
        let mut start = standby.pg_ctl();
        start.args(["-w", "-l"]).arg(folder.join("log")).arg("start");
        start.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(start.status().unwrap().success(), "{}", fs::read_to_string(folder.join("log")).unwrap_or_default());
        standby
    }

    fn pg_ctl(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]);
        command.arg(self.bin.join("pg_ctl")).args(["-D", &self.data]).current_dir("/").env("LC_ALL", "C");
        command
    }

    fn target(&self, database: &str) -> ConnectionTarget {
        ConnectionTarget::local(&self.socket, self.port, "postgres", None, database)
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let mut stop = self.pg_ctl();
        let _ = stop.args(["-m", "immediate", "stop"]).stdout(std::process::Stdio::null()).status();
    }
}
