//! Posts JSON over HTTPS: tried again where that can help, never past a clear refusal, and silent about the URL.

use std::{sync::Arc, time::Duration};

use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use reqwest::{Client, Response, StatusCode, Url, header::RETRY_AFTER, redirect};
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// How often and how long something is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Attempts, the first included.
    pub attempts: u32,
    /// The pause after the first; each further one is twice as long.
    pub pause: Duration,
    /// The longest pause, whatever the server asks for.
    pub longest_pause: Duration,
    /// How long one attempt may take.
    pub attempt: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 4,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(20),
            attempt: Duration::from_secs(10),
        }
    }
}

impl Patience {
    /// The same with one attempt only.
    #[must_use]
    pub fn once(self) -> Self {
        Self { attempts: 1, ..self }
    }

    /// The pause after so many failed attempts, or as long as the server asked for.
    pub(crate) fn pause_after(&self, failed: u32, asked: Option<Duration>) -> Duration {
        let doubled = self.pause.saturating_mul(1 << failed.saturating_sub(1).min(16));
        asked.unwrap_or(doubled).min(self.longest_pause)
    }
}

/// Posts JSON. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Poster {
    client: Client,
    patience: Patience,
}

/// What a server that refused said.
struct Refusal {
    error: Error,
    /// Whether another attempt can help.
    passes: bool,
    /// The pause that the server asks for.
    pause: Option<Duration>,
}

impl Poster {
    /// With the system's certificates.
    pub fn new(patience: Patience) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .or_error(ErrorKind::Unexpected, "set up TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(patience.attempt)
            // A redirect would carry the message, and the secret in its address, to somebody else.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .build()
            .or_error(ErrorKind::Unexpected, "set up HTTP")?;
        Ok(Self { client, patience })
    }

    /// Posts a document to a secret URL. `what` names the receiver in errors; the URL is never shown.
    pub async fn post(&self, url: &SecretString, document: &Value, what: &str) -> Result<()> {
        let url = parse(url, what)?;
        let mut failed = 0;
        loop {
            let answer = self.client.post(url.clone()).json(document).send().await;
            let refusal = match answer {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => refused(response, what).await,
                Err(error) => Refusal {
                    error: Error::new(ErrorKind::Store, format!("post to {what}: {}", words(error)))
                        .with_hint("check the network: name resolution, outgoing HTTPS, proxies"),
                    passes: true,
                    pause: None,
                },
            };
            failed += 1;
            if !refusal.passes || failed >= self.patience.attempts {
                return Err(refusal.error);
            }
            let pause = self.patience.pause_after(failed, refusal.pause);
            tracing::debug!(error = %refusal.error, ?pause, "trying again");
            tokio::time::sleep(pause).await;
        }
    }
}

/// How often an address that does not answer yet is asked.
const ASKED_EVERY: Duration = Duration::from_secs(1);

impl Poster {
    /// Asks an address, which is no secret, until it answers with success; an error says what it answered last.
    pub async fn wait_for(&self, address: &str, within: Duration) -> Result<()> {
        let mut last = "no answer".to_owned();
        let asking = async {
            loop {
                match self.client.get(address).send().await {
                    Ok(response) if response.status().is_success() => return,
                    Ok(response) => last = response.status().to_string(),
                    Err(error) => last = words(error),
                }
                tokio::time::sleep(ASKED_EVERY).await;
            }
        };
        if tokio::time::timeout(within, asking).await.is_ok() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Deadline, format!("{address} did not answer within {} s: {last}", within.as_secs()))
            .with_hint("look at the application's log: it may not have come up, or not reach the database"))
    }
}

/// The URL of a webhook. Plain HTTP is for receivers on this machine only.
fn parse(url: &SecretString, what: &str) -> Result<Url> {
    let wrong = |why: &str| {
        Error::new(ErrorKind::Config, format!("{what}: its URL {why}")).with_hint(
            "it must begin with https:// (http:// only for this machine); it is not shown here, being a secret",
        )
    };
    let url = Url::parse(url.expose_secret().trim()).map_err(|_| wrong("is not a URL"))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here(url.host_str().unwrap_or_default()) => Ok(url),
        _ => Err(wrong("is not https")),
    }
}

/// Whether a host is this machine.
pub(crate) fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The error and its causes, without the URL.
fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(deeper) = source {
        words = format!("{words}: {deeper}");
        source = deeper.source();
    }
    words
}

async fn refused(response: Response, what: &str) -> Refusal {
    let status = response.status();
    let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let body = response.text().await.unwrap_or_default();
    let said: String = body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let error = Error::new(ErrorKind::Store, format!("{what} answered {status}{said}"));
    let busy = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    if status.is_server_error() || busy {
        let error = error.with_hint("the receiver has trouble of its own; it is tried again later");
        return Refusal { error, passes: true, pause: asked.map(Duration::from_secs) };
    }
    let hint = "the receiver does not want it: check that the webhook still exists, and that its URL or key is right";
    Refusal { error: error.with_hint(hint), passes: false, pause: None }
}
