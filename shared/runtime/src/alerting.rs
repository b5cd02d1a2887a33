//! From the configuration to people: topic, channels, and the bus of a process that alerts by itself.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use lifeboat_aws::{SesEmail, SnsTopic};
use lifeboat_channels::{Patience, Poster, Slack, SmtpEmail, Webhook};
use lifeboat_core::{
    Error, ErrorKind, Result,
    cancel::Cancel,
    config::{ChannelConfig, ChannelTo},
    deliveries::{self, Again, Target},
    digest::{self, DigestPorts},
    events::Event,
    incidents::{self, AlertPorts, Blind, Outlet, Policy, Received},
    messages::Audience,
    ports::{Channel, EventBus, RunContext, Topic, Unwatched},
};

use tokio::time::Instant;

use crate::{setup::Setup, telling::PATIENCE};

/// How patient a run at the command line is with its channels: what fails is tried again by the next run.
const AT_ONCE: Patience = Patience {
    attempts: 3,
    pause: Duration::from_millis(500),
    longest_pause: Duration::from_secs(2),
    attempt: Duration::from_secs(5),
};

/// How long a run at the command line works on what is not new: messages that did not arrive, and a digest that is due.
const FOR_FURTHER: Duration = Duration::from_secs(11);

/// How long a run at the command line works on messages that did not arrive before.
const FOR_AGAIN: Duration = Duration::from_secs(3);

/// How long the control store may take at the command line before people are told without it: [`AT_ONCE`] comes after it,
/// and all of it must be over before the run gives up telling.
const FOR_CONTROL: Duration = Duration::from_secs(3);

/// How long the functions that tell people wait for an answer of the control store before they tell without it: they have two
/// minutes, and are stopped after one.
pub(crate) const FOR_CONTROL_OF_FUNCTIONS: Duration = Duration::from_secs(15);

/// A channel that is configured, opened or not: one that is wrong must not silence the others.
pub struct Opened {
    /// Its name.
    pub name: String,
    /// The channel, or why it cannot be used.
    pub target: Result<Target>,
}

impl Setup {
    /// The topic, if one is configured.
    pub async fn open_topic(&self) -> Result<Option<Arc<dyn Topic>>> {
        let Some(arn) = &self.config.alerts.topic else { return Ok(None) };
        Ok(Some(Arc::new(SnsTopic::new(self.aws().await?, &arn.value))))
    }

    /// Every channel that is configured.
    pub async fn open_channels(&self, patience: Patience) -> Result<Vec<Opened>> {
        let poster = Poster::new(patience)?;
        let mut opened = Vec::new();
        for (name, config) in &self.config.alerts.channels {
            let audience = Audience {
                severity: config.severity.value,
                escalation: config.escalation.value,
                databases: config.databases.value.clone(),
            };
            let channel = Box::pin(self.open_channel(name, config, &poster, patience)).await;
            let target = channel.map(|channel| Target { channel, audience });
            opened.push(Opened { name: name.clone(), target });
        }
        Ok(opened)
    }

    async fn open_channel(
        &self,
        name: &str,
        config: &ChannelConfig,
        poster: &Poster,
        patience: Patience,
    ) -> Result<Arc<dyn Channel>> {
        let about = |e: Error| {
            let hint = e.hint().to_owned();
            e.context(format!("channel '{name}'")).with_hint(hint)
        };
        Ok(match &config.to.value {
            ChannelTo::Slack { url } => {
                Arc::new(Slack::new(name, self.secret(url).await.map_err(about)?, poster.clone()))
            }
            ChannelTo::Webhook { url, routing_key } => {
                let url = match url {
                    Some(url) => Some(self.secret(url).await.map_err(about)?),
                    None => None,
                };
                let key = match routing_key {
                    Some(key) => Some(self.secret(key).await.map_err(about)?),
                    None => None,
                };
                Arc::new(Webhook::new(name, url, key, poster.clone()))
            }
            ChannelTo::Email { from, to, smtp: Some(url) } => {
                let url = self.secret(url).await.map_err(about)?;
                Arc::new(SmtpEmail::new(name, &url, from, to, patience)?)
            }
            ChannelTo::Email { from, to, smtp: None } => {
                Arc::new(SesEmail::new(self.aws().await.map_err(about)?, name, from, to.clone()))
            }
        })
    }

    /// Channels as delivery wants them: one that cannot be opened fails when it is sent to, and so is on record.
    pub async fn open_targets(&self, patience: Patience) -> Result<Vec<Target>> {
        let opened = self.open_channels(patience).await?;
        Ok(opened
            .into_iter()
            .map(|Opened { name, target }| {
                target.unwrap_or_else(|error| {
                    tracing::error!(%error, hint = error.hint(), channel = name, "a channel cannot be used");
                    let config = &self.config.alerts.channels[&name];
                    let audience = Audience {
                        severity: config.severity.value,
                        escalation: config.escalation.value,
                        databases: config.databases.value.clone(),
                    };
                    Target { channel: Arc::new(Broken { name, error: error.to_string() }), audience }
                })
            })
            .collect())
    }

    /// Where messages go: to the topic where one is configured, else to the channels.
    pub async fn open_outlet(&self, patience: Patience) -> Result<Outlet> {
        if let Some(topic) = self.open_topic().await? {
            return Ok(Outlet::Topic(topic));
        }
        if self.config.alerts.channels.is_empty() {
            return Err(Error::new(
                ErrorKind::Config,
                "neither a topic nor a channel is configured: nobody can be told",
            )
            .with_hint("set alerts.topic, or write an [alerts.channels.NAME] section: see docs/ALERTS.md"));
        }
        Ok(Outlet::Channels(self.open_targets(patience).await?))
    }

    /// What alerts need. `control`: how long the control store may take for one answer before people are told without it.
    pub async fn alert_ports(&self, patience: Patience, control: Option<Duration>) -> Result<AlertPorts> {
        Ok(AlertPorts {
            control: self.open_control().await?,
            // Backups only help to say what still protects a database.
            store: self
                .open_store()
                .await
                .inspect_err(|error| tracing::warn!(%error, "alerts cannot say what still protects a database"))
                .ok(),
            outlet: Box::pin(self.open_outlet(patience)).await?,
            blind: told_blindly(),
            patience: control,
        })
    }

    /// Tries again what did not reach every channel: each message once on each channel, but for those in `but`.
    pub async fn deliver_again(
        &self,
        but: &BTreeSet<String>,
        patience: Patience,
        budget: Duration,
        context: &RunContext,
    ) -> Result<Again> {
        let targets = Box::pin(self.open_targets(patience.once())).await?;
        let control = self.open_control().await?;
        deliveries::deliver_again(&*control, &targets, but, budget, context).await
    }

    /// The bus of a process that alerts by itself.
    pub(crate) fn own_bus(&self) -> Arc<dyn EventBus> {
        Arc::new(OwnBus { setup: self.clone() })
    }

    /// Sends the digest if it is due, or (`asked`) now; an error is logged and tried again by a later run.
    pub async fn send_digest(
        &self,
        asked: bool,
        patience: Patience,
        context: &RunContext,
    ) -> Result<digest::DigestOutcome> {
        let ports = DigestPorts {
            store: self.open_store().await?,
            control: self.open_control().await?,
            outlet: Box::pin(self.open_outlet(patience)).await?,
        };
        digest::run(&ports, &self.config, asked, context).await
    }
}

/// What this process has told while the control store could not be reached: a function's process lives on.
fn told_blindly() -> Arc<Blind> {
    static TOLD: OnceLock<Arc<Blind>> = OnceLock::new();
    Arc::clone(TOLD.get_or_init(Arc::default))
}

/// A channel that could not be opened.
struct Broken {
    name: String,
    error: String,
}

#[async_trait]
impl Channel for Broken {
    fn name(&self) -> &str {
        &self.name
    }

    fn leads_to(&self) -> String {
        "nowhere: it cannot be used".to_owned()
    }

    async fn send(&self, _message: &lifeboat_core::messages::Message) -> Result<()> {
        Err(Error::new(ErrorKind::Config, self.error.clone()))
    }
}

/// Events become incidents and messages in this very process: for those who run neither bus nor functions.
struct OwnBus {
    setup: Setup,
}

#[async_trait]
impl EventBus for OwnBus {
    async fn publish(&self, events: &[Event]) -> Result<()> {
        let began = Instant::now();
        let context = self.setup.context(Arc::new(Unwatched), Cancel::never());
        let ports = self.setup.alert_ports(AT_ONCE, Some(FOR_CONTROL)).await?;
        let received: Vec<Received> =
            events.iter().enumerate().map(|(n, event)| Received { id: n.to_string(), event: event.clone() }).collect();
        let outcome = incidents::run(&ports, &Policy::of_config(&self.setup.config), &received, &context).await;
        if let Some(error) = outcome.error {
            return Err(error.context("tell people"));
        }
        // What is new has been told: what follows is for later runs, if there is no time now.
        let further = Box::pin(self.further(outcome.failed_channels, &context));
        let until = (Instant::now() + FOR_FURTHER).min(began + PATIENCE.saturating_sub(Duration::from_secs(1)));
        if tokio::time::timeout_at(until, further).await.is_err() {
            tracing::warn!("the digest takes too long beside a run: have `lifeboat alert digest` run by itself");
        }
        Ok(())
    }
}

impl OwnBus {
    /// What did not arrive before, where this process delivers, and the digest, if it is due.
    async fn further(&self, failed: BTreeSet<String>, context: &RunContext) {
        if self.setup.config.alerts.topic.is_none()
            && let Err(error) = self.setup.deliver_again(&failed, AT_ONCE, FOR_AGAIN, context).await
        {
            tracing::warn!(%error, "what did not arrive before was not tried again");
        }
        if let Err(error) = self.setup.send_digest(false, AT_ONCE, context).await {
            tracing::warn!(%error, "the digest was not sent; a later run tries again");
        }
    }
}
