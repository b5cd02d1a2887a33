//! The runs that functions and command line share: open the ports, run the operation, tell the bus, shape the answer.

mod drill;
mod dump;
mod health;
mod maintenance;
mod restore;
mod retention;
mod verify;

pub use drill::{DrillOptions, drill};
pub(crate) use drill::{
    drill_untold, ended as drill_ended, failed as drill_failed, failed_with as drill_failed_with,
    request as drill_request,
};
pub(crate) use dump::dump_untold;
pub use dump::{DumpOptions, Dumped, dump, dump_of};
pub(crate) use health::found_before;
pub use health::{Looked, health};
pub(crate) use maintenance::maintenance_untold;
pub use maintenance::{MaintenanceOptions, PreparedMaintenance, prepare_maintenance};
pub use restore::{
    Destination, HookedRestore, How, PlannedRestore, Predicted, PreparedRestore, PreparedSwapBack, RestoreOptions,
    Restored, prepare_restore, prepare_swap_back,
};
pub use retention::{retention_apply, retention_plan};
pub(crate) use retention::{retention_failed, retention_untold};
pub(crate) use verify::could_not_of;
pub use verify::verify;
