//! The drill report as one self-contained HTML page, for screens of any width and for paper.

use askama::Template;

use super::{DrillReport, view::View};
use crate::{ErrorKind, Result, ResultExt};

#[derive(Template)]
#[template(path = "drill-report.html")]
struct Page<'a> {
    view: View<'a>,
}

#[allow(unreachable_pub, clippy::pedantic, reason = "the code that `filter_fn` makes")]
mod filters {
    use askama::{Values, filter_fn};

    #[filter_fn]
    pub(super) fn grouped(count: &u64, _: &dyn Values) -> askama::Result<String> {
        Ok(crate::markdown::grouped(*count))
    }
}

/// The report as HTML: no script, nothing loaded from elsewhere, every value escaped.
pub fn to_html(report: &DrillReport) -> Result<String> {
    Page { view: View::new(report) }.render().or_error(ErrorKind::Unexpected, "write report.html")
}
