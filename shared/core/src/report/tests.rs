//! What a report must say, must not let through, and must not lose.

use super::*;
use crate::{
    ErrorKind,
    manifest::{ObjectRecord, Omitted, Tier},
    ports::{Classification, Inventory, InventoryItem, ToolMessage},
};

mod failed_in;

const HOSTILE: &str = "<script>alert('x')</script>\n| `a` |";

fn at(second: i64) -> jiff::Timestamp {
    "2026-11-01T04:00:00Z".parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_secs(second)
}

fn phase(name: &str, from: i64, seconds: i32, counts_for_rto: bool, note: Option<&str>) -> PhaseTiming {
    PhaseTiming {
        phase: name.to_owned(),
        outcome: PhaseOutcome::Done,
        started_at: Some(at(from)),
        ended_at: Some(at(from + i64::from(seconds))),
        seconds: f64::from(seconds) + 0.35,
        counts_for_rto,
        note: note.map(str::to_owned),
    }
}

fn inventory(trigger: &str) -> Inventory {
    let mut items = Vec::new();
    for (kind, name, state) in [
        ("constraint", "public.orders orders_customer_fkey", "validated"),
        ("constraint", "public.orders orders_total_check", "validated"),
        ("extension", "pg_trgm", "1.6"),
        ("index", "public.orders_pkey", "valid"),
        ("index", "public.orders_placed_at_idx", "valid"),
        ("sequence", "public.orders_id_seq", "184213,true"),
        ("trigger", "public.orders orders_audit", trigger),
    ] {
        items.push(InventoryItem { kind: kind.to_owned(), name: name.to_owned(), state: state.to_owned() });
    }
    Inventory { items }
}

#[allow(clippy::too_many_lines, reason = "one whole report, field by field")]
fn passing() -> DrillReport {
    let hash = |n: u8| format!("{n:02x}").repeat(32);
    let tables: Vec<_> = [
        ("public.order_items", 612_044_u64),
        ("public.orders", 184_213),
        ("public.customers", 40_310),
        ("audit.events", 1_204_889),
        ("public.products", 1_250),
        ("public.coupons", 0),
    ]
    .into_iter()
    .zip(1_u8..)
    .map(|((table, rows), n)| {
        let sum = format!("{:02x}", n.wrapping_mul(37)).repeat(16);
        TableEvidence::compared(table, (rows, sum.clone()), (rows, sum))
    })
    .collect();
    let message = |classification, text: &str, entry: Option<&str>| ToolMessage {
        classification,
        text: text.to_owned(),
        entry: entry.map(str::to_owned),
    };
    let control = |kind: &str, object: &str, damage: &str, words: &str| NegativeControl {
        object_kind: kind.to_owned(),
        object: object.to_owned(),
        damage: damage.to_owned(),
        rejected: true,
        words: words.to_owned(),
    };
    let mut report = DrillReport {
        format_version: REPORT_FORMAT_VERSION,
        drill_id: "20261101T040000Z-q7xk".parse().unwrap(),
        run_id: "k3m9v2p7a5ws".parse().unwrap(),
        database: "orders".parse().unwrap(),
        started_at: at(0),
        finished_at: at(92),
        verdict: Verdict::Failed,
        reasons: Vec::new(),
        identity: Identity {
            policy_version: Fact::unknown("the configuration names none"),
            controls: ["SOC 2 A1.3", "ISO 27001 A.8.13", "NIST SP 800-53 CP-9(1)"].map(str::to_owned).to_vec(),
            trigger: "schedule".to_owned(),
            scenario: "loss of the whole database".to_owned(),
            selection: "rotate".to_owned(),
            operator: Fact::known("lifeboat drill on backup-host-1"),
            reviewer: Fact::by_hand(),
        },
        scope: Scope {
            criticality: Fact::unknown("the configuration names none"),
            in_scope: vec!["all tables, large objects and catalog objects of the backup".to_owned()],
            out_of_scope: vec![OutOfScope {
                what: "role passwords".to_owned(),
                reason: "they are not in the backup".to_owned(),
            }],
        },
        backup: BackupEvidence {
            backup_id: "20261101T020000Z-b4ce".parse().unwrap(),
            location: "s3://acme-lifeboat/pg/orders/20261101T020000Z-b4ce/".to_owned(),
            tier: Tier::Monthly,
            database_name: "shop_orders".to_owned(),
            source_server: "orders.cluster.example.com:5432".to_owned(),
            snapshot_at: at(-7190),
            snapshot_lsn: Fact::known("4A/91C0F2D8"),
            manifest_sha256: hash(0xd1),
            compression: "zstd:1".to_owned(),
            tables: 6,
            rows: 2_042_706,
            object_count: 11,
            stored_bytes: 128_402_113,
            objects: (1..=4)
                .map(|n| ObjectRecord {
                    key: format!("archive/34{n:02}.dat.zst"),
                    size: 31_000_000 + u64::from(n),
                    sha256: hash(n),
                    version_id: None,
                })
                .collect(),
            omitted: vec![Omitted {
                kind: "role passwords".to_owned(),
                object: "all".to_owned(),
                reason: "roles are saved without them".to_owned(),
            }],
            storage_class: Fact::known("STANDARD"),
            region: Fact::unknown("this store does not tell"),
            account: Fact::unknown("this store does not tell"),
            locked_until: Fact::unknown("this store does not tell"),
        },
        crypto: CryptoEvidence { encryption: None, decrypted: Fact::unknown("the backup is not encrypted") },
        environment: Environment {
            lifeboat_version: "0.1.0".to_owned(),
            backup_lifeboat_version: "0.1.0".to_owned(),
            source_server_version: "16.14".to_owned(),
            pg_dump_version: "16.14".to_owned(),
            pg_restore_version: Fact::known("16.14"),
            target_server_version: Fact::known("16.14"),
            target: "throwaway cluster on this machine".to_owned(),
            target_id: Fact::known("lifeboat-drill-q7xk"),
            target_class: Fact::unknown("a local cluster has no instance class"),
            target_network: Fact::known("Unix socket only: nothing else can reach it"),
        },
        phases: vec![
            phase("select", 0, 0, false, None),
            PhaseTiming::skipped("thaw", "the backup is in STANDARD"),
            phase("provision", 1, 6, true, None),
            phase("restore", 7, 48, true, Some("download streamed within; ANALYZE took 3.1 s")),
            phase("compare", 55, 21, false, None),
            phase("checks", 76, 1, false, None),
            phase("negative control", 78, 9, false, None),
            phase("tear-down", 88, 3, false, None),
        ],
        rto: Objective::new(Fact::known(180.0), Fact::known(54.7)),
        rpo: Objective::new(Fact::known(93_600.0), Fact::known(7190.0)),
        data: DataEvidence::new(tables, LargeObjectEvidence { expected: 14, compared: 14, differing: Vec::new() }),
        schema: SchemaEvidence::compare(&inventory("enabled=O"), &inventory("enabled=O")),
        proof: Proof {
            checks: vec![CheckResult {
                name: "orders of the last day exist".to_owned(),
                sql: "SELECT count(*) > 0 FROM orders WHERE placed_at > now() - interval '2 days'".to_owned(),
                passed: true,
                error: None,
            }],
            tools: vec![
                ToolRun { step: "pg_restore pre-data".to_owned(), exit_code: Fact::known(0), messages: Vec::new() },
                ToolRun {
                    step: "pg_restore post-data".to_owned(),
                    exit_code: Fact::known(1),
                    messages: vec![message(
                        Classification::Ownership,
                        "could not execute query: ERROR: must be member of role \"reporting\"",
                        Some("3412; 1259 16402 INDEX orders_placed_at_idx"),
                    )],
                },
            ],
            negative_controls: vec![
                control(
                    "table data",
                    "archive/3402.dat.zst",
                    "bit 3 of byte 15,500,001 flipped",
                    "archive/3402.dat.zst is damaged: its SHA-256 is not the manifest's",
                ),
                control(
                    "table data",
                    "archive/3403.dat.zst",
                    "last 4,096 bytes cut off",
                    "it has 30,995,907 of 31,000,003 bytes",
                ),
                control(
                    "table of contents",
                    "archive/toc.dat",
                    "bit 0 of byte 97 flipped",
                    "its SHA-256 is not the manifest's",
                ),
            ],
        },
        closure: Closure {
            torn_down: true,
            tear_down_proof: Fact::known("server stopped, data folder gone"),
            cost: Fact::known(Cost {
                amount: 0.0,
                currency: "USD".to_owned(),
                basis: "local scratch target".to_owned(),
            }),
            deviations: Vec::new(),
            ticket: Fact::by_hand(),
            owner: Fact::by_hand(),
            due_date: Fact::by_hand(),
            retest: Fact::unknown("only after a finding"),
        },
        integrity: Integrity {
            previous_report: Fact::known(PreviousReport {
                drill_id: "20261004T040000Z-m2ra".parse().unwrap(),
                report_sha256: hash(0xa7),
            }),
            kept_until: Fact::unknown("the store keeps reports without an end"),
        },
        origin: None,
        tiers: Vec::new(),
        report_sha256: String::new(),
    };
    report.judge();
    report.seal().unwrap();
    report
}

fn failing() -> DrillReport {
    let mut report = passing();
    report.data.tables[1] =
        TableEvidence::compared("public.orders", (184_213, "4a".repeat(16)), (184_200, "5b".repeat(16)));
    report.data.tables[2] = TableEvidence::skipped(HOSTILE, (40_310, "6f".repeat(16)), "its restore failed");
    report.data = DataEvidence::new(report.data.tables, report.data.large_objects);
    report.schema = SchemaEvidence::compare(&inventory("enabled=O"), &inventory("enabled=D"));
    report.schema.sequences_behind.push(SequenceBehind {
        accepted: None,
        sequence: "public.orders_id_seq".to_owned(),
        last_value: 1,
        largest_value: 184_213,
    });
    report.rto = Objective::new(Fact::known(40.0), Fact::known(54.7));
    report.proof.negative_controls[1].rejected = false;
    report.proof.checks[0].name = HOSTILE.to_owned();
    report.proof.tools[1].messages.push(ToolMessage {
        classification: Classification::Data,
        text: HOSTILE.to_owned(),
        entry: Some(HOSTILE.to_owned()),
    });
    report.judge();
    report.seal().unwrap();
    report
}

#[test]
fn a_drill_in_which_all_is_equal_passes() {
    let report = passing();
    assert_eq!((report.verdict, report.reasons.as_slice()), (Verdict::Passed, [].as_slice()));
}

#[test]
fn every_kind_of_finding_keeps_a_drill_from_passing() {
    type Spoil = fn(&mut DrillReport);
    let spoils: [(&str, Spoil); 15] = [
        ("rows", |r| r.data.tables[0].outcome = TableOutcome::RowsDiffer),
        ("content", |r| r.data.tables[0].outcome = TableOutcome::ContentDiffers),
        ("skipped table", |r| r.data.tables[0].outcome = TableOutcome::Skipped),
        ("table left out", |r| r.data = DataEvidence::new(r.data.tables[1..].to_vec(), LargeObjectEvidence::default())),
        ("large object", |r| r.data.large_objects.differing.push(7)),
        ("large objects not compared", |r| r.data.large_objects.compared = 1),
        ("inventory", |r| r.schema = SchemaEvidence::compare(&inventory("a"), &inventory("b"))),
        ("schema not compared", |r| r.schema.compared = false),
        ("orphans", |r| r.schema.orphans.push(OrphanedRows { foreign_key: "f".to_owned(), rows: 1 })),
        ("invalid index", |r| r.schema.invalid_indexes.push("shop.i".to_owned())),
        ("check", |r| r.proof.checks[0].passed = false),
        ("fatal message", |r| r.proof.tools[1].messages[0].classification = Classification::Unknown),
        ("no negative control", |r| r.proof.negative_controls.clear()),
        ("damage not noticed", |r| r.proof.negative_controls[0].rejected = false),
        ("scratch target left behind", |r| r.closure.torn_down = false),
    ];
    for (what, spoil) in spoils {
        let mut report = passing();
        spoil(&mut report);
        report.judge();
        assert_eq!(report.verdict, Verdict::Failed, "{what}");
        assert!(!report.reasons.is_empty(), "{what}");
    }
}

#[test]
fn a_missed_objective_alone_is_its_own_verdict() {
    let mut report = passing();
    report.rpo = Objective::new(Fact::known(3600.0), Fact::known(7200.0));
    report.judge();
    assert_eq!(report.verdict, Verdict::ObjectiveMissed);
    assert_eq!(report.reasons, ["RPO missed: 2 h against 1 h"]);
}

#[test]
fn an_accepted_difference_is_no_finding() {
    let mut report = passing();
    report.schema = SchemaEvidence::compare(&inventory("a"), &inventory("b"));
    report.schema.differences[0].accepted = Some("newer major version".to_owned());
    report.judge();
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.reasons);
}

#[test]
fn a_sealed_report_opens_again_and_damage_is_found() {
    let mut report = failing();
    let (bytes, _) = report.seal().unwrap();
    assert_eq!(DrillReport::open(&bytes).unwrap(), report);
    let mut damaged = bytes;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    assert_eq!(DrillReport::open(&damaged).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn what_is_not_known_is_null_with_a_reason() {
    let json = serde_json::to_value(passing()).unwrap();
    assert_eq!(json["backup"]["region"], serde_json::json!({"value": null, "reason": "this store does not tell"}));
    assert_eq!(json["closure"]["ticket"]["value"], serde_json::Value::Null);
}

#[test]
fn the_page_says_what_failed_and_loads_nothing() {
    let page = to_html(&failing()).unwrap();
    for words in
        ["Failed", "rows differ", "184,200", "not noticed", "missed by 14.7 s", "its restore failed", "enabled=D"]
    {
        assert!(page.contains(words), "{words}");
    }
    for outside in ["src=", "href=", "url(", "@import", "<script", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn names_never_become_markup() {
    let page = to_html(&failing()).unwrap();
    assert!(page.contains("&#60;script&#62;alert(&#39;x&#39;)"));
    let markdown = to_markdown(&failing()).unwrap();
    assert!(!markdown.contains("<script") && markdown.contains("&lt;script&gt;"));
    assert!(!markdown.contains("\n| \\`a"), "a line break in a name began a table row");
}

#[test]
fn of_many_tables_those_that_differ_come_first_and_the_rest_is_folded() {
    let mut report = passing();
    let mut tables: Vec<_> = (0..500)
        .map(|n| TableEvidence::compared(format!("public.equal_{n}"), (n, "0".repeat(32)), (n, "0".repeat(32))))
        .collect();
    tables.push(TableEvidence::compared("public.differs", (2, "0".repeat(32)), (1, "0".repeat(32))));
    report.data = DataEvidence::new(tables, LargeObjectEvidence::default());
    let page = to_html(&report).unwrap();
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} is missing"));
    assert!(place("public.differs") < place("500 tables that are equal"));
    assert!(place("500 tables that are equal") < place("public.equal_499"));
    assert!(to_markdown(&report).unwrap().contains("500 more, in report.json"));
}

#[test]
fn a_drill_that_broke_off_early_still_has_a_report() {
    let mut report = passing();
    report.data = DataEvidence::default();
    report.schema = SchemaEvidence::default();
    report.proof = Proof { checks: Vec::new(), tools: Vec::new(), negative_controls: Vec::new() };
    report.phases.truncate(2);
    report.rto = Objective::new(Fact::known(60.0), Fact::unknown("the restore did not end"));
    report.reasons = vec!["restore: connection lost".to_owned()];
    report.judge();
    assert_eq!((report.verdict, report.reasons[0].as_str()), (Verdict::Failed, "restore: connection lost"));
    let page = to_html(&report).unwrap();
    assert!(page.contains("not measured") && page.contains("There was no negative control"));
    assert!(!to_markdown(&report).unwrap().is_empty());
}
