//! `drill`: one drill per scheduled time.

use std::sync::Arc;

use lifeboat_core::{Result, drill::Selection, ports::RunContext};

use crate::{
    requests::{Answer, DrillAnswer, DrillRequest},
    runs::{self, DrillOptions},
    scheduled::Scheduled,
    setup::Setup,
    telling::tell,
};

/// `drill`: one drill, whatever its verdict: a failed drill is a result, and its report says why.
pub async fn drill(setup: Arc<Setup>, request: DrillRequest, context: RunContext) -> Result<Answer<DrillAnswer>> {
    let work = Box::pin(async {
        let selected = setup.one(Some(&request.database), None)?;
        let options = DrillOptions {
            select: request.select.as_deref().map(str::parse::<Selection>).transpose()?,
            trigger: if request.scheduled_at.is_some() { "schedule" } else { "request" }.to_owned(),
            ..DrillOptions::default()
        };
        let work = Box::pin(async {
            let told = runs::drill_untold(&setup, &selected, &options, &context).await?;
            Ok(told.map(|outcome| DrillAnswer::new(&outcome)))
        });
        let Some(at) = request.scheduled_at else { return Ok(work.await?.map(Answer::Done)) };
        let control = setup.open_control().await?;
        let run = Scheduled { control: &*control, operation: "drill", database: &request.database, at, leased: false };
        run.once(&context, work).await
    });
    tell(&setup, &context, &request.database, runs::drill_failed, work).await
}
