//! SNS as the topic.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_sns::{
    Client, error::SdkError, operation::list_subscriptions_by_topic::ListSubscriptionsByTopicError,
    types::MessageAttributeValue,
};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    messages::{Message, to_sms, to_text},
    ports::{Subscriptions, Topic},
};
use serde_json::json;

use crate::client::{Aws, failed};

/// SNS takes 256 KiB, attributes included; these need some of it.
const MOST_BYTES: usize = 256 * 1024;
const FOR_SUBJECT: usize = 256;
/// The most values in an attribute: a message of more databases is divided.
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

impl Publication {
    /// Whether SNS takes it, and filter policies see everything in it.
    fn fits(&self) -> bool {
        self.bytes() <= MOST_BYTES && self.attributes.iter().all(|(_, values)| values.len() <= MOST_VALUES)
    }

    fn bytes(&self) -> usize {
        let of = |(name, values): &(&str, Vec<String>)| name.len() + values.iter().map(|v| v.len() + 3).sum::<usize>();
        FOR_SUBJECT + self.body.len() + self.attributes.iter().map(of).sum::<usize>()
    }
}

fn values<T: Ord + ToString>(of: impl Iterator<Item = T>) -> Vec<String> {
    let sorted: BTreeSet<T> = of.collect();
    sorted.iter().map(ToString::to_string).collect()
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
    let document = serde_json::to_string(message).or_error(ErrorKind::Unexpected, "write a message")?;
    let body = json!({ "default": document, "email": to_text(message), "sms": to_sms(message) }).to_string();
    Ok(Publication { subject: message.subject.clone(), body, attributes })
}

/// What is published for a message: as few publications as SNS takes. Pagers, and channels of some databases, act on each
/// entry, so that none may be left out; a digest is for reading, and is shortened.
fn publications(message: &Message) -> Result<Vec<Publication>> {
    if message.digest.is_some() {
        return Ok(vec![shortened(message)?]);
    }
    let most = message.entries.len();
    let mut parts = 1;
    loop {
        let all: Vec<Publication> = message.parts(parts).iter().map(publication).collect::<Result<_>>()?;
        if all.iter().all(Publication::fits) {
            return Ok(all);
        }
        if parts >= most {
            return message.parts(parts).iter().map(|part| publication(&part.cut())).collect();
        }
        let largest = all.iter().map(Publication::bytes).max().unwrap_or_default();
        parts = (parts * largest).div_ceil(MOST_BYTES).max(parts + 1).min(most);
    }
}

fn shortened(message: &Message) -> Result<Publication> {
    let mut publication = publication(message)?;
    let rows = |message: &Message| message.digest.as_ref().map_or((0, 0), |d| (d.databases.len(), d.open.len()));
    let (mut databases, mut open) = rows(message);
    while !publication.fits() && (databases, open) != (0, 0) {
        // In proportion, and a little less.
        let less = |rows: usize| (rows * MOST_BYTES / publication.bytes()).min(rows.saturating_sub(1));
        (databases, open) = (less(databases), less(open));
        publication = self::publication(&message.with_fewer_rows(databases, open))?;
    }
    Ok(publication)
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
        for publication in publications(message)? {
            self.publish_one(&publication).await?;
        }
        Ok(())
    }
}

impl SnsTopic {
    async fn publish_one(&self, publication: &Publication) -> Result<()> {
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
            let page = page.map_err(|e| unlisted(&doing, &self.arn, e))?;
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

/// Why subscriptions could not be listed, and what to do about it.
fn unlisted(doing: &str, arn: &str, error: SdkError<ListSubscriptionsByTopicError>) -> Error {
    use ListSubscriptionsByTopicError::{AuthorizationErrorException, InvalidParameterException, NotFoundException};
    let (kind, hint) = match error.as_service_error() {
        Some(NotFoundException(_)) => (
            ErrorKind::NotFound,
            format!("there is no topic {arn}: make it, or set alerts.topic to the one that there is"),
        ),
        Some(InvalidParameterException(_)) => {
            (ErrorKind::Config, "alerts.topic must be the ARN of an SNS topic in this region".to_owned())
        }
        Some(AuthorizationErrorException(_)) => {
            (ErrorKind::Store, format!("the role needs sns:ListSubscriptionsByTopic and sns:Publish on {arn}"))
        }
        _ => return failed(doing, error),
    };
    let failed = failed(doing, error);
    Error::new(kind, failed.to_string()).with_source(failed).with_hint(hint)
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
        ids::BackupId,
        messages::{
            Change, Digest, DigestDatabase, DigestIncident, Entry, Kind, Protection, Signature, StorageShare,
            of_digest, of_entries,
        },
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

    fn back(publication: &Publication) -> (Message, Value) {
        let body: Value = serde_json::from_str(&publication.body).unwrap();
        (serde_json::from_str(body["default"].as_str().unwrap()).unwrap(), body)
    }

    #[test]
    fn an_outage_that_is_too_long_for_sns_is_told_in_parts_and_nobody_is_left_out() {
        for (databases, what) in [(1000, "x".repeat(900)), (1000, "refused".to_owned()), (3, "ü".repeat(90_000))] {
            let message = message(databases, &what);
            let all = publications(&message).unwrap();
            assert!(all.len() > 1 && all.len() < 20, "{}", all.len());
            let (mut told, mut ids) = (BTreeSet::new(), BTreeSet::new());
            for publication in &all {
                assert!(publication.fits() && publication.bytes() <= MOST_BYTES, "{}", publication.bytes());
                let (part, _) = back(publication);
                // Those who filter by database get the part that names it.
                let named: Vec<String> = part.entries.iter().map(|e| e.database.to_string()).collect();
                assert_eq!(publication.attributes[0], ("database", named.clone()));
                assert!(
                    part.subject.len() < 100 && part.subject.contains(&format!("/{})", all.len())),
                    "{}",
                    part.subject
                );
                told.extend(named);
                ids.insert(part.id);
            }
            assert_eq!((told.len(), ids.len()), (databases, all.len()));
            // Published once more, it is the same news.
            let again: BTreeSet<String> = publications(&message).unwrap().iter().map(|p| back(p).0.id).collect();
            assert_eq!(again, ids);
        }
    }

    #[test]
    fn a_digest_of_a_thousand_databases_is_shortened_says_so_and_keeps_its_sums() {
        let at: Timestamp = "2026-11-20T02:00:00Z".parse().unwrap();
        let good = Protection { backup_id: BackupId::new(at, 1), snapshot_at: at, restored: false };
        let database = |n: usize| DigestDatabase {
            database: format!("shop-{n:04}").parse().unwrap(),
            made: 7,
            verified: 7,
            drills: 1,
            last_drill: Some("passed".to_owned()),
            // One that must not be overlooked stands at the end.
            newest_good: (n != 999).then(|| good.clone()),
            raw_bytes: 1 << 30,
            stored_bytes: 1 << 20,
            growth_bytes: Some(10),
            storage: vec![StorageShare {
                tier: "daily".to_owned(),
                storage_class: "STANDARD".to_owned(),
                bytes: 1 << 20,
                usd_per_month: 0.1,
            }],
            usd_per_month: 0.1,
            upcoming: vec!["backups cron(0 2 * * ? *)".to_owned()],
        };
        let open = |n: usize| DigestIncident {
            database: format!("shop-{n:04}").parse().unwrap(),
            kind: Kind::Backup,
            severity: Severity::Critical,
            since: at,
            what: "x".repeat(2000),
        };
        let digest = Digest {
            from: at,
            to: at,
            databases: (0..1000).map(database).collect(),
            open: (0..500).map(open).collect(),
            undelivered: 0,
            problems: vec!["y".repeat(300); 1000],
            usd_per_month: 100.0,
            prices: "list prices".to_owned(),
            left_out: None,
        };
        let all = publications(&of_digest(digest, at, &Signature::default(), at)).unwrap();
        assert!(all.len() == 1 && all[0].fits(), "{}", all[0].bytes());
        let (message, body) = back(&all[0]);
        assert!(message.subject.contains("1000 databases"), "{}", message.subject);
        let digest = message.digest.unwrap();
        let left = digest.left_out.unwrap();
        assert_eq!(digest.databases.len() as u64 + left.databases, 1000);
        assert_eq!(digest.open.len() as u64 + left.open, 500);
        assert!(digest.databases.len() > 20, "{}", digest.databases.len());
        assert_eq!(digest.databases[0].database.as_str(), "shop-0999");
        let text = body["email"].as_str().unwrap();
        assert!(text.contains("7,000 made, 7,000 of them verified"), "{}", &text[..2000]);
        assert!(text.contains("are left out here") && text.contains("lifeboat status"));
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
