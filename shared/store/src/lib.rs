//! Where backups lie: a folder or an S3 bucket behind the one port [`Store`], and the URL that names either.

use std::sync::Arc;

use lifeboat_core::{Result, ports::Store};

mod file;
mod key;
mod location;
mod s3;

pub use file::FileStore;
pub use location::Location;
pub use s3::{S3Settings, S3Store};

/// Opens the store a URL names: `file:///absolute/folder` or `s3://bucket/prefix`.
///
/// Nothing is asked of the store yet, except that the credentials and the region of an S3 store are looked for; use
/// [`Store::probe`] to learn whether it answers. Errors: `Usage` for a URL that makes no sense, `Config` where no
/// region can be found.
pub async fn open(url: &str, s3: &S3Settings) -> Result<Arc<dyn Store>> {
    match url.parse::<Location>()? {
        Location::File { root } => Ok(Arc::new(FileStore::new(url, root))),
        Location::S3 { bucket, prefix } => Ok(Arc::new(S3Store::connect(url, bucket, prefix, s3).await?)),
    }
}
