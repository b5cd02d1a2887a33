//! Request and answer of a restore.

use lifeboat_core::{
    events::MOST_NAMED,
    ids::{BackupId, DatabaseSlug, RunId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runs::{Predicted, Restored};

/// Asks the function `restore` to restore a backup to a target of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The database whose backup is restored.
    pub database: DatabaseSlug,
    /// A backup's id, or `latest`: the newest that can be relied on.
    #[serde(default = "latest")]
    pub backup: String,
    /// The name of a target in the configuration, where its URL and hooks stand.
    pub target: String,
    /// Only these tables, as `schema.table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Put the tables into this new schema, beside the live ones, and compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into_schema: Option<String>,
    /// Restore beside the target, compare, check, and exchange the two.
    #[serde(default)]
    pub swap: bool,
    /// Go on with the restore that was interrupted in the target, and load only what is missing.
    #[serde(default)]
    pub resume: bool,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

fn latest() -> String {
    "latest".to_owned()
}

/// What a restore came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoreAnswer {
    /// The database.
    pub database: DatabaseSlug,
    /// The backup.
    pub backup_id: BackupId,
    /// The target's name.
    pub target: String,
    /// The run.
    pub run_id: RunId,
    /// Nothing was changed.
    pub dry_run: bool,
    /// Of a dry run: what would be done, and how long it would take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Predicted>,
    /// What was done; of the tables compared, the first 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<Restored>,
}

/// An answer of Lambda holds 6 MB at most: every table that was compared need not stand in it.
pub(crate) fn shortened(mut restored: Restored) -> Restored {
    match &mut restored {
        Restored::Into(done) => done.outcome.compared.truncate(MOST_NAMED),
        Restored::Swap(done) => done.restored.compared.truncate(MOST_NAMED),
        Restored::IntoSchema(_) => {}
    }
    restored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_requests_are_read() {
        let read = |text: &str| serde_json::from_str::<RestoreRequest>(text).unwrap();
        let dry = read(include_str!("../../../../events/restore/dry-run.json"));
        assert!(dry.dry_run && dry.swap && dry.backup == "latest" && dry.target == "production");
        let swap = read(include_str!("../../../../events/restore/swap.json"));
        assert!(!swap.dry_run && swap.swap);
        let rescue = read(include_str!("../../../../events/restore/into-schema.json"));
        assert_eq!((rescue.into_schema.as_deref(), rescue.tables.len()), (Some("rescue"), 2));
        let whole = read(include_str!("../../../../events/restore/whole.json"));
        assert!(whole.tables.is_empty() && !whole.swap && whole.into_schema.is_none() && !whole.resume);
        assert!(read(include_str!("../../../../events/restore/resume.json")).resume);
    }

    #[test]
    fn no_request_can_name_a_server_or_a_hook() {
        for field in ["to", "url", "before", "after", "answers"] {
            let text = format!(r#"{{"database":"orders","target":"production","{field}":"x"}}"#);
            let error = serde_json::from_str::<RestoreRequest>(&text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{field}: {error}");
        }
    }
}
