//! Where a connection's user and password come from when they are not known beforehand, or change.

use async_trait::async_trait;
use lifeboat_core::Result;
use secrecy::{ExposeSecret, SecretString};

/// Who connects, and the password that proves it.
#[derive(Clone)]
pub struct Credentials {
    /// The role.
    pub user: String,
    /// Its password, or a token that stands for one.
    pub password: SecretString,
}

/// The user only.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.user)
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        self.user == other.user && self.password.expose_secret() == other.password.expose_secret()
    }
}

/// Gives credentials for every connection anew. A long run opens connections until its end: passwords are rotated
/// meanwhile, and tokens expire.
#[async_trait]
pub trait CredentialSource: Send + Sync {
    /// Credentials for a connection that is about to be opened. Cheap to ask again.
    async fn current(&self) -> Result<Credentials>;

    /// What to try after the server refused these; `None` where there is nothing newer.
    async fn renewed(&self, refused: &Credentials) -> Result<Option<Credentials>>;

    /// Whether the current ones may have become invalid since they were last used. A client tool cannot ask again: before
    /// it starts, a connection is tried.
    fn may_be_outdated(&self) -> bool;
}
