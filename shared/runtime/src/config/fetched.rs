//! Fetches the configuration of a task, which has no folder of its own to find it in: files that variables name in S3.

use std::{fs, io, path::Path};

use lifeboat_core::{Error, ErrorKind, Result};
use lifeboat_store::S3Settings;

use super::ENDPOINTS;
use crate::environment::Environment;

/// Variables that may name an object of S3 instead of a file, and what that becomes here.
const FILES: [(&str, &str); 2] = [("LIFEBOAT_CONFIG", "lifeboat.toml"), ("LIFEBOAT_ROOT_CERT", "root-cert.pem")];

/// A configuration of a thousand databases has half a megabyte.
const LIMIT: u64 = 16 << 20;

/// The environment with every such object in `folder`, and named there.
pub(crate) async fn fetched(mut environment: Environment, folder: &Path) -> Result<Environment> {
    for (variable, name) in FILES {
        let Some(url) = environment.text(variable)?.filter(|text| text.starts_with("s3://")) else { continue };
        let bytes = read(&url, &environment).await.map_err(|e| e.context(format!("{variable}: read {url}")))?;
        let file = folder.join(name);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&file, &bytes));
        written.map_err(|e: io::Error| {
            Error::new(ErrorKind::Config, format!("{variable}: write {}: {e}", file.display()))
                .with_hint("a task needs a folder to write to: /tmp, or the one that TMPDIR names")
        })?;
        environment.set(variable, file.as_os_str());
    }
    Ok(environment)
}

async fn read(url: &str, environment: &Environment) -> Result<Vec<u8>> {
    let (folder, key) = url.rsplit_once('/').unwrap_or((url, ""));
    let mut settings = S3Settings::default();
    for name in ENDPOINTS {
        settings.endpoint_url = environment.text(name)?.or(settings.endpoint_url);
    }
    let store = lifeboat_store::open(folder, &settings).await?;
    let (bytes, _) = store.read(key, LIMIT).await?;
    Ok(bytes.to_vec())
}
