//! What a person is told, and what nobody must be told to do.

use lifeboat_core::maintenance::{
    Facts, IndexFacts, ObjectName, Operation, Remedy, SequenceFacts, Session, Sessions, TableFacts, WaitingSession,
};

use super::{codes, facts, half_bloated, index, name, planned, request, table};

fn dropped(facts: &Facts) -> Vec<String> {
    let plan = planned(facts, &request(&[]));
    let drops = plan.recommendations.iter().filter_map(|r| match &r.remedy {
        Remedy::DropIndex { index, .. } => Some(format!("{} {}", r.code, index.name)),
        _ => None,
    });
    drops.collect()
}

#[test]
fn an_unused_index_is_told_only_if_nothing_but_queries_would_miss_it() {
    let t = table(1, "t");
    let idle = |called: &str, change: fn(&mut IndexFacts)| {
        let mut i = IndexFacts { scans: 0, ..index(u32::try_from(called.len()).unwrap() + 10, called, &t) };
        change(&mut i);
        i
    };
    let all = vec![
        idle("a", |_| {}),
        idle("bb", |i| i.backs_constraint = true),
        idle("ccc", |i| i.unique = true),
        idle("dddd", |i| i.replica_identity = true),
        idle("eeeee", |i| i.clustered = true),
        idle("ffffff", |i| i.attached = true),
        idle("ggggggg", |i| i.of_extension = true),
        idle("hhhhhhhh", |i| i.scans = 1),
        idle("iiiiiiiii", |i| i.bytes = 8192),
    ];
    let facts = facts(vec![t], all);
    assert_eq!(dropped(&facts), ["unused_index a"]);
    // Statistics that are young, or of unknown age, say nothing.
    for since in [Some("2026-11-01T00:00:00Z".parse().unwrap()), None] {
        assert!(dropped(&Facts { statistics_since: since, ..facts.clone() }).is_empty());
    }
    // From 16 on the last use is known.
    let mut used = facts.clone();
    used.indexes.truncate(1);
    (used.indexes[0].scans, used.indexes[0].last_scan) = (5, Some("2026-03-01T00:00:00Z".parse().unwrap()));
    assert_eq!(dropped(&used), ["unused_index a"]);
    used.indexes[0].last_scan = Some("2026-11-19T00:00:00Z".parse().unwrap());
    assert!(dropped(&used).is_empty());
}

#[test]
fn of_two_indexes_that_do_the_same_the_one_that_enforces_something_stays() {
    let t = table(1, "t");
    let same = |oid, called| IndexFacts { signature: "same".to_owned(), ..index(oid, called, &t) };
    let mut key = same(2, "key");
    (key.unique, key.backs_constraint) = (true, true);
    let mut unique = same(3, "unique");
    unique.unique = true;
    let plain = same(4, "plain");
    assert_eq!(
        dropped(&facts(vec![t.clone()], vec![plain.clone(), key, unique.clone()])),
        ["duplicate_index plain", "duplicate_index unique"]
    );
    assert_eq!(dropped(&facts(vec![t.clone()], vec![plain.clone(), unique])), ["duplicate_index plain"]);
    let busier = IndexFacts { scans: 99, ..same(5, "busier") };
    assert_eq!(dropped(&facts(vec![t], vec![plain, busier])), ["duplicate_index plain"]);
}

#[test]
fn bloat_is_told_unless_the_plan_settles_it() {
    let mut t = table(1, "t");
    t.bloat = Some(half_bloated(t.heap_bytes));
    let mut i = index(2, "i", &t);
    i.bloat = Some(half_bloated(i.bytes));
    let facts = facts(vec![t], vec![i]);
    assert_eq!(codes(&planned(&facts, &request(&[]))), ["bloated_table", "bloated_index"]);
    assert_eq!(codes(&planned(&facts, &request(&[Operation::Reindex]))), ["bloated_table"]);
}

#[test]
fn a_sequence_near_its_end_is_told_with_what_ends_it() {
    let sequence = |data_type: &str, column_type: Option<&str>, used_percent| SequenceFacts {
        name: name("s"),
        data_type: data_type.to_owned(),
        last_value: 1,
        end: 2,
        used_percent,
        column: Some((name("t"), "id".to_owned())),
        column_type: column_type.map(str::to_owned),
        identity: false,
    };
    let remedy = |one: SequenceFacts| {
        let facts = Facts { sequences: vec![one], ..facts(vec![], vec![]) };
        planned(&facts, &request(&[])).recommendations.into_iter().map(|r| (r.severity.name(), r.remedy)).next()
    };
    assert_eq!(remedy(sequence("bigint", None, 79)), None);
    let column = Some((name("t"), "id".to_owned()));
    let widen = |sequence_too, column: Option<(ObjectName, String)>| Remedy::Widen {
        sequence: name("s"),
        sequence_too,
        column,
    };
    assert_eq!(remedy(sequence("bigint", Some("integer"), 80)), Some(("warning", widen(false, column.clone()))));
    assert_eq!(remedy(sequence("integer", Some("integer"), 96)), Some(("critical", widen(true, column))));
    assert_eq!(remedy(sequence("integer", None, 96)), Some(("critical", widen(true, None))));
    assert_eq!(remedy(sequence("bigint", None, 96)), Some(("critical", Remedy::RaiseLimit { sequence: name("s") })));
}

fn at(pid: i32, seconds: f64) -> Session {
    let text = |t: &str| t.to_owned();
    Session {
        pid,
        user: text("ann"),
        application: text("app"),
        state: text("active"),
        seconds,
        query: text("SELECT ?"),
    }
}

#[test]
fn of_a_chain_of_waiting_sessions_the_first_cause_is_told_once() {
    let waiting = vec![
        WaitingSession { session: at(2, 60.0), blocked_by: vec![1] },
        WaitingSession { session: at(3, 50.0), blocked_by: vec![2] },
        WaitingSession { session: at(4, 40.0), blocked_by: vec![1, 0] },
    ];
    let sessions = Sessions { waiting, connections: 80, most_connections: 97, ..Sessions::default() };
    let plan = planned(&Facts { sessions, ..facts(vec![], vec![]) }, &request(&[]));
    assert_eq!(codes(&plan), ["blocking_session", "connections_short"]);
    assert_eq!(plan.recommendations[0].remedy, Remedy::EndSession { pid: 1 });
    assert!(plan.recommendations[0].message.contains("2 sessions wait for"), "{}", plan.recommendations[0].message);
}

#[test]
fn an_old_transaction_age_is_told_before_the_server_stops() {
    let mut t = table(1, "t");
    t.transaction_age = 1_600_000_000;
    let facts = Facts { transaction_age: 1_600_000_000, ..facts(vec![t], vec![]) };
    let plan = planned(&facts, &request(&[Operation::Vacuum]));
    let first = &plan.recommendations[0];
    assert_eq!((first.code.as_str(), first.severity.name()), ("transaction_age", "critical"));
    assert_eq!(first.remedy, Remedy::Freeze { table: Some(name("t")) });
    let usual = Facts { transaction_age: 210_000_000, ..facts };
    assert!(!codes(&planned(&usual, &request(&[]))).contains(&"transaction_age"));
}

#[test]
fn neglected_tables_are_told() {
    let neglected = TableFacts { autovacuum: false, identified: false, dead_tuples: 90_000, ..table(1, "t") };
    let facts = Facts { autovacuum: false, sees_all_sessions: false, ..facts(vec![neglected], vec![]) };
    let mut told = codes(&planned(&facts, &request(&[]))).iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    told.sort();
    assert_eq!(told, ["autovacuum_off", "autovacuum_off", "dead_tuples", "limited_view", "no_primary_key"]);
}
