//! Throwaway clusters: they start, let only us in, and leave nothing behind, however their owner ends.

use std::{
    io::{BufRead, BufReader},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lifeboat_core::ErrorKind;
use lifeboat_postgres::{
    ConnectionTarget,
    cluster::{SUPERUSER, ThrowawayCluster},
};

use crate::setting::{MAJORS, cluster, options};

fn closed(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_err()
}

/// Waits for what another process does when it is told to go.
fn soon(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_mins(2);
    while !condition() {
        assert!(Instant::now() < until, "{what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn a_cluster_serves_only_us_and_leaves_nothing_behind() {
    for major in MAJORS {
        let cluster = cluster(major).await;
        let (folder, port) = (cluster.folder().to_owned(), cluster.port());
        for target in [cluster.target("postgres"), cluster.tcp_target("postgres")] {
            let session = target.connect("test").await.unwrap();
            let row =
                session.query_one("SELECT current_setting('server_version_num')::int4 / 10000", &[]).await.unwrap();
            assert_eq!(u32::try_from(row.get::<_, i32>(0)).unwrap(), major);
        }
        for password in [None, Some("wrong".to_owned().into())] {
            let stranger = ConnectionTarget::local("127.0.0.1", port, SUPERUSER, password, "postgres");
            assert_eq!(stranger.connect("test").await.err().unwrap().kind(), ErrorKind::Database);
        }
        let proof = cluster.stop().await.unwrap();
        assert!(proof.contains(&port.to_string()), "{proof}");
        assert!(!folder.exists() && closed(port));
    }
}

#[tokio::test]
async fn a_dropped_cluster_is_gone() {
    let cluster = cluster(15).await;
    let (folder, port) = (cluster.folder().to_owned(), cluster.port());
    drop(cluster);
    assert!(!folder.exists() && closed(port));
}

#[tokio::test]
async fn a_cluster_ends_with_a_process_that_was_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cluster::holds_a_cluster_until_it_is_killed", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (port, folder) = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .find_map(|line| {
            let line = line.unwrap();
            let (port, folder) = line.split_once("cluster at ")?.1.split_once(' ')?;
            Some((port.parse::<u16>().unwrap(), folder.to_owned()))
        })
        .expect("the owner says where its cluster is");
    assert!(!closed(port));
    owner.kill().unwrap();
    owner.wait().unwrap();
    soon("the server should have ended", || closed(port));
    soon("its folder should have gone", || !Path::new(&folder).exists());
}

#[tokio::test]
async fn a_cluster_given_up_while_it_starts_is_gone() {
    let work = tempfile::tempdir().unwrap();
    // As /tmp is: the server's account removes its own folder there.
    std::fs::set_permissions(work.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let mut options = options(15);
    options.work_folder = work.path().to_owned();
    let begun = async {
        while std::fs::read_dir(work.path()).unwrap().flatten().all(|folder| !folder.path().join("log").exists()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        started = ThrowawayCluster::start(&options) => panic!("{started:?} was to be given up"),
        () = begun => {}
    }
    let folder = std::fs::read_dir(work.path()).unwrap().next().unwrap().unwrap().path();
    soon("the folder of a cluster that nobody wants should go", || !folder.exists());
}

#[tokio::test]
#[ignore = "a part of a_cluster_ends_with_a_process_that_was_killed, which starts it"]
async fn holds_a_cluster_until_it_is_killed() {
    let cluster = cluster(15).await;
    println!("\ncluster at {} {}", cluster.port(), cluster.folder().display());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    drop(cluster);
}

#[tokio::test]
async fn settings_that_the_server_refuses_are_told_with_its_reason() {
    let mut options = options(15);
    options.settings.push(("shared_buffers".to_owned(), "no size".to_owned()));
    let error = ThrowawayCluster::start(&options).await.unwrap_err();
    assert!(error.to_string().contains("shared_buffers"), "{error}");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_refused_with_the_next_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(15);
    options.work_folder = folder.path().join("x".repeat(100));
    std::fs::create_dir(&options.work_folder).unwrap();
    let error = ThrowawayCluster::start(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.hint().contains("shorter"), "{}", error.hint());
    assert_eq!(std::fs::read_dir(&options.work_folder).unwrap().count(), 0);
}
