//! RDS in memory: instances come and go by being looked at, and calls go wrong as a script says.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{Deletion, Instance, InstanceSnapshot, InstanceWish, Instances},
};

/// What RDS is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RdsCall {
    /// `create`
    Create,
    /// `find`
    Find,
    /// `take_over`
    TakeOver,
    /// `delete`
    Delete,
    /// `tagged`
    Tagged,
}

#[derive(Default)]
struct World {
    instances: BTreeMap<String, Instance>,
    /// How often each has been looked at in its state.
    looks: BTreeMap<String, u32>,
    calls: Vec<(RdsCall, String)>,
    taken_over: Vec<(String, bool)>,
    rejected: BTreeMap<RdsCall, ErrorKind>,
    stuck: bool,
    ends_in: Option<String>,
}

/// All instances; clones share them.
#[derive(Clone, Default)]
pub struct MemoryInstances(Arc<Mutex<World>>);

impl MemoryInstances {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on every such call answers with an error.
    pub fn reject(&self, call: RdsCall, kind: ErrorKind) {
        self.world().rejected.insert(call, kind);
    }

    /// From now on every call does what it should.
    pub fn all_is_well(&self) {
        let mut world = self.world();
        world.rejected.clear();
        world.stuck = false;
    }

    /// New instances never become available, and none goes.
    pub fn hold(&self) {
        self.world().stuck = true;
    }

    /// New instances come to this state instead of being available.
    pub fn ends_in(&self, state: &str) {
        self.world().ends_in = Some(state.to_owned());
    }

    /// The instances that are there.
    pub fn there(&self) -> Vec<Instance> {
        self.world().instances.values().cloned().collect()
    }

    /// Somebody else makes an instance; it has no password that anybody knows.
    pub fn make(&self, id: &str, tags: &[(&str, &str)]) {
        let instance = Instance {
            id: id.to_owned(),
            status: "creating".to_owned(),
            class: "db.t4g.medium".to_owned(),
            engine_version: "15.8".to_owned(),
            storage_gb: 20,
            address: None,
            user: "keeper".to_owned(),
            database: None,
            secret: None,
            made_at: Some(Timestamp::UNIX_EPOCH),
            network: "vpc-1, not public".to_owned(),
            encrypted: true,
            tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        };
        self.world().instances.insert(id.to_owned(), instance);
    }

    /// Changes a tag behind everybody's back.
    pub fn retag(&self, id: &str, name: &str, value: &str) {
        if let Some(instance) = self.world().instances.get_mut(id) {
            instance.tags.insert(name.to_owned(), value.to_owned());
        }
    }

    /// How often RDS was asked to do so.
    pub fn count(&self, call: RdsCall) -> usize {
        self.world().calls.iter().filter(|(made, _)| *made == call).count()
    }

    /// The instances that were given a password, each time, and whether they were said to be lent.
    pub fn taken_over(&self) -> Vec<(String, bool)> {
        self.world().taken_over.clone()
    }

    fn begin(&self, call: RdsCall, about: &str) -> Result<MutexGuard<'_, World>> {
        let mut world = self.world();
        world.calls.push((call, about.to_owned()));
        match world.rejected.get(&call) {
            Some(kind) => Err(Error::new(*kind, format!("{call:?} {about}: RDS was told to refuse"))),
            None => Ok(world),
        }
    }
}

#[async_trait]
impl Instances for MemoryInstances {
    fn describe(&self) -> String {
        "RDS instances in memory".to_owned()
    }

    async fn create(&self, wish: &InstanceWish) -> Result<Instance> {
        let mut world = self.begin(RdsCall::Create, &wish.id)?;
        if world.instances.contains_key(&wish.id) {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("{} exists already", wish.id)));
        }
        let instance = Instance {
            id: wish.id.clone(),
            status: "creating".to_owned(),
            class: wish.class.clone(),
            engine_version: wish.engine_version.clone(),
            storage_gb: wish.storage_gb,
            address: None,
            user: "lifeboat".to_owned(),
            database: None,
            secret: Some(format!("secret of {}", wish.id)),
            made_at: Some(Timestamp::UNIX_EPOCH),
            network: "vpc-1, not public".to_owned(),
            encrypted: true,
            tags: wish.tags.clone(),
        };
        world.instances.insert(wish.id.clone(), instance.clone());
        Ok(instance)
    }

    async fn find(&self, id: &str) -> Result<Option<Instance>> {
        let mut world = self.begin(RdsCall::Find, id)?;
        let (stuck, ends_in) = (world.stuck, world.ends_in.clone());
        let looks = world.looks.entry(id.to_owned()).or_default();
        *looks += 1;
        let often = *looks > 1 && !stuck;
        let Some(instance) = world.instances.get_mut(id) else { return Ok(None) };
        match instance.status.as_str() {
            "creating" if often => {
                instance.status = ends_in.unwrap_or_else(|| "available".to_owned());
                instance.address = Some(("scratch.example".to_owned(), 5432));
            }
            "deleting" if often => {
                world.instances.remove(id);
                return Ok(None);
            }
            _ => {}
        }
        Ok(world.instances.get(id).cloned())
    }

    async fn take_over(&self, id: &str, lent: bool) -> Result<()> {
        let mut world = self.begin(RdsCall::TakeOver, id)?;
        world.taken_over.push((id.to_owned(), lent));
        if let Some(instance) = world.instances.get_mut(id) {
            instance.secret = Some(format!("secret of {id}"));
        }
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<Deletion> {
        let mut world = self.begin(RdsCall::Delete, id)?;
        world.looks.remove(id);
        let Some(instance) = world.instances.get_mut(id) else { return Ok(Deletion::Gone) };
        "deleting".clone_into(&mut instance.status);
        Ok(Deletion::Begun)
    }

    async fn tagged(&self, name: &str, value: &str) -> Result<Vec<Instance>> {
        let world = self.begin(RdsCall::Tagged, &format!("{name}={value}"))?;
        let tagged = world.instances.values().filter(|i| i.tags.get(name).is_some_and(|there| there == value));
        Ok(tagged.cloned().collect())
    }

    async fn snapshots(&self, _instance: &str) -> Result<Vec<InstanceSnapshot>> {
        Ok(Vec::new())
    }
}
