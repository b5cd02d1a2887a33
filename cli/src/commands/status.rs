//! `status`: how every database stands, and what is to be expected of it.

use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    forecast::{self, ForecastRequest},
    health::Page,
    status::{self, Watched},
};
use serde_json::json;

use super::forecast::told;
use crate::{
    answer::Answer,
    app::App,
    arguments::{Output, Status, StatusFormat},
};

pub(crate) async fn run(app: &App, arguments: &Status) -> Result<Answer> {
    if let (Output::Json, Some(format @ (StatusFormat::Prometheus | StatusFormat::Html))) =
        (app.output, arguments.format)
    {
        let name = if format == StatusFormat::Html { "html" } else { "prometheus" };
        return Err(Error::new(ErrorKind::Usage, format!("--output json contradicts --format {name}"))
            .with_hint("leave one of them out"));
    }
    if let (true, Some(StatusFormat::Prometheus | StatusFormat::Html)) = (arguments.cost, arguments.format) {
        return Err(Error::new(ErrorKind::Usage, "--cost is told as text or JSON only").with_hint(
            "leave --format out; the status page shows costs anyhow, and to Prometheus they are no measurement",
        ));
    }
    if arguments.format == Some(StatusFormat::Html) {
        return page(app, arguments).await;
    }
    let store = app.store().await?;
    let control = app.setup.open_control().await?;
    let mut databases = app.readable(&*store, arguments.database.as_ref()).await?;
    // What restore targets held is no database under care; `list` shows it.
    databases.retain(|selected| arguments.database.is_some() || !selected.slug.is_safety());
    let watched: Vec<Watched> = databases
        .iter()
        .map(|selected| Watched {
            database: selected.slug.clone(),
            rpo: selected.config.rpo.as_ref().map(|rpo| rpo.value),
        })
        .collect();
    let now = app.context.clock.now();
    let mut status = app.context.cancel.race(status::status(&*store, &*control, &watched, now)).await?;
    if arguments.cost {
        for selected in databases {
            let request = ForecastRequest::of(selected.slug, &selected.config);
            status.forecasts.push(app.context.cancel.race(forecast::forecast(&*store, &request, now)).await?);
        }
    }
    let text = match arguments.format {
        Some(StatusFormat::Prometheus) => status.prometheus(),
        Some(StatusFormat::Json) => {
            let json = serde_json::to_string_pretty(&status).or_error(ErrorKind::Unexpected, "write the status")?;
            format!("{json}\n")
        }
        Some(StatusFormat::Text) | None if watched.is_empty() => {
            format!("There is no database in {} and none is configured.\n", store.url())
        }
        Some(StatusFormat::Text | StatusFormat::Html) | None => {
            format!("{status}{}", status.forecasts.iter().map(told).collect::<String>())
        }
    };
    Answer::new(&status, text)
}

/// The status page as of now, from what health last saw.
async fn page(app: &App, arguments: &Status) -> Result<Answer> {
    let control = app.setup.open_control().await?;
    let reading = Page::read(&*control, app.context.clock.now());
    let mut page = app.context.cancel.race(reading).await?;
    if let Some(named) = &arguments.database {
        page.states.retain(|state| state.database == *named);
        page.incidents.retain(|incident| incident.database == named.as_str());
    }
    let html = page.to_html()?;
    Answer::new(&json!({ "html": html }), html)
}
