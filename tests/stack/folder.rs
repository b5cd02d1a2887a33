//! The folder `.stack` of the checkout: what is running, and how to reach it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    net::{SocketAddr, TcpStream},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use lifeboat_tests::cluster::repository;
use serde_json::Value;

/// The folder. It holds passwords of throwaway servers, so only its owner can enter it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn of_checkout() -> Self {
        Self(repository().join(".stack"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What `stack serve` prints.
    pub(crate) fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// The file that shells read with `source`.
    pub(crate) fn exports(&self) -> PathBuf {
        self.0.join("env")
    }

    fn make(&self) -> Result<()> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.with_context(|| format!("make {}", self.0.display()))
    }

    /// The lock that `stack serve` holds as long as it lives; `None` where another process holds it.
    pub(crate) fn lock(&self) -> Result<Option<File>> {
        self.make()?;
        let path = self.0.join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("lock {}", path.display())),
        }
    }

    /// Whether a stack is running, or about to.
    pub(crate) fn is_served(&self) -> Result<bool> {
        Ok(self.lock()?.is_none())
    }

    /// Removes what a stack left behind; the lock stays, because another process may be taking it.
    pub(crate) fn clear(&self) -> Result<()> {
        self.make()?;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != "lock") {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.with_context(|| format!("remove {}", path.display()))?;
            }
        }
        Ok(())
    }

    pub(crate) fn open_log(&self) -> Result<File> {
        File::create(self.log()).with_context(|| format!("write {}", self.log().display()))
    }

    pub(crate) fn last_words(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Written by the server before anything else.
    pub(crate) fn write_server(&self, process: u32) -> Result<()> {
        fs::write(self.0.join("pid"), process.to_string()).context("write the process id")
    }

    /// The server's process id. To be believed only while [`Self::is_served`].
    pub(crate) fn server(&self) -> Option<String> {
        fs::read_to_string(self.0.join("pid")).ok()
    }

    /// Written when everything is ready; appears at once and whole.
    pub(crate) fn write_state(&self, state: &Value) -> Result<()> {
        let new = self.0.join("state.new");
        fs::write(&new, serde_json::to_vec_pretty(state)?)?;
        fs::rename(new, self.0.join("state.json")).context("write the state")
    }

    /// What is running; `None` before everything is ready.
    pub(crate) fn state(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.0.join("state.json")).ok()?).ok()
    }

    /// Where the servers listen.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let state = self.state().unwrap_or_default();
        let addresses = state["addresses"].as_array().into_iter().flatten();
        addresses.filter_map(|address| address.as_str()?.parse().ok()).collect()
    }
}

/// Whether nobody listens there.
pub(crate) fn is_free(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err()
}
