//! Forecast: how long the next restore will take, when its objective will be missed, and what everything costs.

mod cost;
mod duration;
mod gather;
mod growth;
mod line;
mod outlook;
mod recovery;

pub use cost::{Alternative, Bill, CostForecast, CostInput, NOT_COUNTED, Shape, StorageCost, cost, cost_in_force};
pub use duration::{dumped_in, predict_drill, predict_dump, predict_verify};
pub(crate) use gather::cost_input;
pub use gather::{DRILLS, DatabaseForecast, ForecastRequest, forecast, measured};
pub use growth::{Dated, Extent, Growth, growth};
pub use outlook::{Outlook, RecoveryForecast, recovery};
pub use recovery::{Basis, Measure, Measured, Part, Prediction, predict, predict_restore};
