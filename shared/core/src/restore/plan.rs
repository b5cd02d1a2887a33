//! Plans a restore: which entries go into which step, which rows are loaded, and why it may be refused.

use std::collections::BTreeSet;

use lifeboat_archive::toc::{Entry, Section, Toc};
use serde::Serialize;

use super::{Part, RestoreRequest, resume::Resumed, room, selection::select};
use crate::{
    Error, ErrorKind, Result,
    ids::{BackupId, DatabaseSlug},
    manifest::{Manifest, ObjectRecord},
    ports::TargetFacts,
};

/// What a restore will do; a dry run prints exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RestorePlan {
    /// The database that the backup is of.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// Server and database that are written to.
    pub target: String,
    /// What lies in the target now, at most twenty objects.
    pub target_contents: Vec<String>,
    /// Whether a safety backup of the target is taken first.
    pub safety_backup: bool,
    /// Dump ids of schemas and their privileges, which come before all else where the role is no superuser: only a role
    /// that may create in a schema can be given what lies in it.
    pub schemas: Vec<i32>,
    /// Dump ids of definitions created before the data, schemas among them.
    pub pre_data: Vec<i32>,
    /// Dump ids of sequence values and large objects' definitions.
    pub data_definitions: Vec<i32>,
    /// Indexes into the manifest's tables whose rows are loaded.
    pub tables: Vec<usize>,
    /// Large objects that are loaded.
    pub large_objects: Vec<u32>,
    /// Dump ids of indexes, constraints, triggers, privileges and refreshes, after the data.
    pub post_data: Vec<i32>,
    /// Rows that are loaded.
    pub rows: u64,
    /// Bytes that are read from the store.
    pub stored_bytes: u64,
    /// What is left out although it hangs on what is restored.
    pub left_out: Vec<String>,
    /// What an interrupted restore has done of this; only the rest is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
}

impl RestorePlan {
    /// The objects whose rows and bytes are loaded.
    pub(super) fn objects<'a>(&'a self, manifest: &'a Manifest) -> impl Iterator<Item = &'a ObjectRecord> {
        let tables = self.tables.iter().flat_map(|index| &manifest.tables[*index].chunks);
        let large = manifest.large_objects.iter().filter(|l| self.large_objects.binary_search(&l.oid).is_ok());
        tables.chain(large.map(|l| &l.object))
    }
}

/// Makes the plan, or refuses. `safety_backup`: whether one can and shall be taken.
pub fn plan(
    manifest: &Manifest,
    toc: &Toc,
    target: &TargetFacts,
    request: &RestoreRequest,
    safety_backup: bool,
) -> Result<RestorePlan> {
    check_versions(manifest, target)?;
    let empty = target.contents.is_empty();
    if !empty && !request.force && !request.resume && request.part != Part::Data {
        let some = target.contents.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        return Err(Error::new(
            ErrorKind::Refused,
            format!("database '{}' on {} is not empty: it holds {some}", target.database, target.server),
        )
        .with_hint(
            "restore into a new database (createdb -T template0 …), or use --force, which backs it up first, with --clean \
             where it holds objects of the same names",
        ));
    }
    let mut selected = select(toc, &request.tables)?;
    if request.bare {
        leave_out_what_acts_on_rows(toc, &mut selected);
    }
    let steps = steps(toc, &selected, request.part);
    let with_rows = request.part != Part::Schema;
    let tables: Vec<usize> = manifest
        .tables
        .iter()
        .enumerate()
        .filter(|(_, t)| with_rows && selected.contains(&t.dump_id))
        .map(|(index, _)| index)
        .collect();
    room::check(manifest, toc, target, request, &selected, &tables)?;
    let large_objects: Vec<u32> = if with_rows && request.tables.is_empty() {
        manifest.large_objects.iter().map(|l| l.oid).collect()
    } else {
        Vec::new()
    };
    let stored_bytes = tables.iter().map(|i| manifest.tables[*i].stored_bytes).sum::<u64>()
        + if large_objects.is_empty() { 0 } else { manifest.large_objects.iter().map(|l| l.object.size).sum() };
    Ok(RestorePlan {
        database: manifest.database.clone(),
        backup_id: manifest.backup_id.clone(),
        target: format!("database '{}' on {}", target.database, target.server),
        target_contents: target.contents.clone(),
        safety_backup: !empty && safety_backup && !request.resume,
        schemas: if target.superuser { Vec::new() } else { schemas(toc, &steps) },
        pre_data: steps.pre_data,
        data_definitions: steps.data_definitions,
        rows: tables.iter().map(|i| manifest.tables[*i].rows).sum(),
        tables,
        large_objects,
        post_data: steps.post_data,
        stored_bytes,
        left_out: left_out(toc, &selected, request),
        resumed: None,
    })
}

/// What would act on rows that are read or written, with the remarks on it.
fn leave_out_what_acts_on_rows(toc: &Toc, selected: &mut BTreeSet<i32>) {
    const ACTING: [&[u8]; 5] = [b"FK CONSTRAINT", b"TRIGGER", b"RULE", b"POLICY", b"ROW SECURITY"];
    let acting: BTreeSet<i32> =
        toc.entries.iter().filter(|e| ACTING.contains(&e.desc.as_slice())).map(|e| e.dump_id).collect();
    let remarks =
        toc.entries.iter().filter(|e| e.desc == b"COMMENT" && e.dependencies.iter().any(|d| acting.contains(d)));
    let left_out: BTreeSet<i32> = remarks.map(|e| e.dump_id).chain(acting.iter().copied()).collect();
    selected.retain(|id| !left_out.contains(id));
}

struct Steps {
    pre_data: Vec<i32>,
    data_definitions: Vec<i32>,
    post_data: Vec<i32>,
}

/// Sorts entries into steps. An entry without a section belongs where it stands, as pg_restore takes it. Privileges come
/// last, as pg_restore orders them, so that a revoked privilege does not hinder the load.
fn steps(toc: &Toc, selected: &BTreeSet<i32>, part: Part) -> Steps {
    let mut steps = Steps { pre_data: Vec::new(), data_definitions: Vec::new(), post_data: Vec::new() };
    let mut current = Section::PreData;
    for entry in &toc.entries {
        if entry.section != Section::None {
            current = entry.section;
        }
        if !selected.contains(&entry.dump_id) || entry.is_table_data() || entry.is_blobs() {
            continue;
        }
        let desc = entry.desc_str();
        let of_large_object = desc.starts_with("BLOB") || entry.is_remark_on("LARGE OBJECT");
        let is_data = current == Section::Data || of_large_object;
        // A refresh belongs to both: without rows it leaves what can be queried, as with pg_restore; with rows, the rows.
        let is_refresh = desc == "MATERIALIZED VIEW DATA";
        match part {
            Part::Schema if is_data => continue,
            Part::Data if !(is_data || is_refresh) => continue,
            _ => {}
        }
        let list = if matches!(desc.as_ref(), "ACL" | "ACL LANGUAGE" | "DEFAULT ACL") && !of_large_object {
            &mut steps.post_data
        } else {
            match current {
                Section::PreData => &mut steps.pre_data,
                Section::Data => &mut steps.data_definitions,
                _ => &mut steps.post_data,
            }
        };
        list.push(entry.dump_id);
    }
    steps
}

/// The schemas among the definitions, and the privileges on them and on `public`, which is there already. Those on an
/// extension's schema wait for the extension.
fn schemas(toc: &Toc, steps: &Steps) -> Vec<i32> {
    let made: BTreeSet<i32> = steps.pre_data.iter().copied().collect();
    let privileges: BTreeSet<i32> = steps.post_data.iter().copied().collect();
    let is_made = |e: &&Entry| e.desc == b"SCHEMA" && made.contains(&e.dump_id);
    let names: BTreeSet<&[u8]> =
        toc.entries.iter().filter(is_made).map(|e| e.tag.as_slice()).chain([&b"public"[..]]).collect();
    let is_of_them = |e: &&Entry| {
        e.desc == b"ACL"
            && privileges.contains(&e.dump_id)
            && e.tag.strip_prefix(b"SCHEMA ").is_some_and(|name| names.contains(name))
    };
    toc.entries.iter().filter(|e| is_made(e) || is_of_them(e)).map(|e| e.dump_id).collect()
}

/// Whether a pg_restore is there that reads the archive, the target finds out when the archive is staged.
fn check_versions(manifest: &Manifest, target: &TargetFacts) -> Result<()> {
    let from = manifest.source.server_version_num / 10_000;
    let to = target.server_version_num / 10_000;
    if to < from {
        return Err(Error::new(
            ErrorKind::Refused,
            format!("the backup is of PostgreSQL {from}, the target is older: {}", target.server_version),
        )
        .with_hint(format!("restore into PostgreSQL {from} or newer")));
    }
    Ok(())
}

/// Foreign keys of the selected tables to tables that were not asked for.
fn left_out(toc: &Toc, selected: &BTreeSet<i32>, request: &RestoreRequest) -> Vec<String> {
    if request.tables.is_empty() || request.bare || request.part == Part::Data {
        return Vec::new();
    }
    toc.entries
        .iter()
        .filter(|e| e.desc_str() == "FK CONSTRAINT" && !selected.contains(&e.dump_id))
        .filter(|e| e.dependencies.iter().any(|d| selected.contains(d)))
        .map(|e| format!("foreign key {}: the other table is not restored", e.tag_str()))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use lifeboat_archive::toc::{Compression, CreatedAt, Extra, Format, Header};

    use super::*;

    pub(in crate::restore) fn entry(dump_id: i32, desc: &str, tag: &str, section: Section) -> Entry {
        Entry {
            dump_id,
            had_dumper: false,
            table_oid: 0,
            oid: 0,
            tag: tag.into(),
            desc: desc.into(),
            section,
            defn: None,
            drop_stmt: None,
            copy_stmt: None,
            namespace: None,
            tablespace: None,
            table_am: None,
            relkind: None,
            owner: None,
            with_oids: None,
            dependencies: Vec::new(),
            extra: Extra::Directory { file: Vec::new() },
        }
    }

    pub(in crate::restore) fn toc(entries: Vec<Entry>) -> Toc {
        let header = Header {
            version: (1, 16, 0),
            int_size: 4,
            off_size: 8,
            format: Format::Directory,
            compression: Compression::Algorithm(0),
        };
        let created = CreatedAt::default();
        Toc { header, created, dbname: None, remote_version: None, dump_version: None, entries }
    }

    #[test]
    fn schemas_come_first_with_their_privileges_but_for_those_of_extensions() {
        let toc = toc(vec![
            entry(1, "SCHEMA", "shop", Section::PreData),
            entry(2, "EXTENSION", "pg_cron", Section::PreData),
            entry(3, "TABLE", "orders", Section::PreData),
            entry(4, "ACL", "SCHEMA public", Section::None),
            entry(5, "ACL", "SCHEMA shop", Section::None),
            entry(6, "ACL", "SCHEMA cron", Section::None),
            entry(7, "ACL", "TABLE orders", Section::None),
        ]);
        let of = |part| schemas(&toc, &steps(&toc, &(1..=7).collect(), part));
        assert_eq!(of(Part::Everything), [1, 4, 5]);
        assert_eq!(of(Part::Data), [0; 0]);
    }

    #[test]
    fn only_what_belongs_to_large_objects_counts_as_theirs_whatever_a_table_is_called() {
        let (pre, data) = (Section::PreData, Section::Data);
        let entries = vec![
            entry(1, "TABLE", "LARGE OBJECT x", pre),
            entry(2, "COMMENT", "TABLE \"LARGE OBJECT x\"", Section::None),
            entry(3, "ACL", "TABLE \"LARGE OBJECT x\"", Section::None),
            entry(4, "BLOB METADATA", "910001..910002", pre),
            entry(5, "ACL", "LARGE OBJECTS 910001..910002", data),
            entry(6, "COMMENT", "LARGE OBJECT 910001", data),
            entry(7, "INDEX", "LARGE OBJECT by id", Section::PostData),
        ];
        let toc = toc(entries);
        let all: BTreeSet<i32> = (1..=7).collect();
        let sorted = |part| {
            let steps = steps(&toc, &all, part);
            (steps.pre_data, steps.data_definitions, steps.post_data)
        };
        assert_eq!(sorted(Part::Schema), (vec![1, 2], vec![], vec![3, 7]));
        assert_eq!(sorted(Part::Data), (vec![4], vec![5, 6], vec![]));
        assert_eq!(sorted(Part::Everything), (vec![1, 2, 4], vec![5, 6], vec![3, 7]));
    }
}
