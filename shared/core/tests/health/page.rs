//! The status page: what it shows, that nothing in it is code, and that no run loses what another saw.

use lifeboat_core::{
    ErrorKind,
    events::{HealthFinding, Severity},
    health::{DrillSeen, HealthState, PAGE_KEY, Page, rows, write_page},
    report::Verdict,
    status::LastDrill,
};
use lifeboat_testkit::{Action, Fault, Gate, Operation};

use crate::world::World;

async fn page(world: &World) -> String {
    Page::read(&world.control, world.now()).await.unwrap().to_html().unwrap()
}

/// The state of a database, remembered under another name.
fn remember(world: &World, name: &str, change: impl FnOnce(&mut HealthState)) {
    let mut state = world.remembered();
    state.database = name.parse().unwrap();
    change(&mut state);
    world.control.tamper(&format!("health/{name}.json"), serde_json::to_vec(&state).unwrap());
}

#[tokio::test]
async fn a_page_without_databases_says_what_to_do() {
    let world = World::new().await;
    let html = page(&world).await;
    assert!(html.contains("Health has not looked at any database yet") && html.contains("lifeboat health"));
}

#[tokio::test]
async fn every_database_is_shown_with_its_ladder_objectives_sizes_drills_storage_and_cost() {
    let world = World::new().await;
    world.look().await;
    let html = page(&world).await;
    for part in [
        "The database is well",
        "<h2 id=\"name-orders\">orders</h2>",
        "Ladder of trust",
        "Freshness",
        "met, with 16 h to spare",
        "Stored size of the backups of orders",
        "7 backups from 14 Nov 2026 to 20 Nov 2026",
        "lifeboat drill orders",
        "STANDARD",
        "a month now",
        "Facts about orders",
        "PostgreSQL 15.18 on db.example:5432",
        "not visible from here",
    ] {
        assert!(html.contains(part), "{part} is missing");
    }
    assert_eq!(html.matches("class=\"good-bar\"").count(), 7);
}

#[tokio::test]
async fn recovery_times_are_shown_over_the_drills_against_the_rto_each_had_and_with_the_forecast() {
    let world = World::new().await;
    world.look().await;
    remember(&world, "orders", |state| {
        let seen = |day: u32, seconds: f64| DrillSeen {
            drill: LastDrill {
                drill_id: format!("202611{day:02}T040000Z-aaaa").parse().unwrap(),
                finished_at: format!("2026-11-{day:02}T05:00:00Z").parse().unwrap(),
                verdict: Verdict::Passed,
                origin: None,
                rto_seconds: Some(seconds),
                rto_objective_seconds: Some(600.0),
            },
            backup_id: "20261101T020000Z-aaaa".parse().unwrap(),
            rpo_seconds: None,
            failed_in: None,
            reasons: Vec::new(),
        };
        state.facts.drills = Some(vec![seen(18, 660.0), seen(11, 300.0), seen(4, 240.0)]);
    });
    let html = page(&world).await;
    let told = "3 drills from 4 Nov 2026 to 18 Nov 2026; the longest took 11 min, the newest 11 min, and 1 took longer";
    assert!(html.contains(told), "{html}");
    assert_eq!((html.matches("class=\"bad-bar\"").count(), html.matches("class=\"allowed\"").count()), (1, 3));
    assert!(html.contains("nothing is known: no drill has measured a restore yet"), "the forecast is missing");
    assert!(html.contains("Once the policy has run for long enough: $0.0"), "the bill is missing");
}

#[tokio::test]
async fn what_needs_attention_comes_first_and_says_since_when() {
    let world = World::new().await;
    world.look().await;
    remember(&world, "aaa", |_| {});
    remember(&world, "zzz", |state| {
        state.findings.push(HealthFinding {
            code: "disk_low".to_owned(),
            severity: Severity::Critical,
            message: "4 % of the disk are free".to_owned(),
            remedy: "enlarge it".to_owned(),
        });
        state.since.insert("disk_low".to_owned(), world.now());
    });
    let html = page(&world).await;
    assert!(html.contains("1 of 3 databases needs attention now"));
    let place = |name: &str| html.find(&format!("id=\"db-{name}\"")).unwrap();
    assert!(place("zzz") < place("aaa") && place("aaa") < place("orders"));
    assert!(html.contains("disk_low, since 20 Nov 2026, 12:00 UTC"));
}

#[tokio::test]
async fn nothing_that_a_server_says_becomes_code() {
    let world = World::new().await;
    world.look().await;
    remember(&world, "orders", |state| {
        state.findings.push(HealthFinding {
            code: "long_transaction".to_owned(),
            severity: Severity::Warning,
            message: "<script>alert(1)</script>".to_owned(),
            remedy: "\"><img src=x onerror=alert(1)>".to_owned(),
        });
    });
    let html = page(&world).await;
    assert!(!html.contains("<script>alert") && !html.contains("<img"));
    assert!(html.contains("alert(1)"));
    // Nothing is loaded from elsewhere.
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src=\""));
}

#[tokio::test]
async fn a_database_that_nobody_looks_at_any_more_is_marked() {
    let world = World::new().await;
    world.look().await;
    world.pass(4);
    let html = page(&world).await;
    assert!(html.contains("Health last looked at this database 4 h before this page was made"));
    assert!(html.contains("The database needs attention"));
}

#[tokio::test]
async fn open_incidents_and_alerts_that_did_not_arrive_are_listed() {
    let world = World::new().await;
    world.look().await;
    let incident = serde_json::json!({
        "format_version": 1, "database": "orders",
        "incidents": { "backup": { "state": "open", "severity": "critical", "opened_at": "2026-11-20T02:00:00Z",
            "last_at": "2026-11-20T02:00:00Z", "times": 3, "what": "connect to database: refused" } }
    });
    world.control.tamper("incidents/orders.json", incident.to_string());
    world.control.tamper("undelivered/20261120T020000000000Z-x.json", "{}");
    let html = page(&world).await;
    assert!(html.contains("Open incidents") && html.contains("connect to database: refused"));
    assert!(html.contains("What happened in 1 run could not be told to anybody yet"));
}

#[tokio::test]
async fn a_run_that_writes_late_has_read_what_the_others_saw() {
    let world = World::new().await;
    world.look().await;
    // The first run has made its page, and is about to write it.
    let gate = Gate::new();
    world.control.fault(Fault::on([Operation::Swap], Action::Hold(gate.clone())).key(PAGE_KEY));
    let (control, now) = (world.control.clone(), world.now());
    let late = tokio::spawn(async move { write_page(&control, now).await });
    gate.reached().await;
    // Meanwhile another saw a database of its own, and wrote its page.
    remember(&world, "users", |_| {});
    write_page(&world.control, world.now()).await.unwrap();
    gate.open();
    late.await.unwrap().unwrap();
    let html = String::from_utf8(world.control.body(PAGE_KEY).unwrap().to_vec()).unwrap();
    assert!(html.contains("id=\"db-orders\"") && html.contains("id=\"db-users\""));
}

#[tokio::test]
async fn a_page_that_cannot_be_written_is_an_error_and_the_old_one_stays() {
    let world = World::new().await;
    world.look().await;
    write_page(&world.control, world.now()).await.unwrap();
    let before = world.control.body(PAGE_KEY);
    world.control.fault(Fault::on([Operation::Swap], Action::Reject(ErrorKind::Store)));
    assert_eq!(write_page(&world.control, world.now()).await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(world.control.body(PAGE_KEY), before);
}

#[tokio::test]
async fn the_facts_are_told_in_the_order_in_which_people_ask() {
    let world = World::new().await;
    let state = world.look().await.state;
    let rows = rows(&state);
    assert_eq!(rows[0].0, "newest good backup");
    assert!(rows[0].1.starts_with("10 h old"), "{}", rows[0].1);
    let find = |label: &str| rows.iter().find(|(l, _)| l == label).map(|(_, value)| value.as_str());
    assert_eq!(find("RPO"), Some("1 d 2 h"));
    assert_eq!(find("cache hit ratio"), Some("99.0 %"));
    assert_eq!(find("client tools"), Some("15.18; found: 15.18 in /usr/lib/postgresql/15/bin"));
}
