//! The password file, read as libpq reads it: `host:port:database:user:password`, `*` matches all, `\` escapes.

use std::{fs, os::unix::fs::MetadataExt};

use lifeboat_postgres::ConnectionTarget;
use secrecy::SecretString;

use crate::environment::Environment;

/// Folders of Unix sockets that libpq was built with: there, `localhost` in the file matches too.
const DEFAULT_SOCKET_FOLDERS: [&str; 3] = ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// The password for a connection from `PGPASSFILE` or `~/.pgpass`; nothing if there is no such file or line. As with
/// libpq, a file that others may read is passed over with a warning.
pub(crate) fn look_up(target: &ConnectionTarget, environment: &Environment) -> Option<SecretString> {
    let path = environment.path("PGPASSFILE").or_else(|| Some(environment.path("HOME")?.join(".pgpass")))?;
    let facts = fs::metadata(&path).ok()?;
    let name = path.display();
    if !facts.is_file() {
        tracing::warn!("the password file {name} is not a plain file and was not read");
        return None;
    }
    if facts.mode() & 0o077 != 0 {
        tracing::warn!("the password file {name} can be read by others and was not used: chmod 600 '{name}'");
        return None;
    }
    find(&fs::read_to_string(&path).ok()?, target)
}

fn find(text: &str, target: &ConnectionTarget) -> Option<SecretString> {
    let host =
        if DEFAULT_SOCKET_FOLDERS.contains(&target.host().trim_end_matches('/')) { "localhost" } else { target.host() };
    let port = target.port().to_string();
    let wanted = [host, port.as_str(), target.database(), target.user()];
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = split(line);
        let [patterns @ .., password] = fields.as_slice() else { return None };
        let matches = patterns.len() == 4 && patterns.iter().zip(wanted).all(|(p, w)| p.raw == "*" || p.value == w);
        (matches && !password.value.is_empty()).then(|| SecretString::from(password.value.clone()))
    })
}

struct Field {
    /// As it stands in the file: an escaped star is no wildcard.
    raw: String,
    value: String,
}

/// At most five fields: further colons belong to the password.
fn split(line: &str) -> Vec<Field> {
    let mut fields = vec![Field { raw: String::new(), value: String::new() }];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        let count = fields.len();
        let Some(field) = fields.last_mut() else { break };
        match c {
            '\\' => {
                field.raw.push(c);
                if let Some(escaped) = characters.next() {
                    field.raw.push(escaped);
                    field.value.push(escaped);
                }
            }
            ':' if count < 5 => fields.push(Field { raw: String::new(), value: String::new() }),
            c => {
                field.raw.push(c);
                field.value.push(c);
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn password(text: &str, url: &str) -> Option<String> {
        find(text, &ConnectionTarget::parse(url).unwrap()).map(|p| p.expose_secret().to_owned())
    }

    #[test]
    fn the_first_line_that_matches_wins() {
        let file = "# comment\ndb:5432:orders:bob:no\ndb:*:orders:ann:first\n*:*:*:*:last\n";
        assert_eq!(password(file, "postgres://ann@db/orders").as_deref(), Some("first"));
        assert_eq!(password(file, "postgres://ann@other/orders").as_deref(), Some("last"));
        assert_eq!(password("db:1:orders:ann:x", "postgres://ann@db/orders"), None);
        assert_eq!(password("too:few:fields", "postgres://ann@db/orders"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        let file = r"db:5432:a\:b:ann:p\:q\\r:s";
        assert_eq!(password(file, "postgres://ann@db/a%3Ab").as_deref(), Some(r"p:q\r:s"));
        assert_eq!(password(r"\*:5432:orders:ann:x", "postgres://ann@db/orders"), None);
    }

    #[test]
    fn the_default_socket_is_localhost() {
        let file = "localhost:5432:orders:ann:x";
        assert_eq!(password(file, "postgres://ann@/orders?host=/var/run/postgresql").as_deref(), Some("x"));
        assert_eq!(password(file, "postgres://ann@/orders?host=/elsewhere"), None);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:x\n").unwrap();
        let environment = Environment::of([("PGPASSFILE", path.to_str().unwrap())]);
        let target = ConnectionTarget::parse("postgres://ann@db/orders").unwrap();
        for (mode, used) in [(0o600, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(look_up(&target, &environment).is_some(), used, "{mode:o}");
        }
    }
}
