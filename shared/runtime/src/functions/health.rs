//! `health`: looks at one database or at all, and writes the status page.

use std::sync::Arc;

use lifeboat_core::{Error, ErrorKind, Result, ports::RunContext};

use super::selected;
use crate::{
    requests::{Answer, DatabaseHealth, HealthAnswer, HealthRequest},
    runs,
    setup::{Selected, Setup},
};

/// `health`: whatever is found is an answer, and no error; only a look that was stopped is one, once all have been tried.
pub async fn health(setup: Arc<Setup>, request: HealthRequest, context: RunContext) -> Result<Answer<HealthAnswer>> {
    let databases = match &request.database {
        Some(database) => vec![selected(&setup, database)?],
        None => configured(&setup)?,
    };
    let looked = Box::pin(runs::health(&setup, &databases, &context)).await;
    let states = looked.states.into_iter().collect::<Result<Vec<_>>>()?;
    let page = looked
        .page
        .inspect_err(|error| tracing::warn!(%error, hint = error.hint(), "the status page could not be written"))
        .ok();
    Ok(Answer::Done(HealthAnswer { databases: states.iter().map(DatabaseHealth::from).collect(), page }))
}

fn configured(setup: &Setup) -> Result<Vec<Selected>> {
    if setup.config.databases.is_empty() {
        return Err(Error::new(ErrorKind::Config, "no database is configured")
            .with_hint("write [databases.NAME] sections into lifeboat.toml, or name one in the request"));
    }
    let all = setup.config.databases.iter();
    Ok(all.map(|(slug, config)| Selected { slug: slug.clone(), config: config.clone() }).collect())
}
