//! A drill in steps: what a state machine calls one by one, each of which may be delivered twice, or die.
//!
//! What a step finds out lies in the control store, `drills/<database>/<drill id>/<step>.json`; what the next one must know
//! is in the state, which the machine carries.

mod control;
mod data;
mod ended;
mod records;
mod report;
mod select;
mod state;
mod validation;

pub use control::{ControlPorts, control};
pub use data::{DataPorts, data};
pub use ended::{Ended, Ending, ended};
pub use records::{told, was_told};
pub use report::report;
pub use select::{Asked, select};
pub use state::{Caught, DrillState, Step};
pub use validation::{Reported, Validation, ValidationPorts, tell, validation};
