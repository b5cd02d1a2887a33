//! Mail through Amazon SES.

use async_trait::async_trait;
use aws_sdk_sesv2::{
    Client,
    types::{Body, Content, Destination, EmailContent, Message as Mail, MessageHeader},
};
use lifeboat_core::{
    ErrorKind, Result, ResultExt,
    messages::{Message, to_html, to_text},
    ports::Channel,
};

use crate::client::{Aws, failed};

/// Mail through Amazon SES.
#[derive(Debug, Clone)]
pub struct SesEmail {
    client: Client,
    name: String,
    from: String,
    to: Vec<String>,
}

impl SesEmail {
    /// A channel of this name; `from` must be verified in SES.
    pub fn new(aws: &Aws, name: impl Into<String>, from: impl Into<String>, to: Vec<String>) -> Self {
        Self { client: Client::new(&aws.0), name: name.into(), from: from.into(), to }
    }
}

fn content(data: impl Into<String>) -> Result<Content> {
    Content::builder().data(data).charset("UTF-8").build().or_error(ErrorKind::Unexpected, "write a mail")
}

fn header(name: &str, value: &str) -> Result<MessageHeader> {
    MessageHeader::builder().name(name).value(value).build().or_error(ErrorKind::Unexpected, "write a mail")
}

#[async_trait]
impl Channel for SesEmail {
    fn name(&self) -> &str {
        &self.name
    }

    fn leads_to(&self) -> String {
        format!("mail to {} by SES", self.to.join(", "))
    }

    async fn send(&self, message: &Message) -> Result<()> {
        let body = Body::builder().text(content(to_text(message))?).html(content(to_html(message)?)?).build();
        let mail = Mail::builder()
            .subject(content(&message.subject)?)
            .body(body)
            .headers(header("Auto-Submitted", "auto-generated")?)
            .headers(header("X-Lifeboat-Severity", message.severity.name())?)
            .headers(header("X-Lifeboat-Message", &message.id)?)
            .build();
        self.client
            .send_email()
            .from_email_address(&self.from)
            .destination(Destination::builder().set_to_addresses(Some(self.to.clone())).build())
            .content(EmailContent::builder().simple(mail).build())
            .send()
            .await
            .map_err(|e| {
                failed(format!("send mail from {} by SES", self.from), e).with_hint(
                    "check that the sender is verified in SES in this region, that the account is out of the sandbox, and \
                     that the role may ses:SendEmail",
                )
            })?;
        Ok(())
    }
}
