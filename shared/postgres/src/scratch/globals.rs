//! Reads globals.sql: cuts it into statements, and brings its roles to a scratch server.
//!
//! The file is not given to psql: in it psql would follow lines that begin with a backslash, and a source is not to be
//! trusted that far.

use lifeboat_core::{
    Result,
    ports::{Classification, ToolMessage},
};

use crate::{classify::refused_statement, failure::database_error, quote, session::Session};

/// Runs what concerns roles, as superuser of a throwaway cluster. Its own superuser stays as it is, and nothing is made
/// outside the cluster's folder: tablespaces are left out.
pub(super) async fn load(session: &Session, globals: &[u8], superuser: &str) -> Result<Vec<ToolMessage>> {
    let text = String::from_utf8_lossy(globals);
    let mut messages = Vec::new();
    for statement in statements(&text) {
        if concerns_tablespace(statement) {
            messages.push(left_out(statement));
            continue;
        }
        if is_about_role(statement, superuser) || !is_known(statement) {
            continue;
        }
        let Err(error) = session.batch_execute(statement).await else { continue };
        let Some(refused) = error.as_db_error() else { return Err(database_error("load roles", &error)) };
        // Since 16 a grant names its grantor, which here may lack the right to grant; the membership is what counts.
        if let Some((grant, _)) = statement.rsplit_once(" GRANTED BY ")
            && session.batch_execute(grant).await.is_ok()
        {
            continue;
        }
        messages.push(refused_statement(refused.message(), statement));
    }
    Ok(messages)
}

/// The names of the roles that the file creates.
pub(super) fn roles(globals: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(globals);
    statements(&text)
        .into_iter()
        .filter_map(|statement| statement.strip_prefix("CREATE ROLE "))
        .map(|name| String::from_utf8_lossy(&quote::unquote(name.as_bytes())).into_owned())
        .collect()
}

/// What a globals.sql is made of; anything else in it is not ours to run.
fn is_known(statement: &str) -> bool {
    ["CREATE ROLE ", "ALTER ROLE ", "GRANT ", "COMMENT ON ROLE ", "SECURITY LABEL ", "SET "]
        .iter()
        .any(|start| statement.starts_with(start))
}

fn concerns_tablespace(statement: &str) -> bool {
    statement.starts_with("CREATE TABLESPACE ")
        || statement.starts_with("ALTER TABLESPACE ")
        || statement.starts_with("COMMENT ON TABLESPACE ")
        || ((statement.starts_with("GRANT ") || statement.starts_with("REVOKE "))
            && statement.contains(" ON TABLESPACE "))
}

fn is_about_role(statement: &str, role: &str) -> bool {
    let Some(rest) = statement.strip_prefix("CREATE ROLE ").or_else(|| statement.strip_prefix("ALTER ROLE ")) else {
        return false;
    };
    [role.to_owned(), quote::identifier(role)]
        .iter()
        .any(|name| rest.strip_prefix(name.as_str()).is_some_and(|after| after.is_empty() || after.starts_with(' ')))
}

fn left_out(statement: &str) -> ToolMessage {
    ToolMessage {
        classification: Classification::VersionDifference,
        text: format!("left out, because a scratch target has no tablespaces: {statement}"),
        entry: None,
    }
}

/// The SQL statements in a script, without semicolon, comments before them, and psql's own commands.
pub(crate) fn statements(script: &str) -> Vec<&str> {
    let bytes = script.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut start) = (0, None);
    while at < bytes.len() {
        match bytes[at] {
            b';' => {
                if let Some(start) = start.take() {
                    found.push(script[start..at].trim_end());
                }
                at += 1;
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = line_end(bytes, at),
            b'\\' if start.is_none() => at = line_end(bytes, at),
            b'\'' | b'"' => {
                start.get_or_insert(at);
                at = quote::end(bytes, at);
            }
            byte => {
                if !byte.is_ascii_whitespace() {
                    start.get_or_insert(at);
                }
                at += 1;
            }
        }
    }
    found
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |length| at + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = r#"--
-- PostgreSQL database cluster dump
--

\restrict abc

SET default_transaction_read_only = off;

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER INHERIT;
CREATE ROLE "lb_""quoted"" 'role'; $(touch x)";
COMMENT ON ROLE lb_app IS E'it''s \\ \'; DROP ROLE a;
\\! touch x';
\! touch pwned
GRANT lb_reader TO lb_app WITH ADMIN OPTION GRANTED BY postgres;
CREATE TABLESPACE fast OWNER postgres LOCATION '/mnt/fast';
DROP ROLE postgres;
\unrestrict abc
"#;

    #[test]
    fn a_script_is_cut_into_statements_whatever_its_names_contain() {
        let found = statements(SCRIPT);
        assert_eq!(found.len(), 8, "{found:#?}");
        assert_eq!(found[3], r#"CREATE ROLE "lb_""quoted"" 'role'; $(touch x)""#);
        assert!(found[4].ends_with("\\\\! touch x'"), "{}", found[4]);
        assert!(found.iter().all(|s| !s.starts_with('\\')));
    }

    #[test]
    fn roles_are_listed_by_their_real_names() {
        assert_eq!(roles(SCRIPT.as_bytes()), ["postgres", "lb_\"quoted\" 'role'; $(touch x)"]);
    }

    #[test]
    fn only_what_concerns_roles_is_run() {
        assert!(is_known("GRANT a TO b") && !is_known("DROP ROLE postgres") && !is_known("COPY t FROM PROGRAM 'x'"));
        assert!(concerns_tablespace("CREATE TABLESPACE fast OWNER postgres LOCATION '/mnt/fast'"));
        assert!(is_about_role("ALTER ROLE postgres WITH SUPERUSER", "postgres"));
        assert!(is_about_role("CREATE ROLE postgres", "postgres"));
        assert!(!is_about_role("ALTER ROLE postgres2 WITH LOGIN", "postgres"));
    }
}
