//! What is made again where sessions got into each other's way.

use std::collections::{HashMap, HashSet};

use lifeboat_archive::toc::{Entry, Toc};

use crate::ports::ToolMessage;

/// What the server says to sessions that got into each other's way.
const CLASHES: [&str; 3] = ["deadlock detected", "tuple concurrently updated", "tuple concurrently deleted"];

/// What gets its owner after the data, by a statement of its own.
const OWNED: [&[u8]; 4] = [b"EVENT TRIGGER", b"PUBLICATION", b"STATISTICS", b"SUBSCRIPTION"];

/// Whether doing the same once more can help.
pub(super) fn is_clash(message: &ToolMessage) -> bool {
    CLASHES.iter().any(|clash| message.text.contains(clash))
}

/// Those of the entries that the target does not have, by kind, schema and name.
///
/// With `owners`, `None` where one is there that belongs to somebody else: what failed then would not be made again.
pub(super) fn missing(toc: &Toc, dump_ids: &[i32], there: &Toc, owners: bool) -> Option<Vec<i32>> {
    let name = |e: &Entry| (e.desc.clone(), e.namespace.clone(), e.tag.clone());
    let mut present: HashMap<_, Vec<&Entry>> = HashMap::new();
    for entry in &there.entries {
        present.entry(name(entry)).or_default().push(entry);
    }
    let wanted: HashSet<i32> = dump_ids.iter().copied().collect();
    let mut missing = Vec::new();
    for entry in toc.entries.iter().filter(|e| wanted.contains(&e.dump_id)) {
        match present.get_mut(&name(entry)).and_then(Vec::pop) {
            Some(found) if owners && OWNED.contains(&entry.desc.as_slice()) && found.owner != entry.owner => {
                return None;
            }
            Some(_) => {}
            None => missing.push(entry.dump_id),
        }
    }
    Some(missing)
}
