//! Makes files appear whole or not at all: written aside, synced, then renamed without replacing; also locks and deletes.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lifeboat_core::{Error, ErrorKind, Result};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rustix::fs::{CWD, FlockOperation, RenameFlags};

use super::{
    failure::failed,
    root::{Root, sync_folder},
};

const FILE_MODE: u32 = 0o640;
/// The lock is held for one small write; whoever holds it this long is stopped or hangs on a dead disk.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// Stands between a random part and the key in the name of an unfinished write; in no other name there.
pub(super) const MARK: char = '~';
const KEY_IN_NAME: &AsciiSet = &CONTROLS.add(b'/').add(b'%');
/// With the random part, names stay below the 255 bytes a file system takes.
const LONGEST_KEY_IN_NAME: usize = 200;

/// A file being written aside; removed when dropped unpublished.
pub(super) struct Unfinished {
    pub(super) file: File,
    path: PathBuf,
    published: bool,
}

impl Unfinished {
    /// Begins a write of `key`, in the file system of the store.
    pub(super) fn create(root: &Root, key: &str) -> Result<Self> {
        let name = format!("{:016x}{MARK}{}", rand::random::<u64>(), name_of(key));
        let path = root.scratch().join(name);
        root.make_parents(&path)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|e| failed(&format!("begin to write {key}"), &path, &e).error())?;
        Ok(Self { file, path, published: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn sync(&self, key: &str) -> Result<()> {
        self.file.sync_all().map_err(|e| failed(&format!("sync {key}"), &self.path, &e).error())
    }

    /// Gives the file its name; `AlreadyExists` if the name is taken.
    pub(super) fn publish_new(mut self, root: &Root, key: &str, path: &Path) -> Result<()> {
        self.sync(key)?;
        // A delete may remove the folder, empty for a moment, between our making it and our using it.
        for _ in 0..8 {
            root.make_parents(path)?;
            match rename_new(&self.path, path) {
                Ok(()) => {
                    self.published = true;
                    return sync_parent(path);
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Error::new(ErrorKind::AlreadyExists, format!("{key} exists already")));
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound && self.path.exists() => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    return Err(Error::new(ErrorKind::Store, format!("the unfinished write of {key} was swept away"))
                        .with_hint("a sweep took it for a leftover; run it again"));
                }
                Err(e) if e.kind() == io::ErrorKind::Unsupported => {
                    return Err(Error::new(
                        ErrorKind::Store,
                        format!("the file system of {} cannot create a name without replacing", root.path().display()),
                    )
                    .with_hint("choose a folder on ext4, XFS, btrfs, ZFS, tmpfs or NFS"));
                }
                Err(e) => return Err(failed(&format!("publish {key}"), path, &e).error()),
            }
        }
        Err(Error::new(ErrorKind::Store, format!("publish {key}: its folder vanishes again and again")))
    }

    /// Puts the file in the place of an existing one, in one step. The caller holds the lock.
    pub(super) fn replace(mut self, key: &str, path: &Path) -> Result<()> {
        self.sync(key)?;
        fs::rename(&self.path, path).map_err(|e| failed(&format!("replace {key}"), path, &e).error())?;
        self.published = true;
        sync_parent(path)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is swept later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The key as it appears in the name of its unfinished write; the beginning of a key gives the beginning of a name.
pub(super) fn name_of(key: &str) -> String {
    let mut name = utf8_percent_encode(key, KEY_IN_NAME).to_string();
    name.truncate(LONGEST_KEY_IN_NAME);
    name
}

/// Renames without replacing; `Unsupported` where the file system has no way to do that.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE).map_err(io::Error::from) {
        // NFS and FUSE often know no such rename, but they know hard links.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            match fs::hard_link(from, to) {
                Ok(()) => fs::remove_file(from),
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(io::ErrorKind::Unsupported.into()),
                Err(e) => Err(e),
            }
        }
        done => done,
    }
}

fn sync_parent(path: &Path) -> Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

/// Takes the lock of all swaps and deletes in this store; it lasts as long as the file returned. The kernel frees it
/// when its holder dies.
pub(super) fn lock(root: &Root) -> Result<File> {
    let path = root.scratch().join("lock");
    root.make_parents(&path)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(|e| failed("open the lock", &path, &e).error())?;
    let begun = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from) {
            Ok(()) => return Ok(file),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                if begun.elapsed() > LOCK_PATIENCE {
                    return Err(Error::new(
                        ErrorKind::Store,
                        format!("another process has held {} for {} s", path.display(), LOCK_PATIENCE.as_secs()),
                    )
                    .with_hint("look for a stopped Lifeboat process with `fuser`, and end it"));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(e) => return Err(failed("take the lock", &path, &e).error()),
        }
    }
}

/// Deletes an object, durably, and the folders that became empty with it.
pub(super) fn delete(root: &Root, key: &str) -> Result<()> {
    let path = root.path_of(key)?;
    match fs::remove_file(&path) {
        Ok(()) => sync_parent(&path)?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        // A folder is not an object, so there is no such object.
        Err(e) if path.is_dir() => {
            tracing::debug!(key, error = %e, "not an object");
            return Ok(());
        }
        Err(e) => return Err(failed(&format!("delete {key}"), &path, &e).error()),
    }
    let mut folder = path.parent();
    while let Some(empty) = folder.filter(|folder| *folder != root.path() && folder.starts_with(root.path())) {
        if fs::remove_dir(empty).is_err() {
            break;
        }
        folder = empty.parent();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_replaced_neither_by_rename_nor_by_link() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        fs::write(&old, "old").unwrap();
        fs::write(&new, "new").unwrap();
        assert_eq!(rename_new(&new, &old).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::hard_link(&new, &old).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&old).unwrap(), b"old");
    }

    #[test]
    fn the_name_of_an_unfinished_write_begins_as_its_key_does() {
        assert!(name_of("orders/x/manifest.json").starts_with(&name_of("orders/x/")));
        assert!(name_of(&"ä/".repeat(100)).len() <= LONGEST_KEY_IN_NAME);
    }

    #[test]
    fn an_unfinished_write_leaves_nothing_when_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        let unfinished = Unfinished::create(&root, "a/b").unwrap();
        let path = unfinished.path().to_owned();
        assert!(path.exists());
        drop(unfinished);
        assert!(!path.exists());
    }
}
