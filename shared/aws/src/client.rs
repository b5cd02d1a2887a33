//! What all clients share: region, endpoint, credentials, TLS, time-outs.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lifeboat_core::{Error, ErrorKind, Result};

const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 4;

/// How to reach AWS, or a server that speaks like it. Empty: AWS itself, by the SDK's own chain, which also reads
/// `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    /// The region; else from the SDK's chain.
    pub region: Option<String>,
}

/// One set of settings for every client: they share a connection pool.
#[derive(Debug, Clone)]
pub struct Aws(pub(crate) SdkConfig);

impl Aws {
    /// Reads credentials and region; no call is made yet. `Config` where no region is to be found.
    pub async fn load(settings: &AwsSettings) -> Result<Self> {
        let http =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = loader.load().await;
        if config.region().is_none() {
            return Err(Error::new(ErrorKind::Config, "no AWS region is set").with_hint("set AWS_REGION"));
        }
        Ok(Self(config))
    }

    /// With a region and credentials of one's own instead of those of the surroundings; no server is asked.
    pub fn fixed(region: &str, access_key: &str, secret_key: &str) -> Self {
        let credentials = Credentials::new(access_key, secret_key, None, None, "fixed");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        Self(config.build())
    }
}

/// An error of an AWS service: what was asked, of which service, and what it said.
pub(crate) fn failed<E>(doing: impl std::fmt::Display, error: E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    failed_as(ErrorKind::Store, doing, error)
}

/// The same of another kind.
pub(crate) fn failed_as<E>(kind: ErrorKind, doing: impl std::fmt::Display, error: E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    // The SDK's own words stop at "service error"; what happened stands in the sources.
    let mut message = format!("{doing}: {error}");
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        let words = deeper.to_string();
        if !message.contains(&words) {
            message.push_str(": ");
            message.push_str(&words);
        }
        source = deeper.source();
    }
    Error::new(kind, message)
        .with_source(error)
        .with_hint("check AWS_REGION, the credentials' rights and that the service can be reached")
}
