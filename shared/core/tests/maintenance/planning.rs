//! What is done, in which order, and what is left out.

use lifeboat_core::{
    ErrorKind,
    maintenance::{Action, Facts, IndexCleanup, Operation, Remedy, TableFacts, TableKind, plan},
};
use proptest::prelude::*;

use super::{NOW, facts, half_bloated, index, named, planned, request, steps, table};

const EVERYDAY: [Operation; 3] = [Operation::Vacuum, Operation::Analyze, Operation::Reindex];

fn dead(oid: u32, called: &str, dead_tuples: u64) -> TableFacts {
    TableFacts { dead_tuples, ..table(oid, called) }
}

#[test]
fn what_needs_nothing_is_left_alone() {
    let calm = table(1, "calm");
    let facts = facts(vec![calm.clone()], vec![index(2, "calm_i", &calm)]);
    let plan = planned(&facts, &request(&EVERYDAY));
    assert_eq!((steps(&plan).len(), plan.left_out.len(), plan.recommendations.len()), (0, 0, 0), "{plan:#?}");
}

#[test]
fn thresholds_decide_and_the_worst_comes_first() {
    let few = dead(1, "few", 900);
    let little = dead(2, "little", 5_000);
    let worse = dead(3, "worse", 50_000);
    let oldest = TableFacts { transaction_age: 160_000_000, ..table(4, "old") };
    let grown = TableFacts { inserted_since_vacuum: 60_000, ..table(5, "grown") };
    let changed = TableFacts { changed_since_analyze: 20_000, ..table(6, "changed") };
    let new = TableFacts { last_analyze: None, ..table(7, "new") };
    let facts = facts(vec![few, little, worse, oldest, grown, changed, new], vec![]);
    let plan = planned(&facts, &request(&EVERYDAY));
    assert_eq!(
        steps(&plan),
        ["vacuum shop.old", "vacuum shop.worse", "vacuum shop.grown", "analyze shop.changed", "analyze shop.new"]
    );
    assert_eq!(plan.steps[1].reason, "50,000 dead tuples (33 %)");
    let vacuum_only = planned(&facts, &request(&[Operation::Vacuum]));
    assert_eq!(vacuum_only.steps.len(), 3);
}

#[test]
fn pages_are_given_back_only_where_nobody_could_notice() {
    let truncates = |facts: &Facts| {
        let plan = planned(facts, &request(&[Operation::Vacuum]));
        matches!(plan.steps[0].action, Action::Vacuum { truncate: true, .. })
    };
    let idle = facts(vec![dead(1, "t", 50_000)], vec![]);
    assert!(truncates(&idle));
    assert!(!truncates(&facts(vec![TableFacts { in_use: 1, ..dead(1, "t", 50_000) }], vec![])));
    assert!(!truncates(&Facts { standbys: 1, ..idle }));
}

#[test]
fn freezing_that_is_urgent_leaves_indexes_aside() {
    let urgent = TableFacts { transaction_age: 1_200_000_000, ..table(1, "t") };
    let plan = planned(&facts(vec![urgent], vec![]), &request(&[Operation::Vacuum]));
    assert!(matches!(plan.steps[0].action, Action::Vacuum { index_cleanup: IndexCleanup::Off, .. }));
}

#[test]
fn named_tables_are_taken_whatever_they_need_and_nothing_else_is() {
    let (one, two) = (table(1, "one"), dead(2, "two", 50_000));
    let indexes = vec![index(3, "one_i", &one), index(4, "two_i", &two)];
    let facts = facts(vec![one, two], indexes);
    let plan = planned(&facts, &named(&EVERYDAY, &["shop.one"]));
    assert_eq!(steps(&plan), ["vacuum shop.one", "analyze shop.one", "reindex shop.one_i"]);
    let unknown = super::plan(&facts, &named(&EVERYDAY, &["gone"]), NOW.parse().unwrap()).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Usage);
    assert!(unknown.to_string().contains("there is no table gone"));
}

#[test]
fn a_name_in_two_schemas_must_say_which() {
    let mut other = table(2, "one");
    other.name.schema = "archive".to_owned();
    let facts = facts(vec![table(1, "one"), other], vec![]);
    let error = plan(&facts, &named(&EVERYDAY, &["one"]), NOW.parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("shop, archive"), "{error}");
    assert!(plan(&facts, &named(&EVERYDAY, &["archive.one"]), NOW.parse().unwrap()).is_ok());
}

fn partitioned(version: u32) -> Facts {
    let root = TableFacts { kind: TableKind::Partitioned, live_tuples: 0, last_analyze: None, ..table(1, "root") };
    let part =
        |oid, called| TableFacts { ancestors: vec![1], changed_since_analyze: 50_000, ..dead(oid, called, 50_000) };
    Facts { server_version_num: version, ..facts(vec![root, part(2, "p0"), part(3, "p1")], vec![]) }
}

#[test]
fn partitions_are_vacuumed_each_and_analyzed_once() {
    let plan = planned(&partitioned(170_000), &request(&EVERYDAY));
    assert_eq!(steps(&plan), ["vacuum shop.p0", "vacuum shop.p1", "analyze shop.root"]);
    let plan = planned(&partitioned(180_000), &request(&EVERYDAY));
    assert_eq!(
        steps(&plan),
        ["vacuum shop.p0", "vacuum shop.p1", "analyze shop.p0", "analyze shop.p1", "analyze shop.root"]
    );
    assert!(matches!(plan.steps[4].action, Action::Analyze { only: true, .. }));
    let by_root = planned(&partitioned(170_000), &named(&[Operation::Vacuum], &["root"]));
    assert_eq!(steps(&by_root), ["vacuum shop.p0", "vacuum shop.p1"]);
}

#[test]
fn a_foreign_partition_is_not_read_and_the_others_are_analyzed_each() {
    let mut facts = partitioned(170_000);
    facts.tables[0].above_foreign = true;
    let plan = planned(&facts, &request(&[Operation::Analyze]));
    assert_eq!(steps(&plan), ["analyze shop.p0", "analyze shop.p1"]);
    assert_eq!(plan.left_out[0].action.doing(), "analyze shop.root");
}

#[test]
fn indexes_are_built_anew_where_that_can_be_done_beside_the_application() {
    let t = table(1, "t");
    let mut bloated = index(2, "bloated", &t);
    bloated.bloat = Some(half_bloated(bloated.bytes));
    let mut invalid = index(3, "invalid", &t);
    invalid.valid = false;
    let building =
        lifeboat_core::maintenance::IndexFacts { valid: false, being_built: true, ..index(4, "building", &t) };
    let mut excluding = index(5, "excluding", &t);
    (excluding.exclusion, excluding.backs_constraint, excluding.bloat) =
        (true, true, Some(half_bloated(excluding.bytes)));
    let mut root = index(6, "root", &t);
    (root.partitioned, root.valid) = (true, false);
    let facts = facts(vec![t], vec![bloated, invalid, building, excluding, root]);
    let plan = planned(&facts, &request(&[Operation::Reindex]));
    assert_eq!(steps(&plan), ["reindex shop.invalid", "reindex shop.bloated"]);
    assert_eq!(plan.left_out.len(), 1);
    assert!(matches!(plan.left_out[0].remedy, Some(Remedy::ReindexLocking { .. })));
}

#[test]
fn only_what_another_index_replaces_is_dropped_as_a_leftover() {
    let t = table(1, "t");
    let valid = index(2, "t_i", &t);
    let left = |oid, called: &str, signature: &str| lifeboat_core::maintenance::IndexFacts {
        valid: false,
        signature: signature.to_owned(),
        ..index(oid, called, &t)
    };
    let mut constrained = left(6, "c_ccold", "t_i");
    constrained.backs_constraint = true;
    let indexes = vec![
        valid,
        left(3, "t_i_ccnew", "t_i"),
        left(4, "t_i_ccold1", "t_i"),
        left(5, "mine_ccnew", "another"),
        constrained,
        left(7, "t_i_new", "t_i"),
    ];
    let plan = planned(&facts(vec![t.clone()], indexes), &request(&[Operation::Reindex]));
    assert_eq!(
        steps(&plan),
        [
            "drop leftover shop.t_i_ccnew",
            "drop leftover shop.t_i_ccold1",
            "reindex shop.mine_ccnew",
            "reindex shop.c_ccold",
            "reindex shop.t_i_new"
        ]
    );
}

#[test]
fn what_the_role_may_not_do_is_left_out_with_the_grant() {
    let mut foreign = dead(1, "t", 50_000);
    (foreign.may_own, foreign.may_maintain) = (false, false);
    let mut i = index(2, "i", &foreign);
    i.bloat = Some(half_bloated(i.bytes));
    let plan = planned(&facts(vec![foreign.clone()], vec![i.clone()]), &request(&EVERYDAY));
    assert_eq!((plan.steps.len(), plan.left_out.len()), (0, 2));
    assert!(matches!(plan.left_out[0].remedy, Some(Remedy::AllowMaintenance { .. })));
    assert!(matches!(plan.left_out[1].remedy, Some(Remedy::GrantOwner { .. })));
    // Who may maintain but not drop must not begin what could leave an index behind.
    foreign.may_maintain = true;
    let plan = planned(&facts(vec![foreign], vec![i]), &request(&EVERYDAY));
    assert_eq!((steps(&plan), plan.left_out.len()), (vec!["vacuum shop.t".to_owned()], 1));
}

#[test]
fn a_table_is_written_anew_by_name_only_and_then_needs_nothing_else() {
    let mut t = dead(1, "t", 50_000);
    t.in_use = 3;
    let mut i = index(2, "i", &t);
    i.bloat = Some(half_bloated(i.bytes));
    let facts = facts(vec![t], vec![i]);
    let all = [Operation::Vacuum, Operation::Analyze, Operation::Reindex, Operation::Full];
    let error = plan(&facts, &request(&all), NOW.parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let plan = planned(&facts, &named(&all, &["t"]));
    assert_eq!(steps(&plan), ["analyze shop.t", "vacuum full shop.t"]);
    let full = &plan.steps[1];
    assert!(full.blocks.contains("shuts everybody out of shop.t") && full.blocks.contains("now: 3"), "{}", full.blocks);
    assert_eq!(full.disk_bytes, 150 << 20);
    let root = super::plan(&partitioned(150_000), &named(&[Operation::Full], &["root"]), NOW.parse().unwrap());
    assert!(root.unwrap_err().hint().contains("name the partitions"));
}

#[test]
fn a_standby_is_looked_at_and_never_maintained() {
    let standby = Facts { standby: true, ..facts(vec![dead(1, "t", 50_000)], vec![]) };
    let error = plan(&standby, &request(&EVERYDAY), NOW.parse().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(plan(&standby, &request(&[]), NOW.parse().unwrap()).is_ok());
}

prop_compose! {
    fn any_table(oid: u32)(
        live_tuples in 0_u64..1_000_000, dead_tuples in 0_u64..1_000_000, changed in 0_u64..1_000_000,
        inserted in 0_u64..1_000_000, age in 0_u64..2_000_000_000, may in any::<(bool, bool)>(), analyzed in any::<bool>(),
        kind in 0_usize..3, in_use in 0_u32..3,
    ) -> TableFacts {
        TableFacts {
            live_tuples, dead_tuples, in_use,
            changed_since_analyze: changed,
            inserted_since_vacuum: inserted,
            transaction_age: age,
            may_maintain: may.0 || may.1,
            may_own: may.1,
            last_analyze: if analyzed { table(oid, "t").last_analyze } else { None },
            kind: [TableKind::Table, TableKind::Partitioned, TableKind::MaterializedView][kind],
            ..table(oid, &format!("t{oid}"))
        }
    }
}

prop_compose! {
    fn any_facts()(
        tables in (1_u32..6).prop_flat_map(|n| (1..=n).map(any_table).collect::<Vec<_>>()),
        shapes in prop::collection::vec((0_usize..6, any::<[bool; 7]>(), 0_u64..100 << 20), 0..8),
        version in prop::sample::select(vec![150_018_u32, 180_004]),
        standbys in 0_u32..2,
    ) -> Facts {
        let indexes = shapes.into_iter().enumerate().map(|(n, (at, flags, bloat))| {
            let of = &tables[at % tables.len()];
            let suffix = if flags[6] { "_ccnew" } else { "" };
            let mut i = index(100 + u32::try_from(n).unwrap(), &format!("i{n}{suffix}"), of);
            [i.valid, i.being_built, i.unique, i.backs_constraint, i.exclusion, i.partitioned, _] = flags;
            i.signature = format!("{}", n % 3);
            i.bloat = Some(lifeboat_core::maintenance::Bloat::of(bloat, i.bytes, lifeboat_core::maintenance::BloatSource::Measured));
            i
        }).collect();
        Facts { server_version_num: version, standbys, ..facts(tables, indexes) }
    }
}

proptest! {
    #[test]
    fn no_plan_ever_does_harm(facts in any_facts()) {
        let plan = planned(&facts, &request(&EVERYDAY));
        let table_of = |oid: u32| facts.tables.iter().find(|t| t.oid == oid).unwrap();
        for step in &plan.steps {
            let table = table_of(step.table_oid);
            prop_assert!(!step.reason.is_empty() && !step.blocks.is_empty());
            match &step.action {
                Action::Vacuum { truncate, .. } => {
                    prop_assert!(table.may_maintain && table.kind != TableKind::Partitioned);
                    prop_assert!(!truncate || (table.in_use == 0 && facts.standbys == 0));
                }
                Action::Analyze { only, .. } => {
                    prop_assert!(table.may_maintain);
                    prop_assert_eq!(*only, facts.server_version_num >= 180_000 && table.kind == TableKind::Partitioned);
                }
                Action::Reindex { .. } | Action::DropLeftover { .. } => {
                    let index = facts.indexes.iter().find(|i| i.oid == step.oid).unwrap();
                    let locking = index.exclusion && matches!(step.action, Action::Reindex { .. });
                    prop_assert!(table.may_own && !index.being_built && !locking);
                    if matches!(step.action, Action::DropLeftover { .. }) {
                        prop_assert!(!index.valid && !index.backs_constraint && index.named_as_leftover());
                        let replaced = facts.indexes.iter().any(|o| o.valid && o.table_oid == index.table_oid && o.signature == index.signature);
                        prop_assert!(replaced);
                    }
                }
                Action::VacuumFull { .. } => prop_assert!(false, "nobody asked for it"),
            }
        }
        // Nothing is worked on twice in the same way, and nothing both done and left out.
        let mut done: Vec<_> = steps(&plan);
        done.extend(plan.left_out.iter().map(|l| l.action.doing()));
        let all = done.len();
        done.sort();
        done.dedup();
        prop_assert_eq!(done.len(), all);
        // What a person is told to drop enforces nothing.
        for advice in &plan.recommendations {
            if let Remedy::DropIndex { index, .. } = &advice.remedy {
                let index = facts.indexes.iter().find(|i| i.name == *index).unwrap();
                prop_assert!(!index.backs_constraint && !index.replica_identity && index.valid && !index.attached);
            }
        }
        prop_assert_eq!(planned(&facts, &request(&EVERYDAY)), plan);
    }
}
