//! Run keys: a run happens once, however often its event or request is delivered.

use bytes::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    Error, ErrorKind, Result, ResultExt,
    ids::{DatabaseSlug, RunId},
    ports::Store,
};

/// What tells one run of an operation from its next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// The time it was scheduled for.
    Scheduled(Timestamp),
    /// The id under which AWS delivers a request, each time the same.
    Request(String),
}

impl Occasion {
    /// Of a request's id. `Unexpected` where it cannot be the end of a key: letters, digits and `-`, at most 128.
    pub fn request(id: &str) -> Result<Self> {
        let fits = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits {
            Ok(Self::Request(id.to_owned()))
        } else {
            Err(Error::new(ErrorKind::Unexpected, format!("a request's id is no name of a run: {id:?}")))
        }
    }
}

impl std::fmt::Display for Occasion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Scheduled(at) => write!(f, "scheduled at {at}"),
            Self::Request(id) => write!(f, "of request {id}"),
        }
    }
}

/// The claim on a run, as it lies under its [`run_key`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunClaim {
    /// The run that has it.
    pub run_id: RunId,
    /// When whatever runs it ends it at the latest, by its own clock.
    pub until: Timestamp,
}

impl RunClaim {
    /// As it is written.
    pub fn to_json(&self) -> Result<Bytes> {
        Ok(serde_json::to_vec(self).or_error(ErrorKind::Unexpected, "write the claim on a run")?.into())
    }

    /// As it was written; `None` of what is none: a claim that was given back is empty, and a state machine claims by its
    /// execution's name.
    pub fn from_json(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Where the control store keeps the claim on a run: `runs/<operation>/<database>/` and the time it was scheduled for, in
/// UTC to the second, or the request's id.
pub fn run_key(operation: &str, database: &DatabaseSlug, occasion: &Occasion) -> String {
    match occasion {
        Occasion::Scheduled(at) => {
            let at = at.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ");
            format!("runs/{operation}/{database}/{at}")
        }
        Occasion::Request(id) => format!("runs/{operation}/{database}/{id}"),
    }
}

/// Where the answer of the run lies whose claim has this key.
pub fn answer_key(claim: &str) -> String {
    format!("{claim}.answer.json")
}

/// Claims a run by creating its [`run_key`] in the control store. False where another run has claimed it. Idempotent for
/// one claim.
pub async fn claim_run(
    control: &dyn Store,
    operation: &str,
    database: &DatabaseSlug,
    occasion: &Occasion,
    claim: &RunClaim,
) -> Result<bool> {
    let key = run_key(operation, database, occasion);
    match control.put_new(&key, claim.to_json()?, &claim.run_id).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.context(format!("claim the {operation} of {database} {occasion}"))),
    }
}
