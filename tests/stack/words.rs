//! What the stack tells people.

use std::fmt::Write as _;

use serde_json::Value;

use crate::folder::Folder;

/// How to reach everything.
pub(crate) fn summary(folder: &Folder, state: &Value) -> String {
    let text = |name: &str| state[name].as_str().unwrap_or_default().to_owned();
    let names = |name: &str| {
        let names = state[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        names.collect::<Vec<_>>().join(" ")
    };
    let rows = [
        ("PostgreSQL", format!("psql {}   (a small shop)", text("postgresql"))),
        ("MinIO", format!("{}   bucket {}, user lifeboat, password lifeboat-secret", text("minio"), text("bucket"))),
        ("LocalStack", format!("{}   bus {}, topic {}", text("localstack"), text("bus"), text("topic"))),
        ("functions", format!("{}   (as lifeboat-NAME)", names("functions"))),
        ("sinks", format!("{}/   mail and webhooks that came in; SMTP on {}", text("sinks"), text("smtp"))),
        ("files", folder.path().display().to_string()),
    ];
    let mut summary = String::new();
    for (name, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(summary, "{name:11} {value}");
    }
    let missing = names("missing");
    if !missing.is_empty() {
        let _ = writeln!(summary, "{:11} not deployed, because there is no such program yet: {missing}", "");
    }
    let environment = state["environment"].as_object().into_iter().flatten();
    let environment: Vec<(String, String)> =
        environment.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let _ = write!(summary, "\nFor lifeboat, aws and psql (also: source {}):\n\n", folder.exports().display());
    summary.push_str(&exports(&environment));
    summary
}

/// Lines for a shell.
pub(crate) fn exports(environment: &[(String, String)]) -> String {
    let line = |(name, value): &(String, String)| format!("export {name}={}\n", quoted(value));
    environment.iter().map(line).collect()
}

fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@%+,=".contains(&byte);
    if value.bytes().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::exports;

    #[test]
    fn what_a_shell_would_read_differently_is_quoted() {
        let environment =
            [("A", "s3://b/p"), ("B", "it's $HOME"), ("C", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(exports(&environment), "export A=s3://b/p\nexport B='it'\\''s $HOME'\nexport C=\n");
    }
}
