//! `status`: how every database stands.

use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    status::{self, Watched},
};

use crate::{
    answer::Answer,
    app::App,
    arguments::{Output, Status, StatusFormat},
};

pub(crate) async fn run(app: &App, arguments: &Status) -> Result<Answer> {
    if app.output == Output::Json && arguments.format == Some(StatusFormat::Prometheus) {
        return Err(Error::new(ErrorKind::Usage, "--output json contradicts --format prometheus")
            .with_hint("leave one of them out"));
    }
    let store = app.store().await?;
    let control = app.setup.open_control().await?;
    let mut databases = app.readable(&*store, arguments.database.as_ref()).await?;
    // What restore targets held is no database under care; `list` shows it.
    databases.retain(|selected| arguments.database.is_some() || !selected.slug.is_safety());
    let watched: Vec<Watched> = databases
        .into_iter()
        .map(|selected| Watched { database: selected.slug, rpo: selected.config.rpo.map(|rpo| rpo.value) })
        .collect();
    let now = app.context.clock.now();
    let status = app.context.cancel.race(status::status(&*store, &*control, &watched, now)).await?;
    let text = match arguments.format {
        Some(StatusFormat::Prometheus) => status.prometheus(),
        Some(StatusFormat::Json) => {
            let json = serde_json::to_string_pretty(&status).or_error(ErrorKind::Unexpected, "write the status")?;
            format!("{json}\n")
        }
        Some(StatusFormat::Text) | None if watched.is_empty() => {
            format!("There is no database in {} and none is configured.\n", store.url())
        }
        Some(StatusFormat::Text) | None => status.to_string(),
    };
    Answer::new(&status, text)
}
