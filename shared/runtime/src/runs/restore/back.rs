//! The way back from a swap.

use std::sync::Arc;

use lifeboat_core::{
    Result,
    ports::RunContext,
    restore::{self, SwapBackOutcome},
};
use lifeboat_postgres::PgLive;

use super::Destination;
use crate::setup::Setup;

/// The way back from a swap: what would be done.
pub struct PreparedSwapBack {
    destination: Destination,
    live: Arc<PgLive>,
    /// Sessions that will be ended.
    pub sessions: u64,
    /// The database.
    pub database: String,
    /// How what is live now will be called.
    pub kept_as: String,
    /// What takes its place.
    pub from: String,
}

/// Looks whether there is a way back; changes nothing.
pub async fn prepare_swap_back(
    setup: &Setup,
    destination: Destination,
    context: &RunContext,
) -> Result<PreparedSwapBack> {
    let live = Arc::new(context.cancel.race(setup.open_live(destination.connection.clone())).await?);
    let (facts, exchange) = context.cancel.race(restore::plan_swap_back(&*live)).await?;
    Ok(PreparedSwapBack {
        destination,
        live,
        sessions: facts.sessions,
        database: exchange.live,
        kept_as: exchange.kept_as,
        from: exchange.from,
    })
}

impl PreparedSwapBack {
    /// Takes it.
    pub async fn execute(self, setup: &Setup, context: &RunContext) -> Result<SwapBackOutcome> {
        let hooks = self.destination.hooks(setup, None, context).await?;
        restore::swap_back(&*self.live, &*hooks, context).await
    }
}
