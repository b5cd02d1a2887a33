//! Keys that dumps are encrypted to: without them there is no dump.

use super::Findings;
use crate::{
    events::Severity,
    health::words::{moment, seconds_between, span},
};

/// So long before the end it is grave: dumps are refused from then on.
const LAST_DAYS: u64 = 3 * 86_400;

pub(super) fn look(f: &mut Findings<'_>) {
    for key in &f.facts.wanted.keys {
        let whose = key.user.as_deref().unwrap_or("a recipient");
        let (severity, state) = match key.expires_at.map(|at| (at, seconds_between(f.now, at))) {
            _ if key.revoked => (Severity::Critical, "is revoked: dumps are refused".to_owned()),
            Some((at, 0)) => (Severity::Critical, format!("expired on {}: dumps are refused", moment(at))),
            Some((at, left)) if left <= f.thresholds.credentials_left.0 => {
                let severity = if left <= LAST_DAYS { Severity::Critical } else { Severity::Warning };
                (severity, format!("expires in {} ({}), and then dumps are refused", span(left), moment(at)))
            }
            _ => continue,
        };
        f.add(
            "key_expiring",
            severity,
            format!("the OpenPGP key {} ({whose}) {state}", key.id),
            format!(
                "gpg --quick-set-expire {} 1y and again for its part ('*'), export both halves anew, put the public one into encrypt_to",
                key.id
            ),
        );
    }
}
