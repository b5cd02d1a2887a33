//! Secrets that settings point to: read when they are needed, those of Secrets Manager at most once a minute.

use std::{collections::BTreeMap, fs, sync::Arc, time::Duration};

use lifeboat_aws::{Aws, AwsSettings, EcsTasks, EventBridge, SecretsManager};
use lifeboat_core::{
    Error, ErrorKind, Result,
    config::SecretRef,
    ports::{EventBus, Secrets, Tasks},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

use crate::environment::Environment;

/// How long a secret is taken for what it was: it may be rotated while a function's process lives on, and Lambda's first
/// retry of what failed for that comes after a minute.
const FRESH: Duration = Duration::from_secs(50);

/// What one process keeps from run to run: a function is invoked many times.
#[derive(Default)]
pub struct Kept {
    aws: OnceCell<Aws>,
    bus: OnceCell<Arc<dyn EventBus>>,
    tasks: OnceCell<Arc<dyn Tasks>>,
    manager: OnceCell<Arc<dyn Secrets>>,
    secrets: Mutex<BTreeMap<String, (Instant, SecretString)>>,
}

/// Nothing of it: secrets are in it.
impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl Kept {
    /// With another place of secrets than Secrets Manager.
    pub fn with_secrets(secrets: Arc<dyn Secrets>) -> Self {
        Self { manager: OnceCell::new_with(Some(secrets)), ..Self::default() }
    }

    /// With these settings of AWS.
    pub fn with_aws(aws: Aws) -> Self {
        Self { aws: OnceCell::new_with(Some(aws)), ..Self::default() }
    }

    /// With another bus than EventBridge.
    pub fn with_bus(bus: Arc<dyn EventBus>) -> Self {
        Self { bus: OnceCell::new_with(Some(bus)), ..Self::default() }
    }

    /// With other tasks than those of ECS.
    pub fn with_tasks(tasks: Arc<dyn Tasks>) -> Self {
        Self { tasks: OnceCell::new_with(Some(tasks)), ..Self::default() }
    }

    /// What starts tasks.
    pub(crate) async fn tasks(&self) -> Result<Arc<dyn Tasks>> {
        let make = || async { Ok(Arc::new(EcsTasks::new(self.aws().await?)) as Arc<dyn Tasks>) };
        self.tasks.get_or_try_init(make).await.cloned()
    }

    /// The bus of this name.
    pub(crate) async fn bus(&self, name: &str) -> Result<Arc<dyn EventBus>> {
        let make = || async { Ok(Arc::new(EventBridge::new(self.aws().await?, name)) as Arc<dyn EventBus>) };
        self.bus.get_or_try_init(make).await.cloned()
    }

    /// The AWS settings, read at the first call: most runs on other stores need none.
    pub async fn aws(&self) -> Result<&Aws> {
        self.aws.get_or_try_init(|| async { Aws::load(&AwsSettings::default()).await }).await
    }

    async fn manager(&self) -> Result<&Arc<dyn Secrets>> {
        let make = || async { Ok(Arc::new(SecretsManager::new(self.aws().await?)) as Arc<dyn Secrets>) };
        self.manager.get_or_try_init(make).await
    }

    /// A secret of Secrets Manager, as it was within the last minute; an older one where it cannot be asked for now.
    pub async fn secret(&self, name: &str) -> Result<SecretString> {
        let known = self.secrets.lock().await.get(name).cloned();
        let Some((at, known)) = known else { return self.fetch_again(name).await };
        if at.elapsed() < FRESH {
            return Ok(known);
        }
        match self.fetch_again(name).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, secret = name, "a secret could not be fetched again; the one known before is used");
                Ok(known)
            }
            other => other,
        }
    }

    /// The same as it is now: it may have been rotated.
    pub async fn fetch_again(&self, name: &str) -> Result<SecretString> {
        let found = self.manager().await?.fetch(name).await?;
        self.secrets.lock().await.insert(name.to_owned(), (Instant::now(), found.clone()));
        Ok(found)
    }
}

/// The value of a secret setting.
pub(crate) async fn resolve(secret: &SecretRef, environment: &Environment, kept: &Kept) -> Result<SecretString> {
    match secret {
        SecretRef::Env(name) => {
            let value = environment.text(name)?.ok_or_else(|| {
                Error::new(ErrorKind::Config, format!("the variable {name}, which holds a secret, is not set"))
                    .with_hint(format!("export {name}=…"))
            })?;
            Ok(value.into())
        }
        SecretRef::File(path) => {
            let name = path.display();
            let text = fs::read_to_string(path).map_err(|e| {
                Error::new(ErrorKind::Config, format!("read the secret from {name}: {e}"))
                    .with_hint("the file must hold the secret and nothing else")
            })?;
            Ok(text.trim().into())
        }
        SecretRef::Secret { name, key } => {
            let whole = kept.secret(name).await?;
            match key {
                None => Ok(whole.expose_secret().trim().into()),
                Some(key) => field(name, whole.expose_secret(), key),
            }
        }
    }
}

/// A field of a secret that is a JSON object. What the secret holds is never told.
fn field(name: &str, whole: &str, key: &str) -> Result<SecretString> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Config, format!("the secret '{name}' {what}"))
            .with_hint("store it as a JSON object with text fields, or leave `key` out")
    };
    let document: serde_json::Value = serde_json::from_str(whole).map_err(|_| wrong("is no JSON object"))?;
    let value = document.get(key).ok_or_else(|| wrong(&format!("has no field '{key}'")))?;
    value.as_str().map(SecretString::from).ok_or_else(|| wrong(&format!("has a field '{key}' that is no text")))
}

#[cfg(test)]
mod tests {
    use lifeboat_testkit::MemorySecrets;

    use super::*;

    fn kept() -> (Kept, MemorySecrets) {
        let secrets = MemorySecrets::default();
        secrets.set("plain", "hunter0\n");
        secrets.set("json", r#"{"slack":"https://hooks/x","port":5432}"#);
        (Kept::with_secrets(Arc::new(secrets.clone())), secrets)
    }

    fn secret(name: &str, key: Option<&str>) -> SecretRef {
        SecretRef::Secret { name: name.to_owned(), key: key.map(str::to_owned) }
    }

    async fn value(secret: &SecretRef, kept: &Kept) -> Result<String> {
        let environment = Environment::of([("HOOK", "https://hooks/y")]);
        resolve(secret, &environment, kept).await.map(|s| s.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_secret_is_read_from_where_it_is_kept() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "https://hooks/z\n").unwrap();
        let (kept, _) = kept();
        assert_eq!(value(&SecretRef::Env("HOOK".to_owned()), &kept).await.unwrap(), "https://hooks/y");
        assert_eq!(value(&SecretRef::File(file.path().into()), &kept).await.unwrap(), "https://hooks/z");
        assert_eq!(value(&secret("plain", None), &kept).await.unwrap(), "hunter0");
        assert_eq!(value(&secret("json", Some("slack")), &kept).await.unwrap(), "https://hooks/x");
    }

    #[tokio::test]
    async fn a_secret_is_fetched_once_until_it_is_fetched_again() {
        let (kept, secrets) = kept();
        for _ in 0..3 {
            assert_eq!(value(&secret("plain", None), &kept).await.unwrap(), "hunter0");
        }
        assert_eq!(secrets.fetched(), 1);
        secrets.set("plain", "hunter1");
        kept.fetch_again("plain").await.unwrap();
        assert_eq!(value(&secret("plain", None), &kept).await.unwrap(), "hunter1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_was_rotated_is_used_by_a_process_that_lives_on() {
        let (kept, secrets) = kept();
        assert_eq!(value(&secret("plain", None), &kept).await.unwrap(), "hunter0");
        secrets.set("plain", "hunter1");
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(value(&secret("plain", None), &kept).await.unwrap(), "hunter1");
        assert_eq!(secrets.fetched(), 2);
    }

    #[tokio::test]
    async fn what_is_missing_or_wrong_is_named_and_the_content_is_not_told() {
        let (kept, _) = kept();
        for (reference, kind, words) in [
            (SecretRef::Env("NONE".to_owned()), ErrorKind::Config, "NONE"),
            (SecretRef::File("/nowhere/hook".into()), ErrorKind::Config, "/nowhere/hook"),
            (secret("gone", None), ErrorKind::NotFound, "gone"),
            (secret("plain", Some("slack")), ErrorKind::Config, "is no JSON object"),
            (secret("json", Some("mail")), ErrorKind::Config, "no field 'mail'"),
            (secret("json", Some("port")), ErrorKind::Config, "no text"),
        ] {
            let error = value(&reference, &kept).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!format!("{error} {error:?}").contains("hunter"), "{error:?}");
        }
    }
}
