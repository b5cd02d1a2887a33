//! In-memory ports, scripted faults and builders, for tests only.

mod backups;
mod clock;
mod context;
mod faults;
mod fuzz;
mod gpg;
pub mod http;
mod memory_bus;
mod memory_instances;
mod memory_secrets;
mod memory_store;
mod memory_tasks;
mod people;
pub mod servers;
pub mod standby;

pub use backups::{BackupBuilder, attestation, store_attestation};
pub use clock::{FixedEntropy, ManualClock};
pub use context::{ContextBuilder, context};
pub use faults::{Action, Fault, Gate, Operation};
pub use fuzz::fuzz_cases;
pub use gpg::Gpg;
pub use memory_bus::MemoryBus;
pub use memory_instances::{MemoryInstances, RdsCall};
pub use memory_secrets::MemorySecrets;
pub use memory_store::MemoryStore;
pub use memory_tasks::MemoryTasks;
pub use people::MemoryPeople;
