//! `health`: looks at databases, says what is the matter and what to do, and writes the status page.

use lifeboat_core::{
    Result,
    events::{HealthFinding, Severity},
    health::{HealthState, exit_kind, rows},
    ids::DatabaseSlug,
};
use lifeboat_runtime::{Selected, runs};
use serde_json::json;

use crate::{answer::Answer, app::App, arguments::Health, table::facts, text::Append};

pub(crate) async fn run(app: &App, arguments: &Health) -> Result<Answer> {
    let databases = databases(app, arguments.database.as_ref()).await?;
    let looked = Box::pin(runs::health(&app.setup, &databases, &app.context)).await;
    let states = looked.states.into_iter().collect::<Result<Vec<_>>>()?;
    let mut text = String::new();
    for state in &states {
        text.add(format_args!("{}", told(state)));
    }
    if states.is_empty() {
        text.push_str("There is no database in the store and none is configured.\n");
    }
    let remarks = match &looked.page {
        Ok(key) => format!("wrote {key} in the control store\n"),
        Err(error) => format!("the status page could not be written: {error}\n"),
    };
    let exit = exit_kind(states.iter().flat_map(|state| &state.findings));
    let document = json!({ "databases": states, "page": looked.page.ok() });
    Ok(Answer::new(&document, text)?.with_remarks(remarks).with_exit(exit))
}

/// The database named, or whose URL was given; else all that are configured or in the store. A store that cannot be read
/// hides none that is configured: that is what health is there to say.
async fn databases(app: &App, named: Option<&DatabaseSlug>) -> Result<Vec<Selected>> {
    if let Some(selected) = app.named_or_by_url(named)? {
        return Ok(vec![selected]);
    }
    let configured = &app.setup.config.databases;
    let found = match app.store().await {
        Ok(store) => app.readable(&*store, None).await,
        Err(error) => Err(error),
    };
    match found {
        Ok(mut selected) => {
            selected.retain(|one| !one.slug.is_safety());
            Ok(selected)
        }
        Err(error) if configured.is_empty() => Err(error),
        Err(error) => {
            tracing::debug!(%error, "the store was not asked for further databases");
            Ok(configured
                .iter()
                .map(|(slug, config)| Selected { slug: slug.clone(), config: config.clone() })
                .collect())
        }
    }
}

fn told(state: &HealthState) -> String {
    let verdict = match state.findings.first().map(|finding| finding.severity) {
        Some(Severity::Critical) => "needs attention now",
        Some(Severity::Warning) => "needs attention",
        Some(Severity::Info) | None => "is well",
    };
    let rows = rows(state);
    let rows = rows.iter().map(|(label, value)| (label.as_str(), value.clone()));
    let findings: String = state.findings.iter().map(finding).collect();
    let gap = if findings.is_empty() { "" } else { "\n" };
    format!("{} {verdict}\n\n{}{gap}{findings}\n", state.database, facts(rows))
}

fn finding(finding: &HealthFinding) -> String {
    format!("{:<8}  {}: {}\n          -> {}\n", finding.severity.name(), finding.code, finding.message, finding.remedy)
}
