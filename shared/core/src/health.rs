//! Health: everything that can go wrong between two backups, looked at every hour, told once, and shown on one page.

mod codes;
mod drops;
mod expire;
mod facts;
mod gather;
mod page;
mod plan;
mod probe;
mod rows;
mod run;
mod state;
mod words;

pub use codes::{CODES, Code, exit_kind};
pub use drops::{RowDrop, drops};
pub use facts::{
    Backups, ControlFacts, DrillSeen, Facts, Place, RecipientKey, Retention, ScratchSeen, ServerSeen, SizePoint,
    Unfinished, Wanted,
};
pub use page::{IncidentRow, PAGE_KEY, Page, UndeliveredRow, write_page};
pub use plan::{overdue_scratch, plan};
pub use probe::StoreProbe;
pub use rows::{Row, rows};
pub use run::{HealthOutcome, HealthPorts, HealthRequest, not_looked, run};
pub(crate) use state::last_look;
pub use state::{HealthState, STATE_FOLDER, Since, last_findings, state_key};
