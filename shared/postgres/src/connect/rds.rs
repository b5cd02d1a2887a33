//! The certificates of Amazon RDS, which no system knows: packaged, and lent to client tools as a file.

use std::{
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use lifeboat_core::{ErrorKind, Result, ResultExt};
use tempfile::TempPath;

/// Made by `certificates/make-rds.mjs`. Above each root stands its name.
pub(super) const ROOTS: &str = include_str!("../../certificates/rds.pem");

/// Where AWS keeps the certificates of all regions, newer ones than these among them.
pub(crate) const NEWEST: &str = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem";

/// How names of servers of RDS and Aurora end, those of proxies among them.
const ENDINGS: [&str; 2] = [".rds.amazonaws.com", ".rds.amazonaws.com.cn"];

/// The roots of RDS, and the file that client tools read them from: written when the first of them starts, gone with the
/// last clone.
#[derive(Clone, Default)]
pub(super) struct RdsRoots(Arc<Mutex<Option<TempPath>>>);

impl RdsRoots {
    /// Where this is a server of RDS in a region whose roots are packaged.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        is_packaged(region_of(host)?).then(Self::default)
    }

    /// The file, which only this account may read.
    pub(super) fn file(&self) -> Result<PathBuf> {
        let doing = "write the certificates of RDS for client tools";
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &*file {
            return Ok(path.to_path_buf());
        }
        let mut new = tempfile::Builder::new()
            .prefix("lifeboat-rds-")
            .suffix(".pem")
            .tempfile()
            .or_error(ErrorKind::ClientTool, doing)?;
        new.write_all(ROOTS.as_bytes()).or_error(ErrorKind::ClientTool, doing)?;
        let path = new.into_temp_path();
        let name = path.to_path_buf();
        *file = Some(path);
        Ok(name)
    }
}

/// The region in the name of a server of RDS, such as `eu-central-1`.
pub(crate) fn region_of(host: &str) -> Option<&str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let before = ENDINGS.iter().find_map(|ending| host.strip_suffix(ending))?;
    before.rsplit('.').next()
}

/// Whether servers of a region can be checked with the packaged roots.
pub(crate) fn is_packaged(region: &str) -> bool {
    ROOTS.contains(&format!("\n# Amazon RDS {region} Root CA "))
}

#[cfg(test)]
mod tests;
