//! What the configuration says about alerts.

use std::collections::BTreeMap;

use super::plan::Terms;
use crate::{
    config::{AlertsConfig, Config, Span},
    ids::DatabaseSlug,
    messages::Signature,
};

/// What the configuration says about alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// For a database that is not configured.
    pub terms: Terms,
    /// Per database.
    pub databases: BTreeMap<DatabaseSlug, Terms>,
    /// What stands below messages.
    pub signature: Signature,
}

impl Policy {
    /// Of a configuration.
    pub fn of_config(config: &Config) -> Self {
        let alerts = &config.alerts;
        let terms = |database: Option<&DatabaseSlug>, rpo: Option<Span>| Terms {
            reminder: alerts.reminder.value,
            escalate_after: alerts.escalate_after.value.0,
            severity: alerts.severity.value,
            per_run: database.is_some_and(|database| alerts.per_run.value.contains(database)),
            rpo,
        };
        let of = |(slug, database): (&DatabaseSlug, &crate::config::DatabaseConfig)| {
            (slug.clone(), terms(Some(slug), database.rpo.as_ref().map(|rpo| rpo.value)))
        };
        Self {
            terms: terms(None, None),
            databases: config.databases.iter().map(of).collect(),
            signature: signature(alerts, config.store.as_ref().map(|store| store.value.clone())),
        }
    }

    /// For one database.
    pub fn of(&self, database: &DatabaseSlug) -> &Terms {
        self.databases.get(database).unwrap_or(&self.terms)
    }
}

fn signature(alerts: &AlertsConfig, store: Option<String>) -> Signature {
    Signature {
        contacts: alerts.contacts.value.clone(),
        escalation_contacts: alerts.escalation_contacts.value.clone(),
        store,
    }
}
