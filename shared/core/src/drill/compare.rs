//! Compares what a drill restored with the manifest: rows, large objects, catalog objects, tables of contents.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use lifeboat_archive::toc::Toc;

use crate::{
    Result,
    manifest::Manifest,
    ports::{RunContext, Target},
    report::{DataEvidence, LargeObjectEvidence, OrphanedRows, SchemaEvidence, SequenceBehind, TableEvidence},
    restore::{TableComparison, compare_tables},
};

/// Everything that can be compared, several tables at a time.
pub(super) async fn compare(
    manifest: &Arc<Manifest>,
    target: &Arc<dyn Target>,
    toc: &Toc,
    jobs: u32,
    context: &RunContext,
) -> Result<(DataEvidence, SchemaEvidence)> {
    let tables: Vec<usize> = (0..manifest.tables.len()).collect();
    let oids: Vec<u32> = manifest.large_objects.iter().map(|l| l.oid).collect();
    let compared = compare_tables(target, manifest, toc, &tables, &oids, jobs, None, context).await?;
    let mut schema = SchemaEvidence::compare(&manifest.inventory, &target.inventory().await?);
    accept_later_sequences(&mut schema, toc);
    let restored = target.toc().await?;
    schema.toc_differences = toc_differences(toc, &restored);
    if toc.header.version != restored.header.version {
        let (before, after) = (toc.header.version, restored.header.version);
        schema.toc_not_compared = Some(format!(
            "tables of contents were not compared: archive versions {}.{} and {}.{} list objects differently",
            before.0, before.1, after.0, after.1
        ));
    }
    schema.invalid_indexes = target.invalid_indexes().await?;
    schema.orphans =
        target.orphans().await?.into_iter().map(|(foreign_key, rows)| OrphanedRows { foreign_key, rows }).collect();
    // Sequences whose value is not the archive's.
    let moved: HashSet<String> = schema
        .differences
        .iter()
        .filter(|d| d.kind == "sequence" && d.accepted.is_none())
        .map(|d| d.name.clone())
        .collect();
    schema.sequences_behind = target
        .sequences_behind()
        .await?
        .into_iter()
        .map(|(sequence, last_value, largest_value)| {
            let restored_as_archived = !moved.contains(&sequence);
            let accepted = restored_as_archived
                .then(|| "the sequence stands where it stood in the source: mend it there with setval".to_owned());
            SequenceBehind { accepted, sequence, last_value, largest_value }
        })
        .collect();
    Ok((data_evidence(manifest, compared), schema))
}

fn data_evidence(manifest: &Manifest, compared: Vec<TableComparison>) -> DataEvidence {
    let mut tables = Vec::new();
    let mut large =
        LargeObjectEvidence { expected: manifest.large_objects.len() as u64, ..LargeObjectEvidence::default() };
    for one in compared {
        if let Some(oid) = one.name.strip_prefix("large object ").filter(|_| one.tables.is_empty()) {
            large.compared += 1;
            if !one.matches() {
                large.differing.extend(oid.parse::<u32>());
            }
            continue;
        }
        let expected = (one.expected_rows, one.expected_checksum);
        tables.push(match one.actual_rows.zip(one.actual_checksum) {
            Some(actual) => TableEvidence::compared(one.name, expected, actual),
            None => TableEvidence::skipped(one.name, expected, "the table is not there"),
        });
    }
    DataEvidence::new(tables, large)
}

/// Sequences do not belong to a snapshot: pg_dump reads them just after it, and that value is in the archive. Where the
/// restored value is the archive's, a difference to the inventory is none.
fn accept_later_sequences(schema: &mut SchemaEvidence, toc: &Toc) {
    let set: HashMap<String, String> = toc
        .entries
        .iter()
        .filter(|e| e.desc_str() == "SEQUENCE SET")
        .filter_map(|e| {
            let statement = String::from_utf8_lossy(e.defn.as_deref()?).into_owned();
            let arguments = statement.trim_end().strip_suffix(");")?.rsplit("', ").next()?.to_owned();
            Some((format!("{}.{}", e.namespace_str(), e.tag_str()), arguments.replace(' ', "")))
        })
        .collect();
    for difference in schema.differences.iter_mut().filter(|d| d.kind == "sequence") {
        let archived = set.get(&difference.name.replace('"', ""));
        if archived.is_some()
            && difference.actual.as_ref().is_some_and(|a| archived.is_some_and(|v| a.starts_with(v.as_str())))
        {
            difference.accepted = Some(
                "the sequence moved between the snapshot and its value being read; the archive's value is there"
                    .to_owned(),
            );
        }
    }
}

/// Entries (kind, schema, name) that only one of the two tables of contents has. Entries of the database itself belong
/// to its creation, not to a restore; between two archive versions the layout differs and there is nothing to compare.
fn toc_differences(expected: &Toc, actual: &Toc) -> Vec<String> {
    if expected.header.version != actual.header.version {
        return Vec::new();
    }
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for (toc, one) in [(expected, 1), (actual, -1)] {
        for entry in &toc.entries {
            let (desc, tag) = (entry.desc_str(), entry.tag_str());
            if matches!(desc.as_ref(), "DATABASE" | "DATABASE PROPERTIES") || entry.is_remark_on("DATABASE") {
                continue;
            }
            let schema = if entry.namespace.is_some() { entry.namespace_str() } else { "-".into() };
            *counts.entry(format!("{desc} {schema} {tag}")).or_default() += one;
        }
    }
    counts
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(|(entry, count)| format!("{} {entry}", if count > 0 { "missing:" } else { "additional:" }))
        .collect()
}

#[cfg(test)]
mod tests {
    use lifeboat_archive::toc::{Compression, CreatedAt, Entry, Extra, Format, Header, Section};

    use super::*;

    fn toc(entries: &[(&str, &str)]) -> Toc {
        let entry = |(desc, tag): &(&str, &str)| Entry {
            dump_id: 1,
            had_dumper: false,
            table_oid: 0,
            oid: 0,
            tag: (*tag).into(),
            desc: (*desc).into(),
            section: Section::PreData,
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
        };
        Toc {
            header: Header {
                version: (1, 16, 0),
                int_size: 4,
                off_size: 8,
                format: Format::Directory,
                compression: Compression::Algorithm(0),
            },
            created: CreatedAt::default(),
            dbname: None,
            remote_version: None,
            dump_version: None,
            entries: entries.iter().map(entry).collect(),
        }
    }

    #[test]
    fn only_entries_of_the_database_itself_may_be_missing_whatever_a_table_is_called() {
        let of_database = [
            ("DATABASE", "orders"),
            ("DATABASE PROPERTIES", "orders"),
            ("ACL", "DATABASE orders"),
            ("COMMENT", "DATABASE orders"),
            ("SECURITY LABEL", "DATABASE orders"),
        ];
        assert_eq!(toc_differences(&toc(&of_database), &toc(&[])), Vec::<String>::new());
        let of_table = [("TABLE", "DATABASE x"), ("COMMENT", "TABLE \"DATABASE x\""), ("INDEX", "DATABASE by id")];
        let missing = toc_differences(&toc(&of_table), &toc(&[]));
        assert_eq!(missing.len(), 3, "{missing:?}");
    }
}
