//! The drill report: one sealed JSON document of evidence, and the same for people as HTML and Markdown.

mod data;
mod html;
mod judge;
mod markdown;
mod model;
mod origin;
mod proof;
mod schema;
mod sections;
mod view;
pub mod words;

pub use data::{Coverage, DataEvidence, LargeObjectEvidence, TableEvidence, TableOutcome};
pub use html::to_html;
pub(crate) use judge::Found;
pub use judge::is_against_data;
pub use markdown::to_markdown;
pub use model::{
    BackupEvidence, Closure, Cost, CryptoEvidence, DrillReport, Environment, Fact, Identity, Integrity, Objective,
    OutOfScope, PhaseOutcome, PhaseTiming, PreviousReport, REPORT_FORMAT_VERSION, Scope, Verdict,
};
pub use origin::{OriginEvidence, TierProof};
pub use proof::{CheckResult, NegativeControl, Proof, ToolRun};
pub use schema::{InventoryDifference, KindCount, OrphanedRows, SchemaEvidence, SequenceBehind};

#[cfg(test)]
mod tests;
