//! Makes the S3 clients: endpoint, region, credentials, TLS, time-outs.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, Region, environment::EnvironmentVariableRegionProvider, meta::region::RegionProviderChain,
    profile::ProfileFileRegionProvider,
};
use aws_sdk_s3::{
    Client,
    config::{
        Builder, RequestChecksumCalculation, ResponseChecksumValidation, SharedCredentialsProvider,
        StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use lifeboat_core::{Error, ErrorKind, Result};

const CONNECT: Duration = Duration::from_secs(5);
/// To the first byte of an answer that has no large request to wait for.
const ANSWER: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 5;
/// What servers other than AWS answer to, where nobody has said otherwise.
const REGION_OF_OTHERS: &str = "us-east-1";

/// How to reach S3, or a server that speaks like it. Empty: AWS itself.
///
/// Unless given here, credentials come, and so does the region, from the AWS SDK's own chain:
/// environment, profile files, web identity, container, instance. That chain is the one part of Lifeboat besides the
/// `runtime` crate that reads the environment (`AWS_PROFILE`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
/// `AWS_ENDPOINT_URL_S3` and their kin). An endpoint should still be given here: only then is the path style chosen.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    /// `http://…` or `https://…` of a server other than AWS.
    pub endpoint_url: Option<String>,
    /// The bucket's region; with an endpoint and none found, `us-east-1`.
    pub region: Option<String>,
    /// `https://server/bucket/key` instead of `https://bucket.server/key`; by default, if an endpoint is set.
    pub force_path_style: Option<bool>,
    /// How long a read may stand still before it is asked for again; by default 30 seconds.
    pub stall_timeout: Option<Duration>,
    /// Where credentials come from, instead of the SDK's chain.
    pub credentials: Option<SharedCredentialsProvider>,
}

/// Two clients over one connection pool.
pub(super) struct Clients {
    /// Repeats failed calls by itself: for calls that may be repeated without harm.
    pub(super) retrying: Client,
    /// Makes one attempt: for conditional writes, where the second attempt must know how the first one failed.
    pub(super) once: Client,
    /// Requests travel over TLS, so bodies need not be hashed for the signature.
    pub(super) tls: bool,
}

pub(super) async fn connect(settings: &S3Settings) -> Result<Clients> {
    let endpoint = settings.endpoint_url.as_deref();
    if let Some(endpoint) = endpoint {
        check_endpoint(endpoint)?;
    }
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build())
        // Reads and writes have limits of their own, which count only the time the other side takes.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if endpoint.is_some() {
        // Without the instance metadata service, which is not there and takes seconds to be found missing.
        loader = loader.region(
            RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                .or_else(ProfileFileRegionProvider::new())
                .or_else(Region::new(REGION_OF_OTHERS)),
        );
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        return Err(Error::new(ErrorKind::Config, "no AWS region is set for the store").with_hint("set AWS_REGION"));
    }
    let mut config = Builder::from(&shared)
        .force_path_style(settings.force_path_style.unwrap_or(endpoint.is_some()))
        // We send a checksum of our own, and readers compare SHA-256 with the manifest.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint);
    }
    let once = config
        .clone()
        .retry_config(RetryConfig::disabled())
        // The time a body takes is limited where its length is known.
        .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).disable_read_timeout().build());
    Ok(Clients {
        retrying: Client::from_conf(config.build()),
        once: Client::from_conf(once.build()),
        tls: endpoint.is_none_or(|url| url.starts_with("https://")),
    })
}

fn check_endpoint(endpoint: &str) -> Result<()> {
    let server = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    match server {
        // Not shown: what stands before the '@' may be a secret.
        Some(server) if server.contains('@') => {
            Err(Error::new(ErrorKind::Config, "the S3 endpoint's URL holds a user or password").with_hint(
                "credentials come from the usual AWS sources: environment, profile, or the role of the machine",
            ))
        }
        Some(server) if !server.is_empty() && !server.starts_with('/') => Ok(()),
        _ => Err(Error::new(ErrorKind::Config, format!("'{endpoint}' is not the URL of an S3 endpoint"))
            .with_hint("write it as in https://minio.example.com:9000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_urls_without_secrets() {
        for endpoint in ["http://127.0.0.1:9000", "https://s3.example.com", "https://s3.example.com/"] {
            check_endpoint(endpoint).unwrap();
        }
        for endpoint in ["", "127.0.0.1:9000", "ftp://host", "http://", "https:///x"] {
            assert_eq!(check_endpoint(endpoint).unwrap_err().kind(), ErrorKind::Config, "{endpoint}");
        }
        assert!(!check_endpoint("https://key:hunter2@host").unwrap_err().to_string().contains("hunter2"));
    }
}
