//! What else than a backup can be drilled: the database's own snapshots and points in time in RDS, and what AWS Backup's
//! restore tests made of it.
//!
//! There is no manifest of that very moment. What is compared is the catalog, with that of the backup made nearest to it, or of
//! the newest where nobody says from when the data are; rows are not, and the report says so.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rehearsal::Rehearsal, select::choosable};
use crate::{
    Error, ErrorKind, Result, catalog,
    config::RdsScratch,
    ids::{BackupId, DatabaseSlug},
    manifest::Manifest,
    ports::{InstanceContent, Instances, Inventory, RunContext, Store, Target},
    report::{NegativeControl, OriginEvidence, OrphanedRows, SchemaEvidence, SequenceBehind},
};

const LATEST: &str = "latest";

/// Another origin than a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A snapshot of the source's instance: `latest`, or its id.
    Snapshot(String),
    /// The source's instance as it was: `latest`, or a time in RFC 3339.
    PointInTime(String),
    /// An instance that a restore test of AWS Backup made of one of its own recovery points.
    Adopt {
        /// The instance, by its id or ARN.
        instance: String,
        /// The restore job, which is told what the drill came to.
        restore_job: String,
    },
}

impl Origin {
    /// AWS Backup's restore job, where it made the instance.
    pub fn restore_job(&self) -> Option<&str> {
        match self {
            Self::Adopt { restore_job, .. } => Some(restore_job),
            Self::Snapshot(_) | Self::PointInTime(_) => None,
        }
    }

    /// What the report says of it where no more is known.
    pub(super) fn evidence(&self) -> OriginEvidence {
        let (kind, id) = match self {
            Self::Snapshot(id) => ("snapshot", id),
            Self::PointInTime(at) => ("point in time", at),
            Self::Adopt { restore_job, .. } => ("AWS Backup restore job", restore_job),
        };
        OriginEvidence { kind: kind.to_owned(), id: id.clone(), taken_at: None }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Snapshot(id) => write!(f, "snapshot {id}"),
            Self::PointInTime(at) => write!(f, "point in time {at}"),
            Self::Adopt { instance, restore_job } => {
                write!(f, "restore job {restore_job} of AWS Backup (instance {instance})")
            }
        }
    }
}

/// What the instance is made of, and what the report says of it.
pub(super) async fn content(
    origin: &Origin,
    config: &RdsScratch,
    instances: &dyn Instances,
) -> Result<(InstanceContent, OriginEvidence)> {
    let source = || {
        config.source_instance.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Config,
                "drill.scratch.rds.source_instance is not set: nobody knows the source's instance",
            )
            .with_hint("name the instance of RDS that the database runs on")
        })
    };
    match origin {
        Origin::Snapshot(id) if id != LATEST => {
            let evidence = OriginEvidence { kind: "snapshot".to_owned(), id: id.clone(), taken_at: None };
            Ok((InstanceContent::Snapshot(id.clone()), evidence))
        }
        Origin::Snapshot(_) => {
            let source = source()?;
            let newest = instances.snapshots(&source).await?.into_iter().next();
            let newest = newest.ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("the instance {source} has no usable snapshot"))
                    .with_hint("turn on its automated backups, or make a snapshot")
            })?;
            let taken_at = Some(newest.taken_at);
            let evidence = OriginEvidence { kind: "snapshot".to_owned(), id: newest.id.clone(), taken_at };
            Ok((InstanceContent::Snapshot(newest.id), evidence))
        }
        Origin::PointInTime(at) => {
            let instance = source()?;
            let at = match at.as_str() {
                LATEST => None,
                text => Some(text.parse::<Timestamp>().map_err(|e| {
                    Error::new(ErrorKind::Usage, format!("point in time '{text}': {e}"))
                        .with_hint("write latest, or a time such as 2026-12-06T03:55:00Z")
                })?),
            };
            let evidence = OriginEvidence {
                kind: "point in time".to_owned(),
                id: instance.clone(),
                // The latest is of some minutes ago, and RDS does not say of when.
                taken_at: at,
            };
            Ok((InstanceContent::PointInTime { instance, at }, evidence))
        }
        Origin::Adopt { instance, .. } => {
            Err(Error::new(ErrorKind::Usage, format!("the instance {instance} is there: none is made")))
        }
    }
}

/// The backup made nearest to a time: migrations change the catalog. `None` where there is no backup.
pub(super) async fn nearest(store: &dyn Store, database: &DatabaseSlug, to: Timestamp) -> Result<Option<BackupId>> {
    let states = catalog::list(store, Some(database)).await?;
    let usable = choosable(&states).into_iter();
    Ok(usable.min_by_key(|state| state.at().duration_since(to).abs()).map(|state| state.backup_id.clone()))
}

/// Everything but the values of sequences, which go on.
fn lasting(inventory: &Inventory) -> Inventory {
    let items = inventory.items.iter().filter(|item| item.kind != "sequence").cloned().collect();
    Inventory { items }
}

/// Sees that the database is there and answers; nothing is loaded.
pub(super) async fn arrive(target: &Arc<dyn Target>, context: &RunContext, found: &mut Rehearsal) -> Result<()> {
    let facts = found.phase("restore", true, None, context, target.facts()).await?;
    if let Some(phase) = found.phases.last_mut() {
        phase.note = Some("the instance was made with the data in it: nothing was loaded".to_owned());
    }
    found.restored = true;
    found.server_version = Some(facts.server_version);
    Ok(())
}

/// Compares the catalog with that of a backup.
pub(super) async fn comparison(
    manifest: &Manifest,
    target: &Arc<dyn Target>,
    context: &RunContext,
    found: &mut Rehearsal,
) -> Result<()> {
    let comparing = async {
        let actual = target.inventory().await?;
        let mut schema = SchemaEvidence::compare(&lasting(&manifest.inventory), &lasting(&actual));
        schema.invalid_indexes = target.invalid_indexes().await?;
        let orphans = target.orphans().await?;
        schema.orphans = orphans.into_iter().map(|(foreign_key, rows)| OrphanedRows { foreign_key, rows }).collect();
        let behind = target.sequences_behind().await?.into_iter();
        schema.sequences_behind = behind
            .map(|(sequence, last_value, largest_value)| SequenceBehind {
                accepted: None,
                sequence,
                last_value,
                largest_value,
            })
            .collect();
        Ok(schema)
    };
    let mut schema = found.phase("compare", false, None, context, comparing).await?;
    let not_compared = "tables of contents were not compared: there is none of the very moment";
    schema.toc_not_compared = Some(not_compared.to_owned());
    found.deviations.push(not_compared.to_owned());
    found.deviations.push(format!(
        "rows were NOT compared: there is no manifest of the very moment; the catalog was, with backup {}",
        manifest.backup_id
    ));
    found.schema = Some(schema);
    Ok(())
}

/// Strikes an object off the list and sees whether the comparison misses it.
pub(super) async fn negative_control(manifest: &Manifest, context: &RunContext, found: &mut Rehearsal) -> Result<()> {
    let random = context.entropy.next();
    let controlling = async {
        let expected = lasting(&manifest.inventory);
        let mut damaged = expected.clone();
        let count = damaged.items.len() as u64;
        if count == 0 {
            return Ok(Vec::new());
        }
        let struck = damaged.items.remove(usize::try_from(random % count).unwrap_or(0));
        let noticed = SchemaEvidence::compare(&expected, &damaged);
        let named = noticed.differences.iter().find(|d| d.kind == struck.kind && d.name == struck.name);
        Ok(vec![NegativeControl {
            object_kind: "catalog".to_owned(),
            object: format!("{} {}", struck.kind, struck.name),
            damage: "struck off the list of what is there".to_owned(),
            rejected: named.is_some(),
            words: named
                .map_or_else(|| "it was not missed".to_owned(), |d| format!("{} {} is missing", d.kind, d.name)),
        }])
    };
    found.negative_controls = found.phase("negative control", false, None, context, controlling).await?;
    Ok(())
}
