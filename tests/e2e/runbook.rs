//! The runbook, carried out: the commands of docs/RUNBOOK.md, run by bash as they stand, after each disaster was made real.

mod disasters;
mod page;
mod place;
