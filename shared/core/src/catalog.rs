//! The catalog: which backups a store holds and what is known of each, read from manifests and attestations.

mod attest;
mod read;
mod reference;
mod state;

pub use attest::attest;
pub use read::{Leftover, databases, find, list, open, scheduled_for, unfinished};
pub use reference::{BackupReference, Which};
pub use state::{BackupState, Expiring, Summary, state_of, state_of_damaged};

use crate::manifest::Manifest;

/// The most bytes that a manifest may have.
pub const MANIFEST_LIMIT: u64 = 256 << 20;

/// The most bytes that an attestation may have.
pub const ATTESTATION_LIMIT: u64 = 4 << 20;

/// One backup that can be worked with: its manifest is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// The manifest, its hash checked.
    pub manifest: Manifest,
    /// What is known of it.
    pub state: BackupState,
}
