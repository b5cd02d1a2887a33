//! From a setting to a connection: where the URL is kept, and where its password comes from.

use std::{fs, sync::Arc};

use lifeboat_core::{Error, ErrorKind, Result, config::DatabaseUrl};
use lifeboat_postgres::ConnectionTarget;
use secrecy::SecretString;

use crate::{credentials, environment::Environment, pgpass, secrets::Kept};

const ALTERNATIVES: &str = "leave the password out of the URL and set PGPASSWORD or keep it in ~/.pgpass (PGPASSFILE), \
                            or put the whole URL into a variable and write env:NAME, or into a secret";

/// Takes a URL that a person wrote in a flag or in the configuration: `postgres://…` without a password, or `env:NAME`.
///
/// What is refused is never repeated in the message.
pub fn check_url(text: &str) -> Result<DatabaseUrl> {
    if let Some(name) = text.strip_prefix("env:") {
        let fits = !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if fits {
            Ok(DatabaseUrl::Env(name.to_owned()))
        } else {
            Err(Error::new(ErrorKind::Usage, "env: must be followed by the name of a variable")
                .with_hint("write env:ORDERS_URL and set ORDERS_URL to the database's URL"))
        };
    }
    // Only the parser knows what is a password: a slash in it, or %-encoding, makes the text look like something else.
    if ConnectionTarget::parse(text)?.has_password() {
        return Err(Error::new(
            ErrorKind::Usage,
            "the database URL contains a password, which other users of this machine could read",
        )
        .with_hint(ALTERNATIVES));
    }
    Ok(DatabaseUrl::Plain(text.to_owned()))
}

/// Resolves a URL to a connection, with its password: from the secret or IAM where they are named, from the URL itself
/// where it came from a variable or file, else from `PGPASSWORD`, else from the password file.
pub async fn resolve(url: &DatabaseUrl, environment: &Environment, kept: &Arc<Kept>) -> Result<ConnectionTarget> {
    match url {
        DatabaseUrl::Secret { name, server } => credentials::of_secret(kept, name, server.as_deref()).await,
        DatabaseUrl::RdsIam(url) => credentials::of_iam(kept, url).await,
        _ => resolve_here(url, environment),
    }
}

/// The same for URLs that no service has to be asked for, as are all that a command line can name.
pub fn resolve_here(url: &DatabaseUrl, environment: &Environment) -> Result<ConnectionTarget> {
    let target = match url {
        DatabaseUrl::Secret { .. } | DatabaseUrl::RdsIam(_) => {
            return Err(Error::new(ErrorKind::Config, format!("{url} cannot be read here")));
        }
        DatabaseUrl::Plain(text) => ConnectionTarget::parse(text)?,
        DatabaseUrl::Env(name) => {
            let Some(text) = environment.text(name)? else {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("the variable {name}, which holds the URL, is not set"),
                )
                .with_hint(format!("export {name}=postgres://USER:PASSWORD@HOST:PORT/DATABASE")));
            };
            ConnectionTarget::parse(text.trim()).map_err(|e| again(&e, &format!("in the variable {name}")))?
        }
        DatabaseUrl::File(path) => {
            let name = path.display();
            let text = fs::read_to_string(path).map_err(|e| {
                Error::new(ErrorKind::Config, format!("read the database URL from {name}: {e}"))
                    .with_hint("the file must hold one line, the database's URL")
            })?;
            ConnectionTarget::parse(text.trim()).map_err(|e| again(&e, &format!("in {name}")))?
        }
    };
    if target.has_password() {
        return Ok(target);
    }
    let password = match environment.text("PGPASSWORD")? {
        Some(password) => Some(SecretString::from(password)),
        None => pgpass::look_up(&target, environment),
    };
    Ok(target.or_password(password))
}

fn again(error: &Error, place: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{error} ({place})")).with_hint(error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_refused_with_the_alternatives_and_not_repeated() {
        for url in [
            "postgres://ann:hunter2@db/orders",
            "postgresql://ann:hunter2@db/orders",
            "postgres://ann:hunter2/or@db/orders",
            "postgres://ann@db/orders?password=hunter2",
            "postgres://ann@db/orders?pass%77ord=hunter2",
            "postgres://ann@db/orders?sslmode=disable&%70assword=hunter2",
        ] {
            let error = check_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            for word in ["env:NAME", "PGPASSFILE", "PGPASSWORD"] {
                assert!(error.hint().contains(word), "{}", error.hint());
            }
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"));
        }
    }

    #[test]
    fn what_is_no_url_of_a_database_is_refused_and_not_repeated() {
        for url in [
            "postgres://ann:p?hunter2@db/orders",
            "postgres://ann:p?hunter2=%ff@db/orders",
            "postgres://ann:p?sslmode=hunter2@db/orders",
            "postgres://ann:hunter2@db:port/orders",
            "POSTGRES://ann:hunter2@db/orders",
            "host=db user=ann password=hunter2",
        ] {
            let error = check_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(!format!("{error} {error:?} {}", error.hint()).contains("hunter2"), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_url_in_a_variable_may_hold_a_password() {
        let url = check_url("env:ORDERS_URL").unwrap();
        let environment =
            Environment::of([("ORDERS_URL", "postgres://ann:hunter2@db/orders"), ("PGPASSWORD", "other")]);
        let target = resolve_here(&url, &environment).unwrap();
        assert_eq!(target.database(), "orders");
        assert!(target.tool_environment("x").await.unwrap().contains(&("PGPASSWORD".to_owned(), "hunter2".to_owned())));
    }

    #[test]
    fn pgpassword_is_taken_where_the_url_has_none() {
        let url = check_url("postgres://ann@db/orders").unwrap();
        assert!(resolve_here(&url, &Environment::of([("PGPASSWORD", "x")])).unwrap().has_password());
        assert!(!resolve_here(&url, &Environment::default()).unwrap().has_password());
    }

    #[test]
    fn a_variable_that_is_missing_or_wrong_is_named_and_its_content_is_not_shown() {
        let url = check_url("env:ORDERS_URL").unwrap();
        let missing = resolve_here(&url, &Environment::default()).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::Config);
        assert!(missing.to_string().contains("ORDERS_URL"));
        let wrong = resolve_here(&url, &Environment::of([("ORDERS_URL", "mysql://a:hunter2@h/d")])).unwrap_err();
        assert!(wrong.to_string().contains("ORDERS_URL") && !wrong.to_string().contains("hunter2"), "{wrong}");
        assert!(check_url("env:").is_err() && check_url("env:1A").is_err() && check_url("env:A-B").is_err());
    }
}
