//! From settings and flags to keys: whom a dump is encrypted to, and what opens a backup.

use std::{fs, path::Path, sync::Arc};

use lifeboat_archive::encryption::{Identities, Recipients};
use lifeboat_core::{Error, ErrorKind, Result, config::DatabaseConfig, ids::DatabaseSlug, manifest::Manifest};
use secrecy::ExposeSecret;

use crate::setup::Setup;

impl Setup {
    /// Whom a database's backup is encrypted to: the flags, else what is configured. `Refused` where nobody is named and it
    /// must be encrypted.
    pub fn recipients(
        &self,
        slug: &DatabaseSlug,
        config: &DatabaseConfig,
        flags: &[String],
    ) -> Result<Option<Arc<Recipients>>> {
        let configured = &config.encryption;
        let (named, kind) = match flags {
            [] => (&configured.encrypt_to.value[..], ErrorKind::Config),
            flags => (flags, ErrorKind::Usage),
        };
        if named.is_empty() {
            if configured.required.value {
                return Err(Error::new(
                    ErrorKind::Refused,
                    format!("a backup of {slug} must be encrypted, and nobody is named to encrypt it to"),
                )
                .with_hint(format!(
                    "set databases.{slug}.encrypt_to, or give --encrypt-to age1…; `lifeboat keys new FILE` makes a key \
                     (require_encryption: {})",
                    configured.required.origin
                )));
            }
            return Ok(None);
        }
        let parsed = Recipients::parse(named.iter().map(String::as_str));
        parsed.map(|recipients| Some(Arc::new(recipients))).map_err(|e| Error::new(kind, format!("encrypt to: {e}")))
    }

    /// What opens a database's backups: a file, else what is configured, else nothing. `Keys` where a key is named and is not
    /// there.
    pub async fn identities(&self, config: &DatabaseConfig, file: Option<&Path>) -> Result<Arc<Identities>> {
        if let Some(path) = file {
            return identities_in(path);
        }
        let Some(secret) = &config.encryption.identity else { return Ok(Arc::default()) };
        let from = &secret.value;
        let text = self.secret(from).await.map_err(|e| match e.kind() {
            // Not there is not there, however it is kept.
            ErrorKind::Config | ErrorKind::NotFound => {
                let hint = e.hint().to_owned();
                Error::new(ErrorKind::Keys, format!("read the identity from {from}: {e}")).with_hint(hint)
            }
            _ => e.context(format!("read the identity from {from}")),
        })?;
        parse(text.expose_secret(), &from.to_string())
    }

    /// The same for one backup: nothing is looked for where it is not encrypted.
    pub async fn identities_for(&self, manifest: &Manifest, file: Option<&Path>) -> Result<Arc<Identities>> {
        if manifest.encryption.is_none() {
            return Ok(Arc::default());
        }
        self.identities(&self.database(&manifest.database), file).await
    }

    /// The same for a verify, which can do without: functions never look, and a person's without a file goes on with hashes
    /// where the key cannot be read.
    pub(crate) async fn identities_to_verify(
        &self,
        manifest: &Manifest,
        file: Option<&Path>,
    ) -> Result<Arc<Identities>> {
        if self.operation().is_some() {
            return Ok(Arc::default());
        }
        match self.identities_for(manifest, file).await {
            Err(error) if file.is_none() => {
                tracing::warn!(%error, "the backup is hashed, and not opened");
                Ok(Arc::default())
            }
            found => found,
        }
    }
}

/// The identities in a file.
pub fn identities_in(path: &Path) -> Result<Arc<Identities>> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|e| {
        Error::new(ErrorKind::Keys, format!("read the identity from {name}: {e}"))
            .with_hint("name the file that `lifeboat keys new` or age-keygen wrote")
    })?;
    parse(&text, &name)
}

fn parse(text: &str, from: &str) -> Result<Arc<Identities>> {
    Identities::parse(text).map(Arc::new).map_err(|e| {
        Error::new(ErrorKind::Keys, format!("read the identity from {from}: {e}"))
            .with_hint("it is a file of lines AGE-SECRET-KEY-1…, as `lifeboat keys new` and age-keygen write it")
    })
}
