//! Throwaway clusters that outlived whoever made them: a machine that crashed leaves their folders, a killed guardian their server.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    ports::{LeftScratch, ScratchReaper},
};
use rustix::process::{Pid, Signal, kill_process};

use super::{FOLDER_PREFIX, remove_folder};

/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Finds and removes left clusters below one folder.
#[derive(Debug, Clone)]
pub struct LeftClusters {
    /// Where throwaway clusters are made.
    pub work_folder: PathBuf,
}

#[async_trait]
impl ScratchReaper for LeftClusters {
    fn describe(&self) -> String {
        format!("clusters in {}", self.work_folder.display())
    }

    async fn left(&self) -> Result<Vec<LeftScratch>> {
        let folder = self.work_folder.clone();
        tokio::task::spawn_blocking(move || find(&folder)).await.or_error(ErrorKind::Unexpected, "look for clusters")?
    }

    async fn remove(&self, left: &LeftScratch) -> Result<()> {
        let folder = PathBuf::from(&left.name);
        tokio::task::spawn_blocking(move || remove(&folder))
            .await
            .or_error(ErrorKind::Unexpected, "remove a cluster")?
    }
}

fn find(work_folder: &Path) -> Result<Vec<LeftScratch>> {
    let doing = || format!("look for clusters in {}", work_folder.display());
    let mut left = Vec::new();
    for entry in fs::read_dir(work_folder).or_error(ErrorKind::Config, doing())? {
        let entry = entry.or_error(ErrorKind::Config, doing())?;
        if !entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX) {
            continue;
        }
        let folder = entry.path();
        if let Some(made_at) = made_at(&folder) {
            left.push(LeftScratch {
                kind: "local cluster".to_owned(),
                in_use: guarded(&folder).then(|| "the process that made it still lives".to_owned()),
                name: folder.display().to_string(),
                made_at,
                expires_at: None,
            });
        }
    }
    left.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(left)
}

/// When the cluster in a folder was made; none where the folder is not provably one of ours: its settings name the
/// folder itself as the only place of the server's socket, as no other program writes them.
fn made_at(folder: &Path) -> Option<Timestamp> {
    if !fs::symlink_metadata(folder).ok()?.is_dir() {
        return None;
    }
    let settings = folder.join("settings");
    let socket = folder.join("socket");
    let ours = format!("unix_socket_directories = '\"{}\"'", socket.display());
    let text = fs::read_to_string(&settings).ok()?;
    if !text.lines().any(|line| line == ours) || !fs::symlink_metadata(&socket).ok()?.is_dir() {
        return None;
    }
    Timestamp::try_from(fs::metadata(&settings).ok()?.modified().ok()?).ok()
}

/// Whether a guardian watches over it: then whoever made it lives. Where processes cannot be listed, a server that runs
/// counts as watched.
fn guarded(folder: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return server(folder).is_some() };
    processes.flatten().any(|process| {
        let Ok(line) = fs::read(process.path().join("cmdline")) else { return false };
        let arguments: Vec<&[u8]> = line.split(|b| *b == 0).collect();
        arguments.contains(&b"lifeboat-guardian".as_slice())
            && arguments.contains(&folder.as_os_str().as_encoded_bytes())
    })
}

/// The server that runs in a folder, as far as it can be proven: its process has the data folder as its own.
fn server(folder: &Path) -> Option<Pid> {
    let data = folder.join("data");
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let at = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    if at == data.canonicalize().ok()? { Pid::from_raw(pid) } else { None }
}

fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    if made_at(folder).is_none() || guarded(folder) {
        return Err(Error::new(ErrorKind::Refused, format!("{} is in use, or not Lifeboat's", folder.display())));
    }
    if let Some(pid) = server(folder) {
        // Ends at once, with all its processes; nothing of it is worth keeping.
        kill_process(pid, Signal::QUIT)
            .or_error(ErrorKind::Unexpected, format!("end the server in {}", folder.display()))?;
        let until = Instant::now() + PATIENCE;
        while server(folder).is_some() {
            if Instant::now() > until {
                let message = format!("the server in {} does not end", folder.display());
                return Err(
                    Error::new(ErrorKind::Unexpected, message).with_hint("end it by hand, then remove its folder")
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    remove_folder(folder)
}
