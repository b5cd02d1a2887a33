//! What a target holds under the names of what would be restored into it.

use std::collections::{BTreeSet, HashSet};

use lifeboat_archive::toc::{Entry, Toc};

use super::{Part, RestoreRequest, plan::RestorePlan};
use crate::{Error, ErrorKind, Result, ports::Target};

/// Kinds that share one space of names within a schema.
const RELATIONS: [&str; 6] = ["TABLE", "VIEW", "MATERIALIZED VIEW", "FOREIGN TABLE", "SEQUENCE", "INDEX"];

/// Further kinds that `CREATE` makes, and refuses to make twice.
const OTHERS: [&str; 17] = [
    "SCHEMA",
    "TYPE",
    "DOMAIN",
    "FUNCTION",
    "PROCEDURE",
    "AGGREGATE",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "COLLATION",
    "CAST",
    "TEXT SEARCH CONFIGURATION",
    "TEXT SEARCH DICTIONARY",
    "EVENT TRIGGER",
    "PUBLICATION",
    "SUBSCRIPTION",
    "FOREIGN DATA WRAPPER",
    "SERVER",
];

/// Names that are shown.
const SHOWN: usize = 5;

/// Refuses where the target, which is not empty, holds something that would be made beside it under the same name.
pub(super) async fn refuse(target: &dyn Target, toc: &Toc, plan: &RestorePlan, request: &RestoreRequest) -> Result<()> {
    if plan.target_contents.is_empty() || request.clean || request.part == Part::Data {
        return Ok(());
    }
    let there = match target.toc().await {
        Ok(there) => there,
        Err(error) if matches!(error.kind(), ErrorKind::Database | ErrorKind::SnapshotLost) => {
            tracing::warn!(%error, "could not see whether names in the target collide");
            return Ok(());
        }
        Err(error) => return Err(error.context("see whether names in the target collide")),
    };
    let names = colliding(toc, plan, &there, request.tables.is_empty());
    if names.is_empty() {
        return Ok(());
    }
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { format!(" and {} more", names.len() - SHOWN) } else { String::new() };
    Err(Error::new(ErrorKind::Refused, format!("{} already holds {shown}{more}; nothing was changed", plan.target))
        .with_hint("restore into a new database, or use --force --clean to replace what is there"))
}

/// What is in both, for people. With single tables, what these need besides relations may be there already.
fn colliding(toc: &Toc, plan: &RestorePlan, there: &Toc, whole: bool) -> BTreeSet<String> {
    let made: HashSet<i32> = plan.pre_data.iter().chain(&plan.post_data).copied().collect();
    let present: HashSet<_> = there.entries.iter().filter_map(|e| name(e, whole)).collect();
    let collides = |e: &&Entry| name(e, whole).is_some_and(|name| present.contains(&name));
    toc.entries.iter().filter(|e| made.contains(&e.dump_id)).filter(collides).map(shown).collect()
}

/// What may exist only once: space of names, schema, name.
fn name(entry: &Entry, whole: bool) -> Option<(String, Option<Vec<u8>>, Vec<u8>)> {
    let desc = entry.desc_str().into_owned();
    let space = match desc.as_str() {
        relation if RELATIONS.contains(&relation) => "relation".to_owned(),
        // Every database has it, and being there already is no failure.
        "SCHEMA" if entry.tag == b"public" => return None,
        other if whole && OTHERS.contains(&other) => desc,
        _ => return None,
    };
    Some((space, entry.namespace.clone(), entry.tag.clone()))
}

fn shown(entry: &Entry) -> String {
    let schema = if entry.namespace.is_some() { format!("{}.", entry.namespace_str()) } else { String::new() };
    format!("{} {schema}{}", entry.desc_str().to_lowercase(), entry.tag_str())
}
