//! The server's disk, where this machine is the server's.

use std::path::Path;

use lifeboat_core::{
    Result,
    ports::{Disk, question},
};

use super::{questions::Questions, statements};
use crate::connect::ConnectionTarget;

/// The disk of the server's data; none where it is on another machine, or its folder cannot be found out.
pub(super) async fn of(q: &mut Questions<'_>, target: &ConnectionTarget) -> Result<Option<Disk>> {
    if !target.is_on_this_machine() {
        return Ok(None);
    }
    let rows = q.ask(question::DATA_FOLDER, statements::DATA_DIRECTORY).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let (folder, started): (String, i64) = (row.get(0), row.get(1));
    // A loopback address may be a tunnel's end, and a folder of the same name be another server's.
    if !target.is_socket() && !is_of_server(Path::new(&folder), started) {
        q.hide(question::DISK, format!("{folder} is not on this machine, or cannot be looked into"));
        return Ok(None);
    }
    match rustix::fs::statvfs(folder.as_str()) {
        // Of what the server can ever have, as `df` counts it: blocks kept for root are neither used nor free.
        Ok(found) => Ok(Some(Disk {
            total_bytes: found
                .f_blocks
                .saturating_sub(found.f_bfree)
                .saturating_add(found.f_bavail)
                .saturating_mul(found.f_frsize),
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            folder,
        })),
        Err(error) => {
            q.hide(question::DISK, format!("{folder}: {error}"));
            Ok(None)
        }
    }
}

/// Whether the folder is that of a server started at this second: its third line says so.
fn is_of_server(folder: &Path, started: i64) -> bool {
    let Ok(text) = std::fs::read_to_string(folder.join("postmaster.pid")) else { return false };
    let written: Option<i64> = text.lines().nth(2).and_then(|line| line.trim().parse().ok());
    // The file is written moments before the time that the server tells.
    written.is_some_and(|written| (0..=60).contains(&(started - written)))
}
