//! AWS Secrets Manager as the place of secrets.

use async_trait::async_trait;
use aws_sdk_secretsmanager::{Client, error::SdkError, operation::get_secret_value::GetSecretValueError};
use lifeboat_core::{Error, ErrorKind, Result, ports::Secrets};
use secrecy::SecretString;

use crate::client::{Aws, failed};

/// Secrets by name or ARN, their current version.
#[derive(Debug, Clone)]
pub struct SecretsManager(Client);

impl SecretsManager {
    /// The account's and region's.
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(&aws.0))
    }
}

#[async_trait]
impl Secrets for SecretsManager {
    async fn fetch(&self, name: &str) -> Result<SecretString> {
        let doing = format!("read the secret '{name}'");
        let answer = self.0.get_secret_value().secret_id(name).send().await.map_err(|e| refused(&doing, e))?;
        let text = answer.secret_string.map(SecretString::from);
        text.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{doing}: it is binary, not text"))
                .with_hint("store it as text: docs/CONFIG.md says what it may hold")
        })
    }
}

fn refused(doing: &str, error: SdkError<GetSecretValueError>) -> Error {
    let missing = error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception);
    let error = failed(doing, error);
    if missing {
        let hint = "check the secret's name and region; its name stands in lifeboat.toml";
        return Error::new(ErrorKind::NotFound, error.to_string()).with_source(error).with_hint(hint);
    }
    let hint =
        "check the region, and that the role may secretsmanager:GetSecretValue on it and kms:Decrypt with its key";
    error.with_hint(hint)
}
