//! Mail by SMTP: text and HTML in one message.

use std::sync::OnceLock;

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Tokio1Executor,
    message::{Mailbox, MultiPart, header::ContentType, header::HeaderName, header::HeaderValue},
    transport::smtp,
};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    events::Severity,
    messages::{Message, to_html, to_text},
    ports::Channel,
};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::post::{Patience, is_here};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// A mailbox or several, by SMTP.
pub struct SmtpEmail {
    name: String,
    from: Mailbox,
    to: Vec<Mailbox>,
    server: String,
    transport: Transport,
    patience: Patience,
}

impl SmtpEmail {
    /// A channel of this name. The URL is `smtps://user:password@host:465` or `smtp://user:password@host:587`; the
    /// latter means STARTTLS, but for a server on this machine.
    pub fn new(
        name: impl Into<String>,
        url: &SecretString,
        from: &str,
        to: &[String],
        patience: Patience,
    ) -> Result<Self> {
        let name = name.into();
        install_provider();
        let (server, url) = checked(&name, url)?;
        let transport = Transport::from_url(url.expose_secret())
            .map_err(|_| wrong(&name, "cannot be used"))?
            .timeout(Some(patience.attempt))
            .build();
        let to = to.iter().map(|address| mailbox(&name, address)).collect::<Result<_>>()?;
        Ok(Self { from: mailbox(&name, from)?, name, to, server, transport, patience })
    }

    fn mail(&self, message: &Message) -> Result<lettre::Message> {
        let domain = self.from.email.domain();
        let mut mail = lettre::Message::builder()
            .from(self.from.clone())
            .subject(&message.subject)
            // The same news have the same id: mail servers and readers show them once.
            .message_id(Some(format!("<{}@{domain}>", message.id)));
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let important = message.severity == Severity::Critical;
        for (name, value) in [
            ("Auto-Submitted", "auto-generated"),
            ("X-Lifeboat-Severity", message.severity.name()),
            ("X-Lifeboat-Message", message.id.as_str()),
            ("Importance", if important { "high" } else { "normal" }),
        ] {
            let name = HeaderName::new_from_ascii(name.to_owned()).or_error(ErrorKind::Unexpected, "write a mail")?;
            mail = mail.raw_header(HeaderValue::new(name, value.to_owned()));
        }
        let text = lettre::message::SinglePart::builder().header(ContentType::TEXT_PLAIN).body(to_text(message));
        let html = lettre::message::SinglePart::builder().header(ContentType::TEXT_HTML).body(to_html(message)?);
        mail.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
            .or_error(ErrorKind::Unexpected, "write a mail")
    }
}

/// lettre asks rustls for the process's provider.
fn install_provider() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        // Another may have been installed by then: then it is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

fn wrong(name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Config, format!("channel '{name}': the SMTP server's URL {why}")).with_hint(
        "write smtps://USER:PASSWORD@HOST:465 or smtp://USER:PASSWORD@HOST:587; special characters are %-encoded. It is \
         not shown here, being a secret",
    )
}

fn mailbox(name: &str, address: &str) -> Result<Mailbox> {
    address.parse().map_err(|e| {
        Error::new(ErrorKind::Config, format!("channel '{name}': '{address}' is not a mail address: {e}"))
            .with_hint("write ann@acme.example or Ann <ann@acme.example>")
    })
}

/// Host and port for messages, and the URL with TLS, unless the server is on this machine.
fn checked(name: &str, url: &SecretString) -> Result<(String, SecretString)> {
    let mut url = Url::parse(url.expose_secret().trim()).map_err(|_| wrong(name, "is not a URL"))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong(name, "names no server"))?.to_owned();
    let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
    match (url.scheme(), tls.as_deref()) {
        ("smtps", None) | ("smtp", Some("required")) => {}
        ("smtp", None) if is_here(&host) => {}
        ("smtp", None) => url.set_query(Some("tls=required")),
        _ => return Err(wrong(name, "would send the password without TLS, or in a way that is not known")),
    }
    let server = url.port().map_or(host.clone(), |port| format!("{host}:{port}"));
    Ok((server, SecretString::from(url.to_string())))
}

/// Whether another attempt can help: what a server says with 4xx passes, with 5xx it does not.
fn passes(error: &smtp::Error) -> bool {
    !error.is_permanent()
}

/// The error and its causes; lettre's do not hold the password.
fn words(error: &smtp::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        let more = deeper.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = deeper.source();
    }
    words
}

#[async_trait]
impl Channel for SmtpEmail {
    fn name(&self) -> &str {
        &self.name
    }

    fn leads_to(&self) -> String {
        let to: Vec<String> = self.to.iter().map(|to| to.email.to_string()).collect();
        format!("mail to {} by {}", to.join(", "), self.server)
    }

    async fn send(&self, message: &Message) -> Result<()> {
        let mail = self.mail(message)?;
        let mut failed = 0;
        loop {
            let Err(error) = self.transport.send(mail.clone()).await else { return Ok(()) };
            failed += 1;
            if failed >= self.patience.attempts || !passes(&error) {
                return Err(Error::new(ErrorKind::Store, format!("send mail by {}: {}", self.server, words(&error)))
                    .with_hint("check the server's name and port, its user and password, and that it takes mail from the sender"));
            }
            tokio::time::sleep(self.patience.pause_after(failed, None)).await;
        }
    }
}
