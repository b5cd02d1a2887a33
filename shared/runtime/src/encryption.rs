//! From settings and flags to keys: whom a dump is encrypted to, and what opens a backup.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use lifeboat_archive::encryption::{Identities, ParseKeyError, Recipients};
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::{DatabaseConfig, SecretRef},
    ids::DatabaseSlug,
    manifest::Manifest,
    ports::Clock,
    reading,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{clock::SystemClock, setup::Setup};

/// How a dump is encrypted; not at all where there is neither.
#[derive(Debug, Clone, Default)]
pub struct SealTo {
    /// Whom to.
    pub recipients: Option<Arc<Recipients>>,
    /// What keeps the key of the backup, where nobody is named.
    pub passphrase: Option<SecretString>,
}

impl Setup {
    /// How a database's backup is encrypted: as the flags say, else as is configured. `Refused` where it must be encrypted and
    /// nothing is said; `Keys` where a key must not be used any more.
    pub async fn sealing(&self, slug: &DatabaseSlug, config: &DatabaseConfig, flags: &[String]) -> Result<SealTo> {
        let configured = &config.encryption;
        if flags.is_empty() && configured.encrypt_to.value.is_empty() {
            let passphrase = self.passphrase(config, Some(slug)).await?;
            if passphrase.is_none() && configured.required.value {
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
            return Ok(SealTo { recipients: None, passphrase });
        }
        let parsed = if flags.is_empty() {
            Recipients::parse(configured.encrypt_to.value.iter().map(String::as_str))
                .map_err(|e| Error::new(ErrorKind::Config, format!("encrypt to: {e}")))
        } else {
            recipients_of(flags).map_err(|e| e.context("encrypt to"))
        };
        let recipients = parsed?.fit_at(now()).map_err(|e| reading::unfit(&e).context("encrypt to"))?;
        Ok(SealTo { recipients: Some(Arc::new(recipients)), passphrase: None })
    }

    /// The passphrase that keeps keys of backups, if there is one: the environment's, else the configured one.
    pub(crate) async fn passphrase(
        &self,
        config: &DatabaseConfig,
        slug: Option<&DatabaseSlug>,
    ) -> Result<Option<SecretString>> {
        let own = config.encryption.passphrase.as_ref();
        let Some(secret) = self.config.passphrase.as_ref().or(own) else { return Ok(None) };
        let found = self.key_secret(&secret.value, "passphrase").await?;
        if found.expose_secret().is_empty() {
            let whose = slug.map(|slug| format!(" of {slug}")).unwrap_or_default();
            return Err(Error::new(ErrorKind::Keys, format!("the passphrase{whose} is empty: {}", secret.value)));
        }
        Ok(Some(found))
    }

    /// What opens a database's backups: a file, else what is configured, and a passphrase; else nothing. `Keys` where a key is
    /// named and is not there.
    pub async fn identities(&self, config: &DatabaseConfig, file: Option<&Path>) -> Result<Arc<Identities>> {
        let keys = self.secret_keys(config, file).await?;
        let passphrase = self.passphrase(config, None).await?.map(Identities::of_passphrase);
        Ok(Arc::new(self.judged(keys.and(passphrase.unwrap_or_default()))))
    }

    /// The same of several files, each of which must be there.
    pub async fn identities_of(&self, config: &DatabaseConfig, files: &[PathBuf]) -> Result<Arc<Identities>> {
        let [first, others @ ..] = files else { return self.identities(config, None).await };
        let mut all = (*self.identities(config, Some(first)).await?).clone();
        for file in others {
            all = all.and(self.secret_keys(config, Some(file)).await?);
        }
        Ok(Arc::new(all))
    }

    /// Secret keys: those in a file, else the configured ones.
    async fn secret_keys(&self, config: &DatabaseConfig, file: Option<&Path>) -> Result<Identities> {
        let (text, from) = if let Some(path) = file {
            (read_identities(path)?, path.display().to_string())
        } else if let Some(secret) = &config.encryption.identity {
            (self.key_secret(&secret.value, "identity").await?, secret.value.to_string())
        } else {
            return Ok(Identities::default());
        };
        // The passphrase is asked for only where a key wants one.
        match Identities::parse(text.expose_secret()) {
            Err(ParseKeyError::Locked { .. }) => {}
            parsed => return parsed.map_err(|e| no_identities(&e, &from)),
        }
        let own = config.encryption.identity_passphrase.as_ref();
        let passphrase = match self.config.identity_passphrase.as_ref().or(own) {
            Some(secret) => Some(self.key_secret(&secret.value, "passphrase of the identity").await?),
            None => None,
        };
        Identities::parse_locked(text.expose_secret(), passphrase.as_ref()).map_err(|e| no_identities(&e, &from))
    }

    /// A secret without which nothing is opened: where it is not there, a key is missing, however it is kept.
    async fn key_secret(&self, from: &SecretRef, what: &str) -> Result<SecretString> {
        self.secret(from).await.map_err(|e| match e.kind() {
            ErrorKind::Config | ErrorKind::NotFound => {
                let hint = e.hint().to_owned();
                Error::new(ErrorKind::Keys, format!("read the {what} from {from}: {e}")).with_hint(hint)
            }
            _ => e.context(format!("read the {what} from {from}")),
        })
    }

    /// Keys that have expired or were revoked open nothing, unless that is wanted.
    fn judged(&self, identities: Identities) -> Identities {
        let accept = self.config.accept_expired_keys.as_ref().is_some_and(|accept| accept.value);
        if accept { identities } else { identities.judged_at(now()) }
    }

    /// The same for one backup: nothing is looked for where it is not encrypted.
    pub async fn identities_for(&self, manifest: &Manifest, file: Option<&Path>) -> Result<Arc<Identities>> {
        if manifest.encryption.is_none() {
            return Ok(Arc::default());
        }
        let config = self.database(&manifest.database);
        let keys = match manifest.encryption.as_ref().and_then(|encryption| encryption.key.as_ref()) {
            Some(_) if file.is_none() => {
                self.passphrase(&config, None).await?.map(Identities::of_passphrase).unwrap_or_default()
            }
            _ => self.secret_keys(&config, file).await?,
        };
        Ok(Arc::new(self.judged(keys)))
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

fn now() -> u64 {
    u64::try_from(SystemClock::default().now().as_second()).unwrap_or(0)
}

/// Public keys as a person gives them: themselves, or files that hold them, as `gpg --export` and `age -R` want them.
fn recipients_of(flags: &[String]) -> Result<Recipients> {
    let mut keys = Vec::new();
    for flag in flags {
        // A secret key is no file's name, and what is not there may be one that was mistyped: it is not looked for long.
        match fs::read_to_string(flag) {
            Ok(text) if text.contains("-----BEGIN PGP ") => keys.push(from_block(&text).to_owned()),
            Ok(text) => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                keys.extend(lines.map(str::to_owned));
            }
            // No key of age has a slash in it.
            Err(error) if flag.contains('/') && !flag.contains("-----BEGIN PGP ") => {
                return Err(Error::new(ErrorKind::Usage, format!("read the public keys in {flag}: {error}"))
                    .with_hint("name a file that is there, or the public key itself"));
            }
            Err(_) => keys.push(flag.clone()),
        }
    }
    Recipients::parse(keys.iter().map(String::as_str)).map_err(|e| Error::new(ErrorKind::Usage, e.to_string()))
}

/// A block of keys without what stands before it.
fn from_block(text: &str) -> &str {
    text.find("-----BEGIN PGP ").map_or(text, |begin| &text[begin..])
}

fn read_identities(path: &Path) -> Result<SecretString> {
    let name = path.display().to_string();
    fs::read_to_string(path).map(SecretString::from).map_err(|e| {
        Error::new(ErrorKind::Keys, format!("read the identity from {name}: {e}"))
            .with_hint("name the file that `lifeboat keys new`, age-keygen, or gpg --armor --export-secret-keys wrote")
    })
}

fn no_identities(error: &ParseKeyError, from: &str) -> Error {
    let hint = match error {
        ParseKeyError::Locked { .. } | ParseKeyError::WrongPassphrase { .. } => {
            "set LIFEBOAT_IDENTITY_PASSPHRASE, or databases.NAME.identity_passphrase = { file = \"…\" }, to the passphrase of the \
             secret key"
        }
        _ => {
            "it is a file of lines AGE-SECRET-KEY-1…, as `lifeboat keys new` and age-keygen write it, or of blocks that \
             gpg --armor --export-secret-keys prints"
        }
    };
    Error::new(ErrorKind::Keys, format!("read the identity from {from}: {error}")).with_hint(hint)
}
