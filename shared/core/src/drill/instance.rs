//! The scratch instance of a drill: what it must be to fit the backup, and how it comes and goes.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result,
    config::{RdsScratch, Span},
    ids::{DatabaseSlug, DrillId},
    manifest::sha256_hex,
    ports::{Deletion, Instance, InstanceAddress, InstanceContent, InstanceWish, Instances, ScratchFacts},
};

/// Marks everything that may be removed when its time is over.
pub const SCRATCH_TAG: (&str, &str) = ("lifeboat:scratch", "true");
/// The deployment that drills: others in the same account have databases of the same names.
pub const DEPLOYMENT_TAG: &str = "lifeboat:deployment";
/// The drilled database.
pub const DATABASE_TAG: &str = "lifeboat:database";
/// The drill.
pub const DRILL_TAG: &str = "lifeboat:drill";
/// The execution of the state machine, or the run, that drills.
pub const EXECUTION_TAG: &str = "lifeboat:execution";
/// From when on it may be removed.
pub const EXPIRES_TAG: &str = "lifeboat:expires-at";

/// GB is 2^30 bytes here, as RDS counts.
const GB: u64 = 1 << 30;
/// The least that RDS offers of gp3.
const LEAST_STORAGE_GB: u64 = 20;
/// What is left of an id of 63 characters for deployment and database.
const ID_LENGTH: usize = 63;

/// What the backup asks of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Needs {
    /// Major version of the source.
    pub major: u32,
    /// Bytes that will be restored, before compression.
    pub raw_bytes: u64,
}

/// Who drills what: the instance carries it.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// The database.
    pub database: &'a DatabaseSlug,
    /// The drill.
    pub drill: &'a DrillId,
    /// The execution or run.
    pub execution: &'a str,
    /// When it was begun to be made.
    pub begun: Timestamp,
}

/// The id of a drill's instance: the same whenever it is asked for, so that a step that is repeated finds its own.
pub fn instance_id(deployment: &str, database: &DatabaseSlug, drill: &DrillId) -> String {
    let hash = &sha256_hex(format!("{database}/{drill}").as_bytes())[..10];
    let mut id = String::new();
    for character in format!("{deployment}-drill-{database}").chars() {
        let character = if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' };
        if character != '-' || !id.ends_with('-') {
            id.push(character);
        }
    }
    id.truncate(ID_LENGTH - hash.len() - 1);
    format!("{}-{hash}", id.trim_matches('-'))
}

/// When an instance of this drill may be removed, whatever became of it.
pub fn expiry(begun: Timestamp, ttl: Span) -> Timestamp {
    begun.saturating_add(seconds(ttl)).unwrap_or(Timestamp::MAX)
}

fn seconds(span: Span) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(span.0).unwrap_or(i64::MAX))
}

/// The instance that fits: the source's major version, and room for the data, their indexes and the WAL of loading them.
/// A version in the configuration that is older than the source's is refused.
pub fn wish(
    config: &RdsScratch,
    deployment: &str,
    mark: Mark<'_>,
    needs: Needs,
    content: InstanceContent,
) -> Result<InstanceWish> {
    let engine_version = config.engine_version.clone().unwrap_or_else(|| needs.major.to_string());
    let major: u32 = engine_version.split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    if content == InstanceContent::Empty && major < needs.major {
        return Err(Error::new(
            ErrorKind::Config,
            format!("drill.scratch.rds.engine_version is {engine_version}, older than the backup's {}", needs.major),
        )
        .with_hint("leave engine_version out, or name the source's major version or a newer one"));
    }
    let roomy = needs.raw_bytes.saturating_mul(3).div_ceil(GB).saturating_add(5).max(LEAST_STORAGE_GB);
    let storage_gb = config.storage_gb.unwrap_or_else(|| u32::try_from(roomy).unwrap_or(u32::MAX));
    if content == InstanceContent::Empty && u64::from(storage_gb) * GB <= needs.raw_bytes {
        return Err(Error::new(
            ErrorKind::Config,
            format!(
                "drill.scratch.rds.storage_gb is {storage_gb}, but the backup holds {} GB before its indexes",
                needs.raw_bytes.div_ceil(GB)
            ),
        )
        .with_hint("leave storage_gb out, or raise it"));
    }
    let tags = [
        (SCRATCH_TAG.0, SCRATCH_TAG.1.to_owned()),
        (DEPLOYMENT_TAG, deployment.to_owned()),
        (DATABASE_TAG, mark.database.to_string()),
        (DRILL_TAG, mark.drill.to_string()),
        (EXECUTION_TAG, mark.execution.chars().take(256).collect()),
        (EXPIRES_TAG, expiry(mark.begun, config.times.ttl).to_string()),
    ];
    Ok(InstanceWish {
        id: instance_id(deployment, mark.database, mark.drill),
        class: config.class.clone(),
        engine_version,
        storage_gb,
        parameter_group: config.parameter_group.clone(),
        subnet_group: config.subnet_group.clone(),
        security_groups: config.security_groups.clone(),
        kms_key: config.kms_key.clone(),
        content,
        tags: tags.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<BTreeMap<_, _>>(),
    })
}

/// Whether an instance is one of Lifeboat's, and of this drill.
fn is_of(instance: &Instance, drill: &str) -> bool {
    let tag = |name: &str| instance.tags.get(name).map(String::as_str);
    tag(SCRATCH_TAG.0) == Some(SCRATCH_TAG.1) && tag(DRILL_TAG) == Some(drill)
}

/// Has the instance made. One that an earlier delivery has made is taken.
pub async fn provision(instances: &dyn Instances, wish: &InstanceWish) -> Result<Instance> {
    match instances.create(wish).await {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let drill = wish.tags.get(DRILL_TAG).map(String::as_str).unwrap_or_default();
            match instances.find(&wish.id).await? {
                Some(there) if is_of(&there, drill) => Ok(there),
                Some(_) => Err(Error::new(ErrorKind::Refused, format!("the instance {} is not this drill's", wish.id))
                    .with_hint("nothing was done to it; remove or rename it")),
                None => Err(error),
            }
        }
        created => created,
    }
}

/// An instance on its way.
#[derive(Debug, Clone, PartialEq)]
pub enum Readiness {
    /// It can be connected to.
    Ready(Box<Instance>, InstanceAddress),
    /// Not yet; what RDS calls its state.
    NotYet(String),
}

/// Looks whether the instance is available, with a password that can be read; where it is `lent`, nothing else of it is
/// changed. `Deadline` where it takes too long.
pub async fn look(
    instances: &dyn Instances,
    id: &str,
    lent: bool,
    begun: Timestamp,
    within: Span,
    now: Timestamp,
) -> Result<Readiness> {
    let found = instances.find(id).await?;
    let Some(instance) = found else {
        return Err(Error::new(ErrorKind::NotFound, format!("the instance {id} is gone before it was used"))
            .with_hint("somebody removed it; RDS's events say who"));
    };
    let status = instance.status.clone();
    if matches!(status.as_str(), "failed" | "deleting" | "storage-full" | "inaccessible-encryption-credentials")
        || status.starts_with("incompatible-")
    {
        return Err(Error::new(ErrorKind::Store, format!("the instance {id} is {status}, and will not be available"))
            .with_hint("look at the instance's events in RDS: class, parameter group, subnets or key may not fit"));
    }
    if status == "available" {
        match (&instance.address, &instance.secret) {
            (Some((host, port)), Some(secret)) => {
                let address = InstanceAddress {
                    host: host.clone(),
                    port: *port,
                    user: instance.user.clone(),
                    secret: secret.clone(),
                };
                return Ok(Readiness::Ready(Box::new(instance), address));
            }
            (Some(_), None) => instances.take_over(id, lent).await?,
            (None, _) => {}
        }
    }
    if expiry(begun, within) <= now {
        let message = format!("the instance {id} was not available within {within}: it is {status}");
        return Err(Error::new(ErrorKind::Deadline, message)
            .with_hint("raise drill.scratch.rds.available_within, or look at the instance's events in RDS"));
    }
    Ok(Readiness::NotYet(status))
}

/// Has the drill's instance removed; whether it is gone by now. One of this id that is somebody else's is left alone: the
/// drill has none then. Where RDS does not show it, it is removed all the same: what is not scratch, the role may not remove.
pub async fn remove(instances: &dyn Instances, id: &str, drill: &DrillId) -> Result<bool> {
    match instances.find(id).await {
        Ok(Some(there)) if !is_of(&there, drill.as_str()) => Ok(true),
        _ => Ok(instances.delete(id).await? == Deletion::Gone),
    }
}

/// Looks whether the instance is gone, and asks again where RDS could not remove it yet. `Deadline` where it takes too long.
pub async fn gone(
    instances: &dyn Instances,
    id: &str,
    drill: &DrillId,
    begun: Timestamp,
    within: Span,
    now: Timestamp,
) -> Result<bool> {
    let status = match instances.find(id).await? {
        Some(instance) if is_of(&instance, drill.as_str()) => instance.status,
        _ => return Ok(true),
    };
    if status != "deleting" && instances.delete(id).await? == Deletion::Gone {
        return Ok(true);
    }
    if expiry(begun, within) <= now {
        let message = format!("the instance {id} was not gone within {within}: it is {status}");
        return Err(Error::new(ErrorKind::Deadline, message)
            .with_hint("health removes it after its time; look at its events in RDS"));
    }
    Ok(false)
}

/// How it was seen that the instance is gone.
pub fn proof(id: &str) -> String {
    format!("RDS knows no instance {id} any more")
}

/// What the report says where the storage is not encrypted: an empty instance's always is, one made of a snapshot or another
/// instance is as that was, and RDS cannot change it.
pub fn unencrypted(instance: &Instance) -> Option<String> {
    (!instance.encrypted).then(|| {
        format!("the instance {} is NOT encrypted, because what it was made of is not: encrypt the source", instance.id)
    })
}

/// What the report says of the instance.
pub fn facts(instance: &Instance) -> ScratchFacts {
    let encrypted = if instance.encrypted { "encrypted" } else { "not encrypted" };
    ScratchFacts {
        description: format!(
            "RDS instance {} ({}, PostgreSQL {}, {} GiB, {encrypted})",
            instance.id, instance.class, instance.engine_version, instance.storage_gb
        ),
        id: Some(instance.id.clone()),
        class: Some(instance.class.clone()),
        network: Some(instance.network.clone()),
        storage_gb: Some(instance.storage_gb),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug() -> DatabaseSlug {
        "orders_eu".parse().unwrap()
    }

    fn wished(config: &RdsScratch, needs: Needs) -> Result<InstanceWish> {
        let drill = DrillId::new(Timestamp::UNIX_EPOCH, 7);
        let database = slug();
        let mark = Mark { database: &database, drill: &drill, execution: "run", begun: Timestamp::UNIX_EPOCH };
        wish(config, "lifeboat", mark, needs, InstanceContent::Empty)
    }

    #[test]
    fn an_instance_fits_its_backup() {
        let config = RdsScratch::of_class("db.t4g.medium");
        let small = wished(&config, Needs { major: 15, raw_bytes: 1000 }).unwrap();
        assert_eq!((small.engine_version.as_str(), small.storage_gb), ("15", 20));
        assert_eq!(wished(&config, Needs { major: 17, raw_bytes: 100 * GB }).unwrap().storage_gb, 305);
        assert_eq!(small.tags["lifeboat:expires-at"], "1970-01-01T06:00:00Z");
        assert_eq!(small.tags["lifeboat:deployment"], "lifeboat");
        let older = RdsScratch { engine_version: Some("15.4".to_owned()), ..config.clone() };
        assert_eq!(wished(&older, Needs { major: 16, raw_bytes: 0 }).unwrap_err().kind(), ErrorKind::Config);
        let narrow = RdsScratch { storage_gb: Some(20), ..config };
        assert_eq!(wished(&narrow, Needs { major: 15, raw_bytes: 30 * GB }).unwrap_err().kind(), ErrorKind::Config);
    }

    #[test]
    fn an_instances_id_is_one_that_rds_takes_and_always_the_same() {
        let drill = DrillId::new(Timestamp::UNIX_EPOCH, 7);
        let id = instance_id("lifeboat", &slug(), &drill);
        assert!(id.starts_with("lifeboat-drill-orders-eu-") && !id.contains("--"), "{id}");
        assert_eq!(id, instance_id("lifeboat", &slug(), &drill));
        assert_ne!(id, instance_id("lifeboat", &slug(), &DrillId::new(Timestamp::UNIX_EPOCH, 8)));
        let long = instance_id("lifeboat", &"a".repeat(48).parse().unwrap(), &drill);
        assert!(long.len() <= ID_LENGTH && long.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{long}");
    }
}
