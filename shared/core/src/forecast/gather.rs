//! Gathers what the forecasts of one database are made from: its backups and the reports of its drills.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    catalog::{self, BackupState},
    config::DatabaseConfig,
    drill::{self, Selection},
    ids::DatabaseSlug,
    ports::Store,
    report::{DrillReport, words},
    retention::{self, Policy, StorageRow},
};

use super::{
    CostForecast, CostInput, Dated, Extent, Growth, Measured, Part, Prediction, RecoveryForecast, Shape, cost, predict,
    predict_restore, recovery,
};

/// Drills that forecasts are made from: a year of monthly ones.
pub const DRILLS: usize = 12;

/// A day.
const DAY: u64 = 86_400;

/// What forecasts depend on beside the store.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// Its retention.
    pub policy: Policy,
    /// Its recovery time objective, seconds.
    pub rto_seconds: Option<u64>,
    /// Seconds between two dumps, where they are scheduled.
    pub dump_every_seconds: Option<u64>,
    /// Seconds between two drills, where they are scheduled.
    pub drill_every_seconds: Option<u64>,
    /// Which backup drills take.
    pub selection: Selection,
}

impl ForecastRequest {
    /// As the configuration has it.
    pub fn of(database: DatabaseSlug, config: &DatabaseConfig) -> Self {
        Self {
            database,
            policy: config.retention.policy(),
            rto_seconds: config.rto.as_ref().map(|rto| rto.value.0),
            dump_every_seconds: config.schedule.as_ref().map(|s| s.value.longest_pause_seconds()),
            drill_every_seconds: config.drill.schedule.as_ref().map(|s| s.value.longest_pause_seconds()),
            selection: config.drill.select.value.clone(),
        }
    }
}

/// The forecasts of one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseForecast {
    /// The database.
    pub database: DatabaseSlug,
    /// How long it takes to have it back from nothing, and whether the RTO will hold.
    pub recovery: RecoveryForecast,
    /// The restore of the newest backup into a server that is there.
    pub restore: Option<Prediction>,
    /// Comparing every row after it.
    pub compare: Option<Prediction>,
    /// Where the bytes lie now.
    pub storage: Vec<StorageRow>,
    /// What they cost a month now, USD.
    pub usd_per_month_now: f64,
    /// What everything will cost; none where there is no backup to go by.
    pub cost: Option<CostForecast>,
}

/// What the newest drills of a database measured, newest first.
pub async fn measured(store: &dyn Store, database: &DatabaseSlug) -> Result<Vec<Measured>> {
    Ok(Measured::all(&drill::latest_measuring(store, database, DRILLS).await?))
}

/// Makes the forecasts of a database; changes nothing.
pub async fn forecast(store: &dyn Store, request: &ForecastRequest, now: Timestamp) -> Result<DatabaseForecast> {
    let states = catalog::list(store, Some(&request.database)).await?;
    let reports = drill::past_reports(store, &request.database, DRILLS).await?;
    let storage = retention::storage(store, &states).await?;
    let shape = shape(store, &states, now).await?;
    let measured = Measured::all(&reports);
    let objective = request.rto_seconds.map(super::growth::float);
    let recovery = recovery(&measured, &Dated::of(&states, now), objective, now);
    let of = recovery.newest.unwrap_or_default();
    let mut cost =
        shape.map(|shape| cost(&request.policy, &cost_input(request, shape, &reports, recovery.growth), now));
    if let (Some(cost), true) = (&mut cost, store.url().starts_with("file://")) {
        cost.notes.insert(
            0,
            "the store is a folder, which has no storage classes: this is what a bucket would cost".to_owned(),
        );
    }
    Ok(DatabaseForecast {
        restore: recovery.newest.and_then(|_| predict_restore(&measured, of)),
        compare: recovery.newest.and_then(|_| predict(&measured, Part::Compare, of)),
        usd_per_month_now: storage.iter().fold(0.0, |sum, row| sum + row.usd_per_month),
        cost,
        database: request.database.clone(),
        recovery,
        storage,
    })
}

/// The shape of the newest backup that can be relied on.
async fn shape(store: &dyn Store, states: &[BackupState], now: Timestamp) -> Result<Option<Shape>> {
    let past = || states.iter().filter(|state| state.usable() && state.at() <= now);
    match past().find(|state| state.good).or_else(|| past().next()) {
        Some(state) => {
            let folder = state.folder();
            Ok(Some(Shape::of(&folder, &store.list(&folder).await?)))
        }
        None => Ok(None),
    }
}

pub(crate) fn cost_input(
    request: &ForecastRequest,
    shape: Shape,
    reports: &[DrillReport],
    growth: Option<Growth>,
) -> CostInput {
    let dollars = |report: &DrillReport| {
        report.closure.cost.value.as_ref().filter(|cost| cost.currency == "USD").map(|cost| cost.amount)
    };
    CostInput {
        database: request.database.clone(),
        shape,
        dump_every_seconds: request.dump_every_seconds.unwrap_or(DAY),
        drill_every_seconds: request.drill_every_seconds,
        selection: request.selection.clone(),
        past_drills_usd: reports.iter().filter_map(dollars).collect(),
        growth,
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", words::bytes(self.stored_bytes), words::counted(self.rows, "row"))
    }
}

impl fmt::Display for Growth {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shown in words, not below zero")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.bytes_per_day < 0.0 { "shrinks" } else { "grows" };
        write!(
            f,
            "{way} by {} a day ({} of {:.0} days)",
            words::bytes(self.bytes_per_day.abs() as u64),
            words::counted(self.backups as u64, "backup"),
            self.days
        )
    }
}
