//! RDS as the place where drills have their scratch instances made.

use async_trait::async_trait;
use aws_sdk_rds::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime,
    types::{DbInstance, Tag},
};
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{Deletion, Instance, InstanceContent, InstanceSnapshot, InstanceWish, Instances},
};

use crate::client::{Aws, failed};

/// The user that RDS makes in an empty instance.
const USER: &str = "lifeboat";
const ENGINE: &str = "postgres";
const STORAGE: &str = "gp3";

/// What every request that makes an instance says of it; each is a type of its own.
macro_rules! scratch {
    ($request:ident, $wish:ident) => {
        $request
            .db_instance_class(&$wish.class)
            .publicly_accessible(false)
            .deletion_protection(false)
            .multi_az(false)
            .auto_minor_version_upgrade(false)
            .copy_tags_to_snapshot(false)
            .set_db_parameter_group_name($wish.parameter_group.clone())
            .set_db_subnet_group_name($wish.subnet_group.clone())
            .set_vpc_security_group_ids(security_groups($wish))
            .set_tags(Some(tags($wish)))
    };
}

/// The instances of an account and region.
#[derive(Debug, Clone)]
pub struct RdsInstances {
    client: Client,
    region: String,
}

impl RdsInstances {
    /// The account's and region's.
    pub fn new(aws: &Aws) -> Self {
        let region = aws.0.region().map(ToString::to_string).unwrap_or_default();
        Self { client: Client::new(&aws.0), region }
    }

    async fn create_empty(&self, wish: &InstanceWish) -> Result<Option<DbInstance>> {
        let request = self
            .client
            .create_db_instance()
            .db_instance_identifier(&wish.id)
            .engine(ENGINE)
            .engine_version(&wish.engine_version)
            .allocated_storage(i32::try_from(wish.storage_gb).unwrap_or(i32::MAX))
            .storage_type(STORAGE)
            .storage_encrypted(true)
            .set_kms_key_id(wish.kms_key.clone())
            .master_username(USER)
            .manage_master_user_password(true)
            .backup_retention_period(0);
        let request = scratch!(request, wish);
        let answer = request.send().await.map_err(|e| refused(&format!("create the instance {}", wish.id), e))?;
        Ok(answer.db_instance)
    }

    async fn restore_snapshot(&self, wish: &InstanceWish, snapshot: &str) -> Result<Option<DbInstance>> {
        let request = self
            .client
            .restore_db_instance_from_db_snapshot()
            .db_instance_identifier(&wish.id)
            .db_snapshot_identifier(snapshot);
        let request = scratch!(request, wish);
        let doing = format!("make the instance {} of the snapshot {snapshot}", wish.id);
        Ok(request.send().await.map_err(|e| refused(&doing, e))?.db_instance)
    }

    async fn restore_time(
        &self,
        wish: &InstanceWish,
        source: &str,
        at: Option<Timestamp>,
    ) -> Result<Option<DbInstance>> {
        let request = self
            .client
            .restore_db_instance_to_point_in_time()
            .source_db_instance_identifier(source)
            .target_db_instance_identifier(&wish.id)
            .set_restore_time(at.map(|at| DateTime::from_secs(at.as_second())))
            .set_use_latest_restorable_time(at.is_none().then_some(true));
        let request = scratch!(request, wish);
        let when = at.map_or_else(|| "its latest time".to_owned(), |at| at.to_string());
        let doing = format!("make the instance {} of {source} at {when}", wish.id);
        Ok(request.send().await.map_err(|e| refused(&doing, e))?.db_instance)
    }
}

fn security_groups(wish: &InstanceWish) -> Option<Vec<String>> {
    (!wish.security_groups.is_empty()).then(|| wish.security_groups.clone())
}

fn tags(wish: &InstanceWish) -> Vec<Tag> {
    wish.tags.iter().map(|(name, value)| Tag::builder().key(name).value(value).build()).collect()
}

/// The service's code of an error, without the suffix that some servers add.
fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<String> {
    let code = error.as_service_error()?.code()?;
    Some(code.trim_end_matches("Fault").to_owned())
}

fn refused<E, R>(doing: &str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = code(&error);
    let message = error.as_service_error().and_then(|e| e.message().map(str::to_owned));
    let kind = match code.as_deref() {
        Some("DBInstanceAlreadyExists") => ErrorKind::AlreadyExists,
        Some("DBInstanceNotFound" | "DBSnapshotNotFound") => ErrorKind::NotFound,
        _ => ErrorKind::Store,
    };
    let hint = match code.as_deref() {
        Some("InsufficientDBInstanceCapacity") => "this class has no room left there now: try later, or another class",
        Some("InstanceQuotaExceeded" | "StorageQuotaExceeded") => {
            "raise the account's quota of RDS, or remove something"
        }
        Some(
            "DBSubnetGroupNotFound"
            | "DBParameterGroupNotFound"
            | "InvalidParameterCombination"
            | "InvalidParameterValue",
        ) => "check drill.scratch.rds in lifeboat.toml: class, version, groups and key must fit one another",
        _ => "check AWS_REGION, and that the role may do this with instances tagged lifeboat:scratch=true",
    };
    let told = match (code, message) {
        (Some(code), Some(message)) => format!("{doing}: {code}: {message}"),
        _ => failed(doing, error).to_string(),
    };
    Error::new(kind, told).with_hint(hint)
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_second(at.secs()).ok()
}

fn instance(found: DbInstance) -> Instance {
    let subnets = found.db_subnet_group.as_ref();
    let place = subnets.and_then(|group| group.vpc_id.as_deref()).unwrap_or("no VPC that RDS names");
    let group = subnets.and_then(|group| group.db_subnet_group_name.as_deref());
    let groups: Vec<&str> =
        found.vpc_security_groups().iter().filter_map(|group| group.vpc_security_group_id.as_deref()).collect();
    let network = format!(
        "{place}, subnets {}, security groups {}, {}",
        group.unwrap_or("default"),
        if groups.is_empty() { "default".to_owned() } else { groups.join(" ") },
        if found.publicly_accessible == Some(true) { "PUBLIC" } else { "not public" }
    );
    let tags =
        found.tag_list().iter().filter_map(|tag| Some((tag.key.clone()?, tag.value.clone().unwrap_or_default())));
    let tags = tags.collect();
    let address = found.endpoint.as_ref().and_then(|endpoint| {
        Some((endpoint.address.clone()?, u16::try_from(endpoint.port?).ok().filter(|port| *port > 0)?))
    });
    Instance {
        status: found.db_instance_status.unwrap_or_default(),
        class: found.db_instance_class.unwrap_or_default(),
        engine_version: found.engine_version.unwrap_or_default(),
        storage_gb: found.allocated_storage.and_then(|gb| u32::try_from(gb).ok()).unwrap_or(0),
        address,
        user: found.master_username.unwrap_or_default(),
        database: found.db_name.filter(|name| !name.is_empty()),
        secret: found.master_user_secret.and_then(|secret| secret.secret_arn),
        made_at: found.instance_create_time.as_ref().and_then(timestamp),
        network,
        encrypted: found.storage_encrypted == Some(true),
        tags,
        id: found.db_instance_identifier.unwrap_or_default(),
    }
}

#[async_trait]
impl Instances for RdsInstances {
    fn describe(&self) -> String {
        format!("RDS instances in {}", self.region)
    }

    async fn create(&self, wish: &InstanceWish) -> Result<Instance> {
        let made = match &wish.content {
            InstanceContent::Empty => self.create_empty(wish).await?,
            InstanceContent::Snapshot(snapshot) => self.restore_snapshot(wish, snapshot).await?,
            InstanceContent::PointInTime { instance, at } => self.restore_time(wish, instance, *at).await?,
        };
        made.map(instance)
            .ok_or_else(|| Error::new(ErrorKind::Store, format!("RDS names no instance where {} was made", wish.id)))
    }

    async fn find(&self, id: &str) -> Result<Option<Instance>> {
        match self.client.describe_db_instances().db_instance_identifier(id).send().await {
            Ok(answer) => Ok(answer.db_instances.unwrap_or_default().into_iter().next().map(instance)),
            Err(error) if code(&error).as_deref() == Some("DBInstanceNotFound") => Ok(None),
            Err(error) => Err(refused(&format!("look at the instance {id}"), error)),
        }
    }

    async fn take_over(&self, id: &str, lent: bool) -> Result<()> {
        let request = self
            .client
            .modify_db_instance()
            .db_instance_identifier(id)
            .manage_master_user_password(true)
            .set_backup_retention_period((!lent).then_some(0))
            .apply_immediately(true);
        request.send().await.map_err(|e| refused(&format!("give the instance {id} a password"), e)).map(drop)
    }

    async fn delete(&self, id: &str) -> Result<Deletion> {
        let request = self
            .client
            .delete_db_instance()
            .db_instance_identifier(id)
            .skip_final_snapshot(true)
            .delete_automated_backups(true);
        match request.send().await {
            Ok(_) => Ok(Deletion::Begun),
            Err(error) => match code(&error).as_deref() {
                Some("DBInstanceNotFound") => Ok(Deletion::Gone),
                // It is being removed already, or is in a state in which RDS removes nothing.
                Some("InvalidDBInstanceState") => match self.find(id).await? {
                    None => Ok(Deletion::Gone),
                    Some(there) if there.status == "deleting" => Ok(Deletion::Begun),
                    Some(_) => Ok(Deletion::NotYet),
                },
                _ => Err(refused(&format!("remove the instance {id}"), error)),
            },
        }
    }

    async fn tagged(&self, name: &str, value: &str) -> Result<Vec<Instance>> {
        let mut pages = self.client.describe_db_instances().into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(one) = pages.next().await {
            let one = instance(one.map_err(|e| refused("list the instances", e))?);
            if one.tags.get(name).is_some_and(|there| there == value) {
                found.push(one);
            }
        }
        Ok(found)
    }

    async fn snapshots(&self, of: &str) -> Result<Vec<InstanceSnapshot>> {
        let mut pages = self.client.describe_db_snapshots().db_instance_identifier(of).into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(one) = pages.next().await {
            let one = one.map_err(|e| refused(&format!("list the snapshots of {of}"), e))?;
            if one.status.as_deref() == Some("available")
                && let (Some(id), Some(taken_at)) = (one.db_snapshot_identifier, one.snapshot_create_time.as_ref())
                && let Some(taken_at) = timestamp(taken_at)
            {
                found.push(InstanceSnapshot { id, taken_at });
            }
        }
        found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.taken_at));
        Ok(found)
    }
}
