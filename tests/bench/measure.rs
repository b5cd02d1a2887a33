//! Measures one command: wall time, CPU of the client and of the server, and the peak of memory of the client.

use std::{
    collections::HashMap,
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// Clock ticks a second in /proc, 100 on every Linux of today.
const TICKS: f64 = 100.0;

/// One measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    /// Seconds from start to end.
    pub wall: f64,
    /// CPU seconds of the command and its children.
    pub client_cpu: f64,
    /// CPU seconds of the PostgreSQL server meanwhile.
    pub server_cpu: f64,
    /// Peak of resident memory of the command and its children together, MiB.
    pub peak_mib: f64,
    /// Bytes written or read by the case, as it says.
    pub bytes: u64,
}

/// Fields of /proc/<pid>/stat after the program's name: index 0 is the state.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(')')?.1;
    Some(rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn parents() -> HashMap<u32, u32> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok())
            && let Some(fields) = stat(pid)
            && let Some(parent) = fields.get(1).and_then(|p| u32::try_from(*p).ok())
        {
            parents.insert(pid, parent);
        }
    }
    parents
}

fn tree(root: u32) -> Vec<u32> {
    let parents = parents();
    let mut found = vec![root];
    loop {
        let more: Vec<u32> =
            parents.iter().filter(|(pid, p)| found.contains(p) && !found.contains(pid)).map(|(pid, _)| *pid).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// CPU seconds of a server: the postmaster, its children that are alive, and those that have ended.
fn server_cpu(postmaster: u32) -> f64 {
    let parents = parents();
    let own = stat(postmaster).map_or(0, |f| f[11..15].iter().sum::<u64>());
    let live: u64 = parents
        .iter()
        .filter(|(_, parent)| **parent == postmaster)
        .filter_map(|(pid, _)| stat(*pid))
        .map(|f| f[11] + f[12])
        .sum();
    (own + live) as f64 / TICKS
}

/// CPU seconds of all children of this process that have ended.
fn children_cpu() -> f64 {
    stat(std::process::id()).map_or(0.0, |f| (f[13] + f[14]) as f64 / TICKS)
}

fn resident_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Runs commands at once, to their ends, and measures them together. Any that fails is an error.
pub(crate) fn measure(
    commands: Vec<Command>,
    postmaster: u32,
    bytes: impl FnOnce() -> Result<u64>,
) -> Result<Measured> {
    let (server_before, client_before) = (server_cpu(postmaster), children_cpu());
    let began = Instant::now();
    let mut children = Vec::new();
    for mut command in commands {
        let name = command.get_program().to_string_lossy().into_owned();
        children.push((command.spawn().with_context(|| format!("start {name}"))?, name));
    }
    let roots: Vec<u32> = children.iter().map(|(child, _)| child.id()).collect();
    let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watcher = {
        let (peak, ended) = (Arc::clone(&peak), Arc::clone(&ended));
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let now: u64 = roots.iter().flat_map(|root| tree(*root)).map(resident_kib).sum();
                peak.fetch_max(now, Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(25));
            }
        })
    };
    for (child, name) in &mut children {
        let status = child.wait()?;
        ensure!(status.success(), "{name} ended with {status}");
    }
    let wall = began.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    watcher.thread().unpark();
    drop(watcher.join());
    Ok(Measured {
        wall,
        client_cpu: children_cpu() - client_before,
        server_cpu: server_cpu(postmaster) - server_before,
        peak_mib: peak.load(Ordering::Relaxed) as f64 / 1024.0,
        bytes: bytes()?,
    })
}
