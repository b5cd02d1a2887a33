//! The folder a file store lives in: makes it, and turns keys into paths that cannot leave it.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use lifeboat_core::{Error, ErrorKind, Result};

use super::failure::failed;
use crate::key;

/// Folders are closed to strangers: a backup holds everything the database holds.
const FOLDER_MODE: u32 = 0o750;

/// The root folder.
#[derive(Debug)]
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of unfinished writes and of the lock.
    pub(super) fn scratch(&self) -> PathBuf {
        self.0.join(key::SCRATCH)
    }

    /// Before a read: the root must be there.
    pub(super) fn existing(&self) -> Result<()> {
        match fs::metadata(&self.0) {
            Ok(facts) if facts.is_dir() => Ok(()),
            Ok(_) => Err(Error::new(ErrorKind::Store, format!("{} is not a folder", self.0.display()))
                .with_hint("the store's URL must name a folder")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::new(ErrorKind::NotFound, format!("the folder {} does not exist", self.0.display()))
                    .with_hint("check the store's URL; the first backup creates the folder"))
            }
            Err(e) => Err(failed("open the store", &self.0, &e).error()),
        }
    }

    /// Before a write: makes the root if its parent is there. A missing parent is more likely a disk that is not
    /// mounted, or a slip of the pen, than a wish.
    pub(super) fn ready(&self) -> Result<()> {
        if fs::metadata(&self.0).is_ok_and(|facts| facts.is_dir()) {
            return Ok(());
        }
        if let Some(parent) = self.0.parent().filter(|parent| !parent.is_dir()) {
            return Err(Error::new(ErrorKind::NotFound, format!("the folder {} does not exist", parent.display()))
                .with_hint(format!(
                    "only the store's last folder is created; if the path is right: mkdir -p '{}'",
                    parent.display()
                )));
        }
        make_folder(&self.0)?;
        self.existing()
    }

    /// The path of an object; refuses keys that would leave the root, by name or through a symbolic link.
    pub(super) fn path_of(&self, key: &str) -> Result<PathBuf> {
        key::check(key)?;
        self.below(key)
    }

    /// The path of a folder: what stands before the last '/' of a prefix already checked.
    pub(super) fn folder_of(&self, prefix: &str) -> Result<PathBuf> {
        match prefix.rsplit_once('/') {
            Some((folder, _)) => self.below(folder),
            None => Ok(self.0.clone()),
        }
    }

    fn below(&self, relative: &str) -> Result<PathBuf> {
        let mut path = self.0.clone();
        for segment in relative.split('/') {
            path.push(segment);
            match fs::symlink_metadata(&path) {
                Ok(facts) if facts.is_symlink() => {
                    return Err(Error::new(
                        ErrorKind::Store,
                        format!("{} is a symbolic link, which a store does not follow", path.display()),
                    )
                    .with_hint("replace it with a real folder or a mount; only the store's root may be a link"));
                }
                Ok(_) => {}
                // Nothing is there, so nothing below it is a link either.
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(self.0.join(relative)),
                Err(e) => return Err(failed("open", &path, &e).error()),
            }
        }
        Ok(path)
    }

    /// Makes the folders between the root and `path`, each durably.
    pub(super) fn make_parents(&self, path: &Path) -> Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent.is_dir() || !parent.starts_with(&self.0) {
            return Ok(());
        }
        self.make_parents(parent)?;
        make_folder(parent)
    }
}

fn make_folder(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(failed("create a folder", path, &e).error()),
    }
}

/// Makes names created in a folder, or removed from it, survive a power cut.
pub(super) fn sync_folder(path: &Path) -> Result<()> {
    fs::File::open(path).and_then(|folder| folder.sync_all()).map_err(|e| failed("sync a folder", path, &e).error())
}
