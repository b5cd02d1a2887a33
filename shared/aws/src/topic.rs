//! SNS as the topic.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_sns::{Client, types::MessageAttributeValue};
use lifeboat_core::{
    ErrorKind, Result, ResultExt,
    messages::{Message, to_sms, to_text},
    ports::{Subscriptions, Topic},
};
use serde_json::json;

use crate::client::{Aws, failed};

/// SNS takes 256 KiB, attributes included; these need some of it.
const MOST_BYTES: usize = 256 * 1024;
const FOR_SUBJECT: usize = 256;
/// The most values in an attribute: beyond, filter policies would have to be read as "too many to tell".
const MOST_VALUES: usize = 500;

/// A topic of SNS, by its ARN.
#[derive(Debug, Clone)]
pub struct SnsTopic {
    client: Client,
    arn: String,
}

impl SnsTopic {
    /// The topic of this ARN.
    pub fn new(aws: &Aws, arn: impl Into<String>) -> Self {
        Self { client: Client::new(&aws.0), arn: arn.into() }
    }
}

/// What SNS is given: the text for each protocol, and attributes for filter policies.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Publication {
    subject: String,
    /// `MessageStructure: json`. Programs (Lambda, SQS, HTTPS) get `default`, a [`Message`] as JSON.
    body: String,
    /// Name and values; several values are a `String.Array`.
    attributes: Vec<(&'static str, Vec<String>)>,
}

fn values<T: Ord + ToString>(of: impl Iterator<Item = T>) -> Vec<String> {
    let sorted: BTreeSet<T> = of.collect();
    sorted.iter().take(MOST_VALUES).map(ToString::to_string).collect()
}

fn encode(message: &Message) -> Result<String> {
    let document = serde_json::to_string(message).or_error(ErrorKind::Unexpected, "write a message")?;
    let structure = json!({ "default": document, "email": to_text(message), "sms": to_sms(message) });
    Ok(structure.to_string())
}

fn publication(message: &Message) -> Result<Publication> {
    let attributes: Vec<(&'static str, Vec<String>)> = [
        ("database", values(message.entries.iter().map(|e| &e.database))),
        ("kind", values(message.entries.iter().map(|e| &e.kind))),
        ("severity", vec![message.severity.name().to_owned()]),
        ("escalated", vec![message.escalated.to_string()]),
        ("purpose", vec![purpose(message)]),
    ]
    .into_iter()
    .filter(|(_, values)| !values.is_empty())
    .collect();
    let of_attributes: usize =
        attributes.iter().map(|(name, values)| name.len() + values.iter().map(|v| v.len() + 3).sum::<usize>()).sum();
    let most = MOST_BYTES - FOR_SUBJECT - of_attributes;
    let mut shown = message.entries.len();
    let mut body = encode(message)?;
    while body.len() > most && shown > 0 {
        // In proportion, and a little less.
        shown = (shown * most / body.len()).min(shown - 1);
        body = encode(&message.shortened(shown))?;
    }
    Ok(Publication { subject: message.subject.clone(), body, attributes })
}

fn purpose(message: &Message) -> String {
    serde_json::to_value(message.purpose).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn attribute(values: &[String]) -> Result<MessageAttributeValue> {
    let (kind, text) = match values {
        [one] => ("String", one.clone()),
        many => ("String.Array", serde_json::to_string(many).or_error(ErrorKind::Unexpected, "write an attribute")?),
    };
    MessageAttributeValue::builder()
        .data_type(kind)
        .string_value(text)
        .build()
        .or_error(ErrorKind::Unexpected, "write an attribute")
}

#[async_trait]
impl Topic for SnsTopic {
    fn name(&self) -> &str {
        &self.arn
    }

    async fn publish(&self, message: &Message) -> Result<()> {
        let publication = publication(message)?;
        let mut attributes = HashMap::new();
        for (name, values) in &publication.attributes {
            attributes.insert((*name).to_owned(), attribute(values)?);
        }
        let doing = format!("publish on the topic {}", self.arn);
        self.client
            .publish()
            .topic_arn(&self.arn)
            .subject(&publication.subject)
            .message(&publication.body)
            .message_structure("json")
            .set_message_attributes(Some(attributes))
            .send()
            .await
            .map_err(|e| {
                failed(&doing, e).with_hint("check alerts.topic, AWS_REGION, and that the role may sns:Publish on it")
            })?;
        Ok(())
    }
}

#[async_trait]
impl Subscriptions for SnsTopic {
    async fn unconfirmed(&self) -> Result<Vec<String>> {
        let doing = format!("list the subscriptions of {}", self.arn);
        let mut pages = self.client.list_subscriptions_by_topic().topic_arn(&self.arn).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| failed(&doing, e))?;
            for subscription in page.subscriptions() {
                if subscription.subscription_arn() == Some("PendingConfirmation") {
                    let protocol = subscription.protocol().unwrap_or("unknown");
                    found.push(format!("{protocol} {}", hidden(subscription.endpoint().unwrap_or_default())));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

/// An address that its owner recognises, and nobody else can use: a webhook's path is a secret, a telephone is private.
fn hidden(endpoint: &str) -> String {
    if let Some((scheme, rest)) = endpoint.split_once("://") {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        return format!("{scheme}://{host}/…");
    }
    if let Some((person, host)) = endpoint.split_once('@') {
        let first: String = person.chars().take(1).collect();
        return format!("{first}…@{host}");
    }
    if endpoint.starts_with("arn:") {
        return endpoint.to_owned();
    }
    let last: String = endpoint.chars().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect();
    format!("…{last}")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use lifeboat_core::{
        events::Severity,
        messages::{Change, Entry, Kind, Signature, of_entries},
    };
    use serde_json::Value;

    use super::*;

    fn message(databases: usize, what: &str) -> Message {
        let at: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
        let entry = |n: usize| Entry {
            database: format!("shop-{n:04}").parse().unwrap(),
            kind: Kind::Backup,
            change: Change::Opened,
            severity: Severity::Critical,
            title: "backup failed".to_owned(),
            what: format!("{what} ({n})"),
            meaning: "There is no new backup.".to_owned(),
            since: at,
            at,
            ended_at: None,
            times: 1,
            protection: None,
            remedy: Some("look".to_owned()),
            commands: vec![format!("lifeboat dump shop-{n:04}")],
            escalated: false,
        };
        let entries: Vec<Entry> = (0..databases).map(entry).collect();
        of_entries(entries, &["x".to_owned()], &Signature::default(), at).unwrap()
    }

    #[test]
    fn programs_get_the_whole_message_and_people_get_text() {
        let message = message(1, "refused");
        let publication = publication(&message).unwrap();
        let body: Value = serde_json::from_str(&publication.body).unwrap();
        let back: Message = serde_json::from_str(body["default"].as_str().unwrap()).unwrap();
        assert_eq!(back, message);
        assert!(body["email"].as_str().unwrap().contains("lifeboat dump shop-0000"));
        assert!(body["sms"].as_str().unwrap().len() <= 140);
        assert!(publication.subject.len() < 100 && publication.subject.is_ascii());
        let names: Vec<&str> = publication.attributes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["database", "kind", "severity", "escalated", "purpose"]);
        assert_eq!(attribute(&publication.attributes[0].1).unwrap().data_type(), "String");
    }

    #[test]
    fn a_hundred_databases_are_one_publication_that_names_them_all() {
        let publication = publication(&message(100, "refused")).unwrap();
        assert!(publication.body.len() < MOST_BYTES);
        let databases = attribute(&publication.attributes[0].1).unwrap();
        assert_eq!(databases.data_type(), "String.Array");
        let names: Vec<String> = serde_json::from_str(databases.string_value().unwrap()).unwrap();
        assert_eq!(names.len(), 100);
        assert!(publication.body.contains("shop-0000") && publication.body.contains("shop-0099"));
    }

    #[test]
    fn what_is_too_long_for_sns_is_shortened_and_says_so() {
        let publication = publication(&message(1000, &"x".repeat(900))).unwrap();
        let of_attributes: usize = publication.attributes.iter().flat_map(|(_, v)| v).map(|v| v.len() + 3).sum();
        assert!(publication.body.len() + of_attributes < MOST_BYTES, "{}", publication.body.len());
        let body: Value = serde_json::from_str(&publication.body).unwrap();
        let back: Message = serde_json::from_str(body["default"].as_str().unwrap()).unwrap();
        assert_eq!(back.entries.len() as u64 + back.left_out, 1000);
        assert!(back.entries.len() > 50, "{}", back.entries.len());
        assert!(body["email"].as_str().unwrap().contains("further incidents are left out"));
    }

    #[test]
    fn addresses_are_hidden_but_recognised() {
        for (endpoint, shown) in [
            ("https://hooks.example/T0/B0/secret", "https://hooks.example/…"),
            ("https://ann:pw@hooks.example/x", "https://hooks.example/…"),
            ("ann@acme.example", "a…@acme.example"),
            ("+4915112345678", "…678"),
            ("arn:aws:sqs:eu-central-1:1:q", "arn:aws:sqs:eu-central-1:1:q"),
        ] {
            assert_eq!(hidden(endpoint), shown);
        }
    }
}
