//! Where a setting that must not stand in the file is kept.

use std::{fmt, path::PathBuf};

use serde::Serialize;
use serde_json::json;

/// Where the value of a secret setting is kept, such as a webhook's URL. Never holds the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// The environment variable that holds it.
    Env(String),
    /// The file that holds it; white space around it does not count.
    File(PathBuf),
    /// The secret of AWS Secrets Manager that holds it.
    Secret {
        /// Its name or ARN.
        name: String,
        /// The field of the secret's JSON object; without it, the secret's whole text is the value.
        key: Option<String>,
    },
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Secret { name, key: None } => write!(f, "secret {name}"),
            Self::Secret { name, key: Some(key) } => write!(f, "{key} of secret {name}"),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Env(name) => json!({ "env": name }).serialize(serializer),
            Self::File(path) => json!({ "file": path }).serialize(serializer),
            Self::Secret { name, key: None } => json!({ "secret": name }).serialize(serializer),
            Self::Secret { name, key: Some(key) } => json!({ "secret": name, "key": key }).serialize(serializer),
        }
    }
}
