//! Credentials that change while a run goes on: every connection and every client tool gets those of its moment.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use lifeboat_core::{ErrorKind, Result};
use lifeboat_postgres::{CredentialSource, Credentials};

use crate::setting::{cluster, run, search};

/// A password that was rotated: the old one is known until somebody asks for a newer.
struct Rotated {
    times: AtomicUsize,
    asked: AtomicUsize,
    newer: &'static str,
}

impl Rotated {
    fn to(newer: &'static str) -> Arc<Self> {
        Arc::new(Self { times: AtomicUsize::new(0), asked: AtomicUsize::new(0), newer })
    }
}

#[async_trait]
impl CredentialSource for Rotated {
    async fn current(&self) -> Result<Credentials> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let known = self.times.load(Ordering::SeqCst) > 0;
        let password = if known { self.newer } else { "outdated" };
        Ok(Credentials { user: "postgres".to_owned(), password: password.into() })
    }

    async fn renewed(&self, _refused: &Credentials) -> Result<Option<Credentials>> {
        self.times.fetch_add(1, Ordering::SeqCst);
        self.current().await.map(Some)
    }

    fn may_be_outdated(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_password_that_was_rotated_is_asked_for_again_by_connections_and_before_client_tools() {
    let cluster = cluster(15).await;
    let source = Rotated::to("correct horse");
    let target = cluster.tcp_target("postgres").with_credentials(source.clone());
    target.connect("test").await.unwrap();
    assert_eq!(source.times.load(Ordering::SeqCst), 1);
    let asked = source.asked.load(Ordering::SeqCst);
    target.connect("test").await.unwrap();
    assert!(source.asked.load(Ordering::SeqCst) > asked, "every connection asks");
    let source_of_wire = Rotated::to("correct horse");
    target.clone().with_credentials(source_of_wire.clone()).connect_wire("test").await.unwrap();
    assert_eq!(source_of_wire.times.load(Ordering::SeqCst), 1);
    assert_eq!(source.times.load(Ordering::SeqCst), 1);

    // psql cannot ask again: it starts with what works.
    let source = Rotated::to("correct horse");
    let target = cluster.tcp_target("postgres").with_credentials(source.clone());
    let environment = target.tool_environment("test").await.unwrap();
    assert_eq!(source.times.load(Ordering::SeqCst), 1);
    let tools = search().find_for(150_000).await.unwrap();
    let mut psql = std::process::Command::new(tools.folder().join("psql"));
    psql.envs(environment).args(["-X", "--no-password", "-c", "SELECT 1"]);
    run(psql);
}

#[tokio::test]
async fn a_password_that_stays_wrong_is_an_error_after_one_more_attempt() {
    let cluster = cluster(15).await;
    let source = Rotated::to("still wrong");
    let target = cluster.tcp_target("postgres").with_credentials(source.clone());
    let errors = [target.connect("test").await.err(), target.connect_wire("test").await.err()];
    for error in errors.map(|error| error.expect("a wrong password is refused")) {
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("28P01"), "{error}");
    }
    assert_eq!(source.times.load(Ordering::SeqCst), 2);
}
