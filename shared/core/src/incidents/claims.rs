//! Which run sends a notice: claimed before it is sent, taken out when it was, given back when it could not be.

use jiff::{SignedDuration, Timestamp};

use super::ledger::{Claim, Ledger, Notice};
use crate::ids::RunId;

/// How long a run may take from claiming a notice to having sent it: longer than any function runs that sends.
const CLAIM: SignedDuration = SignedDuration::from_mins(5);
/// Claims for a run every notice that nobody else is about to send, and gives them.
pub fn claim(ledger: &mut Ledger, run_id: &RunId, now: Timestamp) -> Vec<Notice> {
    let until = now.saturating_add(CLAIM).unwrap_or(now);
    let free = |notice: &Notice| notice.claim.as_ref().is_none_or(|c| c.run_id == *run_id || c.until <= now);
    let mut claimed = Vec::new();
    for notice in ledger.notices.iter_mut().filter(|notice| free(notice)) {
        notice.claim = Some(Claim { run_id: run_id.clone(), until });
        claimed.push(notice.clone());
    }
    claimed
}

/// Takes the notices that a run has sent out of the ledger.
pub fn settle(ledger: &mut Ledger, run_id: &RunId) {
    ledger.notices.retain(|notice| notice.claim.as_ref().is_none_or(|claim| claim.run_id != *run_id));
}

/// Gives back the notices that a run could not send.
pub fn release(ledger: &mut Ledger, run_id: &RunId, error: &str) {
    for notice in &mut ledger.notices {
        if notice.claim.as_ref().is_some_and(|claim| claim.run_id == *run_id) {
            notice.claim = None;
            notice.attempts += 1;
            notice.last_error = Some(error.to_owned());
        }
    }
}
