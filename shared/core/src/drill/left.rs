//! Scratch instances that outlived their drill.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use jiff::Timestamp;

use super::instance::{DATABASE_TAG, DEPLOYMENT_TAG, EXPIRES_TAG, SCRATCH_TAG};
use crate::{
    Error, ErrorKind, Result,
    ids::DatabaseSlug,
    ports::{Deletion, Instance, Instances, LeftScratch, ScratchReaper},
};

/// Finds and removes left instances of one deployment: those of one database, and those of databases that nobody looks after
/// any more. Another deployment's databases may have the same names, and are looked after there.
#[derive(Clone)]
pub struct LeftInstances {
    /// RDS.
    pub instances: Arc<dyn Instances>,
    /// The deployment, as `deploy.name` says.
    pub deployment: String,
    /// The database.
    pub database: DatabaseSlug,
    /// The others that are looked after.
    pub others: BTreeSet<DatabaseSlug>,
}

impl LeftInstances {
    fn is_ours(&self, instance: &Instance) -> bool {
        if instance.tags.get(DEPLOYMENT_TAG) != Some(&self.deployment) {
            return false;
        }
        let Some(database) = instance.tags.get(DATABASE_TAG) else { return true };
        database == self.database.as_str() || !self.others.iter().any(|other| other.as_str() == database)
    }
}

/// An instance as health sees it. One whose tag cannot be read expires by its age, like any other scratch target.
fn seen(instance: &Instance, now: Timestamp) -> LeftScratch {
    LeftScratch {
        kind: "RDS instance".to_owned(),
        name: instance.id.clone(),
        made_at: instance.made_at.unwrap_or(now),
        expires_at: instance.tags.get(EXPIRES_TAG).and_then(|text| text.parse().ok()),
        in_use: None,
    }
}

#[async_trait]
impl ScratchReaper for LeftInstances {
    fn describe(&self) -> String {
        self.instances.describe()
    }

    async fn left(&self) -> Result<Vec<LeftScratch>> {
        let tagged = self.instances.tagged(SCRATCH_TAG.0, SCRATCH_TAG.1).await?;
        let there = tagged.iter().filter(|instance| self.is_ours(instance) && instance.status != "deleting");
        // One without a date is being made this moment.
        Ok(there.map(|instance| seen(instance, Timestamp::MAX)).collect())
    }

    async fn remove(&self, left: &LeftScratch) -> Result<()> {
        match self.instances.delete(&left.name).await? {
            Deletion::Begun | Deletion::Gone => Ok(()),
            Deletion::NotYet => {
                let message = format!("the instance {} cannot be removed in its state", left.name);
                Err(Error::new(ErrorKind::Store, message).with_hint("look at its events in RDS; health tries again"))
            }
        }
    }
}
