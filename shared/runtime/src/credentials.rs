//! Credentials of databases that are kept in Secrets Manager, or that IAM stands for.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use lifeboat_aws::RdsTokens;
use lifeboat_core::{Error, ErrorKind, Result};
use lifeboat_postgres::{ConnectionTarget, CredentialSource, Credentials};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::secrets::Kept;

/// What a secret that RDS made holds; RDS adds more. What RDS manages itself holds user and password only.
#[derive(Deserialize)]
struct Document {
    username: String,
    #[serde(deserialize_with = "secret")]
    password: SecretString,
    host: Option<String>,
    port: Option<Port>,
    dbname: Option<String>,
    engine: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// RDS writes a number, people write texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(u16),
    Text(String),
}

/// A connection as the secret of this name describes it, and its credentials, asked for anew after a rotation.
pub(crate) async fn of_secret(kept: &Arc<Kept>, name: &str, server: Option<&str>) -> Result<ConnectionTarget> {
    let text = kept.secret(name).await?;
    let (target, _) = read(name, text.expose_secret(), server)?;
    let source = Rotated { kept: Arc::clone(kept), name: name.to_owned(), server: server.map(str::to_owned) };
    Ok(target.with_credentials(Arc::new(source)))
}

/// A connection whose password is a token of IAM. Always encrypted and checked.
pub(crate) async fn of_iam(kept: &Kept, url: &str) -> Result<ConnectionTarget> {
    let target = ConnectionTarget::parse(url)?.of_rds();
    let tokens = RdsTokens::new(kept.aws().await?, target.host(), target.port(), target.user())?;
    let source = Minted { tokens, user: target.user().to_owned() };
    Ok(target.with_credentials(Arc::new(source)))
}

/// Reads a secret; what it holds is never told.
fn read(name: &str, text: &str, server: Option<&str>) -> Result<(ConnectionTarget, Credentials)> {
    let wrong = |what: &str| {
        Error::new(ErrorKind::Config, format!("the secret '{name}' {what}"))
            .with_hint("docs/CONFIG.md says what the secret of a database may hold")
    };
    let text = text.trim();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        if server.is_some() {
            return Err(wrong("holds a whole URL: leave `server` out"));
        }
        let target = ConnectionTarget::parse(text).map_err(|e| wrong(&format!("holds no usable URL: {e}")))?;
        let password = target.password().cloned().ok_or_else(|| wrong("holds a URL without a password"))?;
        let user = target.user().to_owned();
        return Ok((target, Credentials { user, password }));
    }
    let document: Document = serde_json::from_str(text)
        .map_err(|_| wrong("holds neither a postgres:// URL nor JSON with username and password"))?;
    if let Some(engine) = document.engine.as_deref().filter(|engine| !engine.contains("postgres")) {
        return Err(wrong(&format!("is of a database of another engine: {engine}")));
    }
    let user = document.username;
    let target = match (server, document.host) {
        (Some(server), _) => ConnectionTarget::parse_for(&user, server),
        (None, Some(host)) => {
            let port = match document.port {
                None => 5432,
                Some(Port::Number(port)) => port,
                Some(Port::Text(text)) => text.parse().map_err(|_| wrong("has a port that is no port"))?,
            };
            let database = document.dbname.ok_or_else(|| {
                wrong("names no database")
                    .with_hint("add dbname to the secret, or write server = \"postgres://HOST:5432/DATABASE\"")
            })?;
            ConnectionTarget::of_parts(&host, port, &user, &database)
        }
        (None, None) => {
            let hint = "write server = \"postgres://HOST:5432/DATABASE\" beside the secret's name";
            return Err(wrong("names no host").with_hint(hint));
        }
    };
    let target = target.map_err(|e| wrong(&format!("does not describe a database: {e}")))?;
    Ok((target, Credentials { user, password: document.password }))
}

/// Credentials that somebody rotates.
struct Rotated {
    kept: Arc<Kept>,
    name: String,
    server: Option<String>,
}

impl Rotated {
    fn credentials(&self, text: &SecretString) -> Result<Credentials> {
        Ok(read(&self.name, text.expose_secret(), self.server.as_deref())?.1)
    }
}

#[async_trait]
impl CredentialSource for Rotated {
    async fn current(&self) -> Result<Credentials> {
        self.credentials(&self.kept.secret(&self.name).await?)
    }

    async fn renewed(&self, refused: &Credentials) -> Result<Option<Credentials>> {
        // Another connection of the same run may have asked already.
        let known = self.current().await?;
        if known != *refused {
            return Ok(Some(known));
        }
        tracing::info!(secret = self.name, "the server refused the password: the secret is fetched again");
        let newer = self.credentials(&self.kept.fetch_again(&self.name).await?)?;
        Ok((newer != *refused).then_some(newer))
    }

    fn may_be_outdated(&self) -> bool {
        true
    }
}

/// A token per connection.
struct Minted {
    tokens: RdsTokens,
    user: String,
}

#[async_trait]
impl CredentialSource for Minted {
    async fn current(&self) -> Result<Credentials> {
        Ok(Credentials { user: self.user.clone(), password: self.tokens.mint(SystemTime::now()).await? })
    }

    async fn renewed(&self, _refused: &Credentials) -> Result<Option<Credentials>> {
        Ok(None)
    }

    fn may_be_outdated(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use lifeboat_testkit::MemorySecrets;

    use super::*;

    const OF_RDS: &str = r#"{"username":"backup","password":"hunter2","engine":"postgres",
        "host":"db.example","port":5433,"dbname":"orders","dbInstanceIdentifier":"orders"}"#;

    fn kept(text: &str) -> (Arc<Kept>, MemorySecrets) {
        let secrets = MemorySecrets::default();
        secrets.set("orders/backup", text);
        (Arc::new(Kept::with_secrets(Arc::new(secrets.clone()))), secrets)
    }

    #[test]
    fn a_secret_holds_a_url_or_what_rds_writes() {
        for (text, server) in [
            (OF_RDS, None),
            ("postgres://backup:hunter2@db.example:5433/orders\n", None),
            (r#"{"username":"backup","password":"hunter2"}"#, Some("postgres://db.example:5433/orders")),
            (r#"{"username":"backup","password":"hunter2","host":"db.example","port":"5433","dbname":"orders"}"#, None),
        ] {
            let (target, credentials) = read("orders/backup", text, server).unwrap();
            assert_eq!((target.server_label().as_str(), target.database()), ("db.example:5433", "orders"), "{text}");
            assert_eq!((credentials.user.as_str(), credentials.password.expose_secret()), ("backup", "hunter2"));
        }
    }

    #[test]
    fn a_secret_that_describes_no_database_is_named_and_its_content_is_not_told() {
        for (text, server, words) in [
            ("hunter2", None, "neither a postgres:// URL nor JSON"),
            (r#"{"username":"a","password":"hunter2"}"#, None, "names no host"),
            (r#"{"username":"a","password":"hunter2","host":"h"}"#, None, "names no database"),
            (r#"{"username":"a","password":"hunter2","engine":"mysql","host":"h"}"#, None, "another engine: mysql"),
            (r#"{"username":"a","password":"hunter2","host":"h@x","dbname":"d"}"#, None, "no host's name"),
            ("postgres://a@h/d", None, "without a password"),
            ("postgres://a:hunter2@h/d", Some("postgres://h/d"), "leave `server` out"),
            (r#"{"username":"a","password":"hunter2"}"#, Some("postgres://b@h/d"), "names a user"),
        ] {
            let error = read("orders/backup", text, server).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(words) && error.to_string().contains("orders/backup"), "{error}");
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn what_was_refused_is_fetched_again_once_for_all_connections() {
        let (kept, secrets) = kept(OF_RDS);
        let source = Rotated { kept, name: "orders/backup".to_owned(), server: None };
        let refused = source.current().await.unwrap();
        assert_eq!(source.renewed(&refused).await.unwrap(), None, "nothing newer");
        secrets.set("orders/backup", &OF_RDS.replace("hunter2", "hunter3"));
        let fetched = secrets.fetched();
        for _ in 0..4 {
            let newer = source.renewed(&refused).await.unwrap().unwrap();
            assert_eq!(newer.password.expose_secret(), "hunter3");
        }
        assert_eq!(secrets.fetched(), fetched + 1);
    }

    #[tokio::test]
    async fn a_token_is_minted_for_the_role_and_the_server_and_never_printed() {
        // As documented by AWS: a GET of /?Action=connect, presigned for 15 minutes, without its scheme.
        let url = "postgres://backup@orders.abc.eu-central-1.rds.amazonaws.com:5432/orders?sslmode=disable";
        let kept = Kept::with_aws(lifeboat_aws::Aws::fixed("us-east-1", "AKIDEXAMPLE", "hunter2"));
        let target = of_iam(&kept, url).await.unwrap();
        let environment = target.tool_environment("x").await.unwrap();
        let token = &environment.iter().find(|(name, _)| name == "PGPASSWORD").unwrap().1;
        assert!(token.starts_with("orders.abc.eu-central-1.rds.amazonaws.com:5432/?Action=connect&DBUser=backup&"));
        for part in ["X-Amz-Expires=900", "eu-central-1%2Frds-db%2Faws4_request", "X-Amz-Signature="] {
            assert!(token.contains(part), "{token}");
        }
        assert!(environment.contains(&("PGSSLMODE".to_owned(), "verify-full".to_owned())));
        assert!(!format!("{target:?}").contains("X-Amz"));
    }
}
