//! Finds out whether the store can be written: once for a whole run, and no more often than it must leave something behind.

use jiff::{SignedDuration, Timestamp};
use tokio::sync::OnceCell;

use super::{
    gather::{About, patiently},
    state,
};
use crate::{
    events::Failure,
    ports::{Removal, Store},
};

/// So long a store where nothing can be deleted counts as writable: each probe leaves an object there.
const TRUSTED: SignedDuration = SignedDuration::from_hours(24);

/// The probe of one store in one run. Of several databases that are looked at at the same time, each would meet the
/// others' objects, because a probe's key is the run's.
#[derive(Debug, Default)]
pub struct StoreProbe(OnceCell<(Option<Timestamp>, Option<Failure>)>);

impl StoreProbe {
    /// When the store was last seen to be writable, or why it is not.
    pub(super) async fn look(
        &self,
        store: &dyn Store,
        control: Option<&dyn Store>,
        about: About<'_>,
    ) -> (Option<Timestamp>, Option<Failure>) {
        if let Some(at) = lately(store, control, about).await {
            return (Some(at), None);
        }
        let probing = || async {
            let failure = patiently("the store", store.probe(&about.context.run_id)).await.err();
            (failure.is_none().then_some(about.now), failure)
        };
        self.0.get_or_init(probing).await.clone()
    }
}

/// When this database's earlier look found the same store writable, if that still counts.
async fn lately(store: &dyn Store, control: Option<&dyn Store>, about: About<'_>) -> Option<Timestamp> {
    if store.removal() == Removal::Delete {
        return None;
    }
    let load = state::load(control?, about.database);
    let earlier = patiently("the control store", load).await.ok()?.state?.facts.store;
    let same = earlier.url == store.url() && earlier.not_writable.is_none();
    earlier.probed_at.filter(|at| same && *at <= about.now && about.now.duration_since(*at) < TRUSTED)
}
