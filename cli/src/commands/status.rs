//! stub
use lifeboat_core::{Error, ErrorKind, Result};
use crate::{answer::Answer, app::App};
pub(crate) async fn run(_app: &App, _a: &crate::arguments::Status) -> Result<Answer> { Err(Error::new(ErrorKind::Unexpected, "not yet")) }
