//! Ways to people: Slack, pagers that take PagerDuty's Events v2, and mail by SMTP.

mod mail;
mod post;
mod slack;
mod webhook;

pub use mail::SmtpEmail;
pub use post::{Patience, Poster};
pub use slack::Slack;
pub use webhook::{PAGERDUTY, Webhook};
