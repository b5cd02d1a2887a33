//! Restore: a backup, or part of it, into a database; pre-data, rows, large objects, post-data, ANALYZE, comparison.

mod again;
mod ahead;
pub mod beside;
mod collisions;
mod compare;
mod data;
mod hooked;
mod plan;
mod predict;
mod rescue;
mod resume;
mod room;
mod run;
mod selection;
mod steps;
mod swap;

pub use compare::{TableComparison, compare_tables};
pub use hooked::{NoHooks, hooked};
pub use plan::{RestorePlan, plan};
pub use predict::{Expected, predict};
pub use rescue::{RescueOutcome, RescuePlan, RescuePorts, RescueRequest, plan_rescue, rescue};
pub use resume::Resumed;
pub use run::{RestoreOutcome, RestorePorts, SafetyBackup, dry_run, run};
pub use selection::TableName;
pub use swap::{
    SwapBackOutcome, SwapOutcome, SwapPlan, SwapPorts, SwapRequest, plan_swap, plan_swap_back, swap, swap_back,
};

/// What of the archive is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Definitions and data.
    #[default]
    Everything,
    /// Definitions only.
    Schema,
    /// Data only, into tables that exist.
    Data,
}

/// What a restore is asked for. `no_owner`, `no_acl`, `role` and `clean` mean what `pg_restore` means.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct RestoreRequest {
    /// Parallel sessions, at least 1.
    pub jobs: u32,
    /// Definitions, data or both.
    pub part: Part,
    /// Only these tables, with what they need; empty means all.
    pub tables: Vec<TableName>,
    /// Drop what is restored before creating it.
    pub clean: bool,
    /// Leave objects to the role that restores.
    pub no_owner: bool,
    /// Leave privileges out.
    pub no_acl: bool,
    /// `SET ROLE` before creating objects and loading rows, and in all that follows.
    pub role: Option<String>,
    /// Restore into a target that is not empty.
    pub force: bool,
    /// Leave out what acts on rows: foreign keys, triggers, rules, policies.
    pub bare: bool,
    /// Keep a ledger in the target while the restore lasts, so that it can be resumed.
    pub keep_ledger: bool,
    /// Go on with the restore that was interrupted in the target; an empty one is restored from the start.
    pub resume: bool,
    /// Leave the comparison with the manifest to the caller (a drill times it apart).
    pub no_compare: bool,
}
