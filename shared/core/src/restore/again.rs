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

/// What always can be said once more: it replaces what was said before.
const SAID_AGAIN: [&[u8]; 5] = [b"ACL", b"ACL LANGUAGE", b"DEFAULT ACL", b"COMMENT", b"SECURITY LABEL"];

/// What of some entries is still to be made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unmade {
    /// What the target does not have.
    pub(super) missing: Vec<i32>,
    /// What is there and belongs to somebody else: whoever made it was interrupted before it was given away.
    pub(super) others: Vec<i32>,
}

/// Looks for the entries by kind, schema and name.
pub(super) fn unmade(toc: &Toc, dump_ids: &[i32], there: &Toc) -> Unmade {
    let name = |e: &Entry| (e.desc.clone(), e.namespace.clone(), e.tag.clone());
    let mut present: HashMap<_, Vec<&Entry>> = HashMap::new();
    for entry in &there.entries {
        present.entry(name(entry)).or_default().push(entry);
    }
    let wanted: HashSet<i32> = dump_ids.iter().copied().collect();
    let mut unmade = Unmade::default();
    for entry in toc.entries.iter().filter(|e| wanted.contains(&e.dump_id)) {
        match present.get_mut(&name(entry)).and_then(Vec::pop) {
            Some(found) if OWNED.contains(&entry.desc.as_slice()) && found.owner != entry.owner => {
                unmade.others.push(entry.dump_id);
            }
            Some(_) => {}
            None => unmade.missing.push(entry.dump_id),
        }
    }
    unmade
}

/// Those of the entries that the target does not have. With `owners`, `None` where one is there that belongs to somebody
/// else: what failed then would not be made again.
pub(super) fn missing(toc: &Toc, dump_ids: &[i32], there: &Toc, owners: bool) -> Option<Vec<i32>> {
    let Unmade { missing, others } = unmade(toc, dump_ids, there);
    (!owners || others.is_empty()).then_some(missing)
}

/// What a run has to make that goes on where another was interrupted: what is missing, and what may have been said in part.
pub(super) fn left_undone(toc: &Toc, dump_ids: &[i32], there: &Toc) -> Unmade {
    let mut unmade = unmade(toc, dump_ids, there);
    let again: HashSet<i32> =
        toc.entries.iter().filter(|e| SAID_AGAIN.contains(&e.desc.as_slice())).map(|e| e.dump_id).collect();
    let missing: HashSet<i32> = unmade.missing.into_iter().collect();
    unmade.missing = dump_ids.iter().copied().filter(|id| missing.contains(id) || again.contains(id)).collect();
    unmade
}

#[cfg(test)]
mod tests {
    use lifeboat_archive::toc::Section;

    use super::*;
    use crate::restore::plan::tests::{entry, toc};

    #[test]
    fn what_was_interrupted_is_made_where_it_is_missing_given_away_again_and_said_once_more() {
        let owned = |owner: &[u8], ids: &[i32]| {
            let all = [
                entry(1, "INDEX", "by_id", Section::PostData),
                entry(2, "INDEX", "by_name", Section::PostData),
                entry(3, "STATISTICS", "together", Section::PostData),
                entry(4, "ACL", "TABLE t", Section::None),
                entry(5, "COMMENT", "INDEX by_id", Section::None),
            ];
            let kept = all.into_iter().filter(|e| ids.contains(&e.dump_id));
            toc(kept.map(|e| Entry { owner: Some(owner.to_vec()), ..e }).collect())
        };
        let (archive, there) = (owned(b"shop", &[1, 2, 3, 4, 5]), owned(b"postgres", &[1, 3, 4]));
        let left = left_undone(&archive, &[1, 2, 3, 4, 5], &there);
        assert_eq!(left, Unmade { missing: vec![2, 4, 5], others: vec![3] });
        assert_eq!(missing(&archive, &[1, 2, 3], &there, true), None);
        assert_eq!(missing(&archive, &[1, 2, 3], &there, false), Some(vec![2]));
    }
}
