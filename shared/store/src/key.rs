//! Checks keys and prefixes, by the same rules on every store, so that a backup made on one fits on each other.

use lifeboat_core::{Error, ErrorKind, Result};

/// Where a file store keeps unfinished writes and its lock; reserved on every store.
pub(crate) const SCRATCH: &str = ".control/tmp";

/// The longest file name of the usual Linux file systems, in bytes.
const LONGEST_SEGMENT: usize = 255;
/// S3's limit is 1024 bytes for prefix and key; a store's prefix may take 512 of them.
const LONGEST_KEY: usize = 511;

/// Checks the key of one object.
pub(crate) fn check(key: &str) -> Result<()> {
    let fault = if key.is_empty() {
        Some("is empty")
    } else if key.ends_with('/') {
        Some("ends with '/'")
    } else {
        fault_of_segments(key, false)
    };
    answer("key", key, fault)
}

/// Checks what keys are to begin with; it may be empty and may end in mid-segment.
pub(crate) fn check_prefix(prefix: &str) -> Result<()> {
    let whole = prefix.strip_suffix('/').unwrap_or(prefix);
    let fault = if prefix.is_empty() { None } else { fault_of_segments(whole, !prefix.ends_with('/')) };
    answer("prefix", prefix, fault)
}

/// Checks the prefix of a folder: empty, or ending with '/'.
pub(crate) fn check_folder(prefix: &str) -> Result<()> {
    if !prefix.is_empty() && !prefix.ends_with('/') {
        return answer("folder", prefix, Some("does not end with '/'"));
    }
    check_prefix(prefix)
}

fn fault_of_segments(text: &str, last_is_cut: bool) -> Option<&'static str> {
    if text.len() > LONGEST_KEY {
        return Some("is longer than 511 bytes");
    }
    if text.chars().any(char::is_control) {
        return Some("holds a control character");
    }
    let count = text.split('/').count();
    for (position, segment) in text.split('/').enumerate() {
        let cut = last_is_cut && position + 1 == count;
        match segment {
            "" => return Some("holds an empty segment"),
            // "a/." may be the beginning of "a/.hidden".
            "." | ".." if !cut => return Some("holds a '.' or '..' segment"),
            _ if segment.len() > LONGEST_SEGMENT => return Some("holds a segment longer than 255 bytes"),
            _ => {}
        }
    }
    if text == SCRATCH || text.strip_prefix(SCRATCH).is_some_and(|rest| rest.starts_with('/')) {
        return Some("lies in .control/tmp, which is reserved");
    }
    None
}

fn answer(what: &str, text: &str, fault: Option<&str>) -> Result<()> {
    match fault {
        None => Ok(()),
        Some(fault) => Err(Error::new(ErrorKind::Usage, format!("the {what} {text:?} {fault}"))
            .with_hint("keys are relative paths such as orders/20261120T020000Z-abcd/manifest.json")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_keys_are_refused() {
        let long = "x".repeat(256);
        let deep = "x/".repeat(300) + "x";
        for key in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "a/./b",
            "a\0b",
            "a\nb",
            "a\u{7f}",
            ".control/tmp",
            ".control/tmp/x",
            &long,
            &deep,
        ] {
            assert_eq!(check(key).unwrap_err().kind(), ErrorKind::Usage, "{key:?}");
        }
    }

    #[test]
    fn unusual_keys_are_accepted() {
        for key in
            ["a", "a b/c+d", "ä/ñ/日本", "100%/x%2Fy", ".control/leases/orders", "...", "a/..b", "-", "~", "a\\b"]
        {
            check(key).unwrap();
        }
    }

    #[test]
    fn prefixes_may_be_cut_but_not_climb() {
        for prefix in ["", "a", "a/", "a/b", ".control/", "a/."] {
            check_prefix(prefix).unwrap();
        }
        for prefix in ["/", "/a", "a//", "../", "a/../b", "a/./"] {
            assert_eq!(check_prefix(prefix).unwrap_err().kind(), ErrorKind::Usage, "{prefix:?}");
        }
        assert!(check_folder("a").is_err());
        check_folder("a/").unwrap();
    }
}
