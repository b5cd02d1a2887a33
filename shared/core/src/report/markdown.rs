//! The drill report as Markdown: the same facts, shorter, for tickets and chats.

use askama::Template;

use super::{DrillReport, view::View};
use crate::{ErrorKind, Result, ResultExt};

#[derive(Template)]
#[template(path = "drill-report.md", escape = "none")]
struct Page<'a> {
    view: View<'a>,
}

#[allow(unreachable_pub, clippy::pedantic, reason = "the code that `filter_fn` makes")]
mod filters {
    use std::fmt::Display;

    use askama::{Values, filter_fn};

    #[filter_fn]
    pub(super) fn inline(text: impl Display, _: &dyn Values) -> askama::Result<String> {
        Ok(crate::markdown::inline(&text.to_string()))
    }
}

/// The report as Markdown; every value escaped.
pub fn to_markdown(report: &DrillReport) -> Result<String> {
    let mut text = Page { view: View::new(report) }.render().or_error(ErrorKind::Unexpected, "write report.md")?;
    text.push('\n');
    Ok(text)
}
