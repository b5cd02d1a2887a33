//! Turns the file system's errors into Lifeboat's, with what was being done, to which path, and what to do next.

use std::{io, path::Path};

use lifeboat_core::{Error, ErrorKind};

/// A file system call that failed.
pub(super) struct Failure<'a> {
    doing: &'a str,
    path: &'a Path,
    cause: &'a io::Error,
    needed: Option<u64>,
}

/// Begins an error: `doing` is a verb phrase, `path` what the call was about.
pub(super) fn failed<'a>(doing: &'a str, path: &'a Path, cause: &'a io::Error) -> Failure<'a> {
    Failure { doing, path, cause, needed: None }
}

impl Failure<'_> {
    /// Says how many bytes were to be written.
    pub(super) fn needing(mut self, bytes: u64) -> Self {
        self.needed = Some(bytes);
        self
    }

    /// The error.
    pub(super) fn error(self) -> Error {
        let Self { doing, path, cause, needed } = self;
        let at = path.display();
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let needed = needed.map(|n| format!("; {n} bytes were to be written")).unwrap_or_default();
                let free = free_bytes(path).map(|n| format!(", {n} are free")).unwrap_or_default();
                let what = if cause.kind() == io::ErrorKind::StorageFull {
                    "the disk is full"
                } else {
                    "the quota is used up"
                };
                Error::new(ErrorKind::Store, format!("{doing}: {what} at {at}{needed}{free}"))
                    .with_hint("free space or choose another store; what was written of this object is removed")
            }
            io::ErrorKind::PermissionDenied => Error::new(ErrorKind::Store, format!("{doing}: no permission at {at}"))
                .with_hint(
                    "give the user that runs Lifeboat the right to read and write the store's folder and all below it",
                ),
            io::ErrorKind::FileTooLarge => {
                Error::new(ErrorKind::Store, format!("{doing}: {at} may not grow any further: {cause}"))
                    .with_hint("raise the limit on a file's size (`ulimit -f`), or make chunk_size smaller")
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Error::new(ErrorKind::Store, format!("{doing}: the file system at {at} is mounted read-only"))
                    .with_hint("mount it writable or choose another store")
            }
            io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => Error::new(
                ErrorKind::Store,
                format!("{doing}: {at} is a file where a folder belongs, or the other way round"),
            )
            .with_hint("the store's folder holds something that Lifeboat did not write; move it away"),
            io::ErrorKind::InvalidFilename => {
                Error::new(ErrorKind::Usage, format!("{doing}: the file system refuses the name {at}: {cause}"))
            }
            _ => Error::new(ErrorKind::Store, format!("{doing}: {at}: {cause}")),
        }
    }
}

fn free_bytes(path: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(path.parent()?).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: io::ErrorKind) -> Error {
        failed("write a/b", Path::new("/tmp/x"), &io::Error::from(kind)).needing(4096).error()
    }

    #[test]
    fn a_full_disk_is_named_with_what_was_needed() {
        let error = error(io::ErrorKind::StorageFull);
        assert_eq!(error.kind(), ErrorKind::Store);
        let text = error.to_string();
        assert!(text.contains("disk is full") && text.contains("4096 bytes") && text.contains("are free"), "{text}");
        assert!(error.hint().contains("free space"));
    }

    #[test]
    fn a_missing_right_is_named_with_the_remedy() {
        let error = error(io::ErrorKind::PermissionDenied);
        assert_eq!(error.kind(), ErrorKind::Store);
        assert!(error.hint().contains("right to read and write"));
    }
}
