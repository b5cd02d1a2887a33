//! Lists what lies in a file store, and sweeps what unfinished writes left behind.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use jiff::Timestamp;
use lifeboat_core::{Result, ports::Listed};

use super::{
    failure::failed,
    publish::{MARK, name_of},
    root::Root,
};
use crate::key;

struct Entry {
    /// Relative to the root.
    key: String,
    path: PathBuf,
    facts: fs::Metadata,
}

/// The files and folders in a folder; `key_prefix` is the folder's key, empty or ending with '/'. Left out are symbolic
/// links, the scratch folder, names that are not UTF-8 (no key of ours), and what vanishes while we look.
fn entries(folder: &Path, key_prefix: &str) -> Result<Vec<Entry>> {
    let failure = |e: &io::Error| failed("list", folder, e).error();
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(e) => return Err(failure(&e)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|e| failure(&e))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let key = format!("{key_prefix}{name}");
        if key == key::SCRATCH {
            continue;
        }
        // Unlike fs::metadata, this does not follow links.
        match entry.metadata() {
            Ok(facts) if facts.is_symlink() => {}
            Ok(facts) => found.push(Entry { key, path: entry.path(), facts }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failure(&e)),
        }
    }
    Ok(found)
}

/// Every object whose key begins with `prefix`, sorted.
pub(super) fn list(root: &Root, prefix: &str) -> Result<Vec<Listed>> {
    key::check_prefix(prefix)?;
    root.existing()?;
    let folder_key = prefix.rfind('/').map_or("", |slash| &prefix[..=slash]);
    let mut pending = vec![(root.folder_of(prefix)?, folder_key.to_owned())];
    let mut found = Vec::new();
    while let Some((folder, folder_key)) = pending.pop() {
        for entry in entries(&folder, &folder_key)? {
            if entry.facts.is_dir() {
                let key = format!("{}/", entry.key);
                // Below the first folder every key has the prefix; in it, a name may not.
                if key.starts_with(prefix) || prefix.starts_with(&key) {
                    pending.push((entry.path, key));
                }
            } else if entry.facts.is_file() && entry.key.starts_with(prefix) {
                found.push(Listed {
                    size: entry.facts.len(),
                    modified: modified(&entry.facts),
                    storage_class: "STANDARD".to_owned(),
                    key: entry.key,
                });
            }
        }
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(found)
}

fn modified(facts: &fs::Metadata) -> Timestamp {
    facts.modified().ok().and_then(|at: SystemTime| Timestamp::try_from(at).ok()).unwrap_or_default()
}

/// The folders directly below `prefix` that hold at least one object, sorted; S3 knows no empty folder either.
pub(super) fn folders(root: &Root, prefix: &str) -> Result<Vec<String>> {
    key::check_folder(prefix)?;
    root.existing()?;
    let mut names = Vec::new();
    for entry in entries(&root.folder_of(prefix)?, prefix)? {
        if entry.facts.is_dir() && holds_objects(&entry.path, &format!("{}/", entry.key))? {
            names.push(entry.key[prefix.len()..].to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn holds_objects(folder: &Path, folder_key: &str) -> Result<bool> {
    let entries = entries(folder, folder_key)?;
    if entries.iter().any(|entry| entry.facts.is_file()) {
        return Ok(true);
    }
    for entry in entries.iter().filter(|entry| entry.facts.is_dir()) {
        if holds_objects(&entry.path, &format!("{}/", entry.key))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Unfinished writes of keys below `prefix` last touched before `before`.
pub(super) fn pending(root: &Root, prefix: &str, before: Timestamp) -> Result<Vec<PathBuf>> {
    key::check_prefix(prefix)?;
    root.existing()?;
    let wanted = name_of(prefix);
    let unfinished = |entry: &Entry| {
        let name = entry.key.split_once(MARK).map(|(_, name)| name);
        entry.facts.is_file() && name.is_some_and(|n| n.starts_with(&wanted)) && modified(&entry.facts) < before
    };
    Ok(entries(&root.scratch(), "")?.into_iter().filter(unfinished).map(|entry| entry.path).collect())
}

/// Removes them. A write that still makes progress is thus left alone, however long ago it began.
pub(super) fn sweep(root: &Root, prefix: &str, before: Timestamp) -> Result<u64> {
    let mut swept = 0;
    for path in pending(root, prefix, before)? {
        match fs::remove_file(&path) {
            Ok(()) => swept += 1,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("sweep an unfinished write", &path, &e).error()),
        }
    }
    Ok(swept)
}
