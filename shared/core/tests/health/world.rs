//! What the tests look at: two stores in memory, a server that answers as it is told, scratch targets that count.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::{HealthConfig, RetentionConfig},
    events::Body,
    health::{self, HealthOutcome, HealthPorts, HealthRequest, HealthState, Wanted, state_key},
    ids::DrillId,
    ports::{
        Certificate, ClientToolVersions, Clock, Counters, LeftScratch, Outbox, Removal, ScratchReaper, ServerFacts,
        Store, Subscriptions, ToolFacts, ToolSet, WatchedServer,
    },
    report::{DrillReport, OriginEvidence, Verdict},
};
use lifeboat_testkit::{BackupBuilder, ManualClock, MemoryStore, context};

/// What the server answers with; an error by its kind.
pub(crate) type Answer = std::result::Result<ServerFacts, ErrorKind>;

pub(crate) struct Server {
    pub(crate) answer: Mutex<Answer>,
    pub(crate) certificate: Mutex<std::result::Result<Option<Certificate>, ErrorKind>>,
}

#[async_trait]
impl WatchedServer for Server {
    async fn observe(&self, our_clock: Timestamp) -> Result<ServerFacts> {
        let mut facts = self.answer.lock().unwrap().clone().map_err(|kind| Error::new(kind, "the server is gone"))?;
        (facts.clock, facts.our_clock) = (our_clock, our_clock);
        Ok(facts)
    }

    async fn certificate(&self) -> Result<Option<Certificate>> {
        self.certificate.lock().unwrap().clone().map_err(|kind| Error::new(kind, "the handshake took too long"))
    }
}

pub(crate) struct Tools;

#[async_trait]
impl ClientToolVersions for Tools {
    async fn tools(&self, server_version_num: Option<u32>) -> ToolFacts {
        let set = ToolSet { version: "15.18".to_owned(), major: 15, folder: "/usr/lib/postgresql/15/bin".to_owned() };
        let chosen = server_version_num.map(|_| set.version.clone());
        ToolFacts { found: vec![set], chosen, trouble: None }
    }
}

#[derive(Default)]
pub(crate) struct Reaper {
    pub(crate) left: Mutex<Vec<LeftScratch>>,
    pub(crate) removed: Mutex<Vec<String>>,
}

#[async_trait]
impl ScratchReaper for Reaper {
    fn describe(&self) -> String {
        "a made-up place".to_owned()
    }

    async fn left(&self) -> Result<Vec<LeftScratch>> {
        Ok(self.left.lock().unwrap().clone())
    }

    async fn remove(&self, left: &LeftScratch) -> Result<()> {
        self.removed.lock().unwrap().push(left.name.clone());
        Ok(())
    }
}

/// An outbox that fails or delivers, and counts how often it was asked.
pub(crate) struct Mail(pub(crate) AtomicU32, pub(crate) bool);

#[async_trait]
impl Outbox for Mail {
    async fn send_again(&self) -> Result<u64> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if self.1 { Ok(3) } else { Err(Error::new(ErrorKind::Store, "the bus is down")) }
    }
}

pub(crate) struct Unconfirmed;

#[async_trait]
impl Subscriptions for Unconfirmed {
    async fn unconfirmed(&self) -> Result<Vec<String>> {
        Ok(vec!["ann@example.com".to_owned()])
    }
}

pub(crate) fn server_facts() -> ServerFacts {
    let at: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    ServerFacts {
        server: "db.example:5432".to_owned(),
        version: "15.18".to_owned(),
        version_num: 150_018,
        clock: at,
        our_clock: at,
        standby: false,
        database_bytes: Some(1 << 30),
        wal_bytes: None,
        temporary_bytes: None,
        disk: None,
        connections: None,
        counters: Some(Counters { at, since: None, transactions: 1000, blocks_hit: 990, blocks_read: 10 }),
        ids: None,
        transactions: Vec::new(),
        prepared: Vec::new(),
        slots: Vec::new(),
        archiver: None,
        standbys: Vec::new(),
        replay: None,
        role: None,
        hidden: Vec::new(),
    }
}

/// A world in which database `orders` is well.
pub(crate) struct World {
    pub(crate) store: MemoryStore,
    pub(crate) control: MemoryStore,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) server: Arc<Server>,
    pub(crate) reaper: Arc<Reaper>,
    pub(crate) request: HealthRequest,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::removing(Removal::Delete).await
    }

    /// With a store that removes backups in this way.
    pub(crate) async fn removing(removal: Removal) -> Self {
        let clock = Arc::new(ManualClock::at("2026-11-20T12:00:00Z"));
        let store = MemoryStore::with_clock(removal, Arc::clone(&clock) as _);
        let control = MemoryStore::with_clock(Removal::Delete, Arc::clone(&clock) as _);
        for day in 14..=20 {
            let at = format!("2026-11-{day}T02:00:00Z");
            BackupBuilder::new("orders", &at).table("users", 1000, b"many").store_verified(&store).await.unwrap();
        }
        let request = HealthRequest {
            database: "orders".parse().unwrap(),
            wanted: Wanted { rpo_seconds: Some(26 * 3600), ..Wanted::default() },
            config: HealthConfig::default(),
            retention: RetentionConfig::default(),
        };
        let server = Arc::new(Server { answer: Mutex::new(Ok(server_facts())), certificate: Mutex::new(Ok(None)) });
        Self { store, control, clock, server, reaper: Arc::default(), request }
    }

    pub(crate) fn ports(&self) -> HealthPorts {
        HealthPorts {
            store: Ok(Arc::new(self.store.clone())),
            probe: Arc::default(),
            control: Ok(Arc::new(self.control.clone())),
            server: Some(Ok(Arc::clone(&self.server) as _)),
            tools: Arc::new(Tools),
            scratch: vec![Ok(Arc::clone(&self.reaper) as _)],
            subscriptions: None,
            outbox: None,
        }
    }

    pub(crate) async fn look_through(&self, ports: &HealthPorts) -> HealthOutcome {
        let context = context().clock(Arc::clone(&self.clock) as _).build();
        health::run(ports, &self.request, &context).await.unwrap()
    }

    pub(crate) async fn look(&self) -> HealthOutcome {
        self.look_through(&self.ports()).await
    }

    pub(crate) fn pass(&self, hours: i64) {
        self.clock.advance(SignedDuration::from_hours(hours));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the control store remembers.
    pub(crate) fn remembered(&self) -> HealthState {
        serde_json::from_slice(&self.control.body(&state_key(&self.request.database)).unwrap()).unwrap()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.server.answer.lock().unwrap() = answer;
    }
}

pub(crate) fn codes(outcome: &HealthOutcome) -> Vec<&str> {
    outcome.state.findings.iter().map(|finding| finding.code.as_str()).collect()
}

/// Events as their name and the codes in them.
pub(crate) fn told(outcome: &HealthOutcome) -> Vec<(&'static str, Vec<String>)> {
    let codes = |event: &Body| match event {
        Body::HealthDegraded(degraded) => degraded.findings.iter().map(|f| f.code.clone()).collect(),
        Body::HealthRecovered(recovered) => recovered.recovered.clone(),
        other => vec![other.name().to_owned()],
    };
    outcome.events.iter().map(|event| (event.name(), codes(event))).collect()
}

/// The report of a drill that ended then.
pub(crate) async fn drilled(store: &MemoryStore, at: &str, verdict: Verdict, origin: Option<&str>) {
    let mut report = DrillReport::open(include_bytes!("../fixtures/format-1/report.json")).unwrap();
    let at: Timestamp = at.parse().unwrap();
    report.drill_id = DrillId::new(at, 7);
    (report.finished_at, report.verdict) = (at, verdict);
    report.origin =
        origin.map(|kind| OriginEvidence { kind: kind.to_owned(), id: "rds:orders".to_owned(), taken_at: None });
    let (bytes, _) = report.seal().unwrap();
    let key = format!("orders/drills/{}/report.json", report.drill_id);
    store.put_new(&key, bytes.into(), &report.run_id).await.unwrap();
}

/// The URL of a store, to tell two apart.
pub(crate) fn url(store: &dyn Store) -> String {
    store.url().to_owned()
}
