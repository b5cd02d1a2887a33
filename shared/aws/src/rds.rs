//! Tokens by which a role of IAM logs in to a database of RDS or Aurora.

use std::{
    fmt::Write,
    time::{Duration, SystemTime},
};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use secrecy::SecretString;

use crate::client::Aws;

/// How long a token may be used to log in; sessions outlive it. The most that RDS allows.
const VALID: Duration = Duration::from_mins(15);

/// Mints tokens for one role of one server.
#[derive(Debug, Clone)]
pub struct RdsTokens {
    config: SdkConfig,
    region: String,
    server: String,
    user: String,
}

impl RdsTokens {
    /// For a role of the server at this host and port. Its region stands in its name; else it is the one of the settings.
    pub fn new(aws: &Aws, host: &str, port: u16, user: &str) -> Result<Self> {
        let region = region_of(host).or_else(|| aws.0.region().map(ToString::to_string));
        let region =
            region.ok_or_else(|| Error::new(ErrorKind::Config, "no AWS region is set").with_hint("set AWS_REGION"))?;
        Ok(Self { config: aws.0.clone(), region, server: format!("{host}:{port}"), user: user.to_owned() })
    }

    /// A token that is valid for 15 minutes from `now` on. No call is made but what the credentials need.
    pub async fn mint(&self, now: SystemTime) -> Result<SecretString> {
        let doing = format!("make a token for '{}' on {}", self.user, self.server);
        let hint = "the role needs rds-db:connect on the database user, and credentials of AWS";
        let provider = self
            .config
            .credentials_provider()
            .ok_or_else(|| Error::new(ErrorKind::Config, format!("{doing}: no AWS credentials")).with_hint(hint))?;
        let credentials = provider.provide_credentials().await.map_err(|e| {
            Error::new(ErrorKind::Store, format!("{doing}: no AWS credentials: {e}")).with_source(e).with_hint(hint)
        })?;
        let identity = credentials.into();
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(VALID);
        settings.signature_location = SignatureLocation::QueryParams;
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("rds-db")
            .time(now)
            .settings(settings)
            .build()
            .or_error(ErrorKind::Unexpected, &doing)?;
        let user = escape(&self.user);
        let url = format!("https://{}/?Action=connect&DBUser={user}", self.server);
        let request = SignableRequest::new("GET", &url, std::iter::empty(), SignableBody::Bytes(&[]))
            .or_error(ErrorKind::Unexpected, &doing)?;
        let (instructions, _) = sign(request, &parameters.into()).or_error(ErrorKind::Unexpected, &doing)?.into_parts();
        let mut token = url.trim_start_matches("https://").to_owned();
        for (name, value) in instructions.params() {
            token.push('&');
            token.push_str(name);
            token.push('=');
            token.push_str(&escape(value));
        }
        Ok(token.into())
    }
}

/// As URLs in signatures are escaped: everything but letters, digits, `-`, `_`, `.` and `~`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// `eu-central-1` of `orders.abc.eu-central-1.rds.amazonaws.com`.
fn region_of(host: &str) -> Option<String> {
    let before = host.strip_suffix(".rds.amazonaws.com").or_else(|| host.strip_suffix(".rds.amazonaws.com.cn"))?;
    before.rsplit('.').next().filter(|region| region.contains('-')).map(str::to_owned)
}
