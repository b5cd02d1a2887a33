//! Whether the target's server has room for the locks that a restore takes at once.

use std::collections::{BTreeSet, HashMap};

use lifeboat_archive::toc::{Entry, Toc};

use super::RestoreRequest;
use crate::{Error, ErrorKind, Result, manifest::Manifest, ports::TargetFacts};

/// A restore takes few locks at a time, but for two things: to drop what is there in one transaction, and to read a
/// partition root, whose partitions are locked together. `Refused` where the target's server has no room for that.
///
/// `selected`: dump ids of what is restored; `tables`: indexes into the manifest's tables whose rows are loaded.
pub(super) fn check(
    manifest: &Manifest,
    toc: &Toc,
    target: &TargetFacts,
    request: &RestoreRequest,
    selected: &BTreeSet<i32>,
    tables: &[usize],
) -> Result<()> {
    let (doing, locks) = if request.clean && !request.resume {
        // A table goes with its TOAST table and that one's index.
        let dropped = |entry: &Entry| match entry.desc.as_slice() {
            b"TABLE" => 3,
            b"INDEX" | b"CONSTRAINT" | b"SEQUENCE" | b"VIEW" | b"MATERIALIZED VIEW" => 1,
            _ => 0,
        };
        let entries = toc.entries.iter().filter(|entry| selected.contains(&entry.dump_id));
        ("to drop what is there, in one transaction,", entries.map(dropped).sum())
    } else {
        let mut below: HashMap<&str, u64> = HashMap::new();
        for root in tables.iter().filter_map(|index| manifest.tables[*index].loads_into.as_deref()) {
            *below.entry(root).or_default() += 1;
        }
        ("to compare a partitioned table", below.into_values().max().unwrap_or(0))
    };
    let room = target.lock_space;
    if locks <= room.most() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Refused,
        format!("{doing} takes about {locks} locks at once; {} has room for {}", target.server, room.promised()),
    )
    .with_hint(format!(
        "set max_locks_per_transaction = {} (ALTER SYSTEM, or a parameter group) and restart the server",
        room.wanted(locks)
    )))
}

#[cfg(test)]
mod tests {
    use lifeboat_archive::toc::Section;
    use lifeboat_testkit::BackupBuilder;

    use super::*;
    use crate::{
        lock_space::LockSpace,
        manifest::TableRecord,
        restore::{
            Part,
            plan::{
                RestorePlan, plan,
                tests::{entry, toc},
            },
        },
    };

    /// Plans a restore into an empty database of a server that has room for 100 locks, and at the very most for 430.
    fn plan_with_little_room(manifest: &Manifest, toc: &Toc, request: &RestoreRequest) -> Result<RestorePlan> {
        let target = TargetFacts {
            server_version: "15.18".to_owned(),
            server_version_num: 150_018,
            client_version: "15.18".to_owned(),
            database: "shop".to_owned(),
            encoding: "UTF8".to_owned(),
            server: "localhost:5432".to_owned(),
            superuser: true,
            may_disable_triggers: true,
            lock_space: LockSpace::new(10, 10),
            contents: Vec::new(),
        };
        assert_eq!((target.lock_space.promised(), target.lock_space.most()), (100, 430));
        plan(manifest, toc, &target, request, false)
    }

    fn manifest() -> Manifest {
        let (_, bytes) = BackupBuilder::new("shop", "2026-11-20T02:00:00Z").seal().unwrap();
        // The testkit was built with another copy of this crate: across the border goes JSON.
        Manifest::open(&bytes).unwrap()
    }

    #[test]
    fn to_drop_what_is_there_needs_room_for_the_locks_of_all_of_it() {
        let kinds = ["INDEX", "CONSTRAINT", "SEQUENCE", "VIEW", "MATERIALIZED VIEW"];
        // 142 tables take 426 locks, what belongs to nothing that is locked none, and all else one each.
        let of = |others: usize| {
            let kinds =
                std::iter::repeat_n("TABLE", 142).chain(["SCHEMA", "COMMENT"]).chain(kinds[..others].iter().copied());
            toc((1..).zip(kinds).map(|(id, kind)| entry(id, kind, "x", Section::PreData)).collect())
        };
        let clean = RestoreRequest { clean: true, ..RestoreRequest::default() };
        assert!(plan_with_little_room(&manifest(), &of(4), &clean).is_ok());
        let refused = plan_with_little_room(&manifest(), &of(5), &clean).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        let told =
            "to drop what is there, in one transaction, takes about 431 locks at once; localhost:5432 has room for 100";
        assert_eq!(refused.to_string(), told);
        assert!(refused.hint().starts_with("set max_locks_per_transaction = 64 "), "{}", refused.hint());
        // Nothing is dropped.
        for request in [RestoreRequest::default(), RestoreRequest { resume: true, ..clean }] {
            assert!(plan_with_little_room(&manifest(), &of(5), &request).is_ok());
        }
    }

    #[test]
    fn to_compare_a_partitioned_table_needs_room_for_the_locks_of_its_partitions() {
        let with = |roots: &[(&str, usize)], part: Part| {
            let mut manifest = manifest();
            let plain = manifest.tables[0].clone();
            for (root, partitions) in roots {
                let partition = TableRecord { loads_into: Some((*root).to_owned()), ..plain.clone() };
                manifest.tables.extend(std::iter::repeat_n(partition, *partitions));
            }
            let rows = entry(plain.dump_id, "TABLE DATA", "x", Section::Data);
            plan_with_little_room(&manifest, &toc(vec![rows]), &RestoreRequest { part, ..RestoreRequest::default() })
        };
        assert!(with(&[("public.a", 430), ("public.b", 430)], Part::Everything).is_ok());
        // Without rows there is nothing to compare.
        assert!(with(&[("public.b", 431)], Part::Schema).is_ok());
        let refused = with(&[("public.a", 10), ("public.b", 431)], Part::Everything).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().starts_with("to compare a partitioned table takes about 431 locks"), "{refused}");
    }
}
