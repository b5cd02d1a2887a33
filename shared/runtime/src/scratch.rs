//! Scratch targets from a setting: a throwaway cluster on this machine, or a database on a given server.

use std::sync::Arc;

use lifeboat_core::{Error, ErrorKind, Result, config::ScratchSetting, ports::ScratchProvider};

use crate::setup::Setup;

/// What makes scratch targets.
pub(crate) async fn provider(_setup: &Setup, _setting: &ScratchSetting) -> Result<Arc<dyn ScratchProvider>> {
    Err(Error::new(ErrorKind::Unexpected, "stub"))
}
