//! A message as HTML mail: tables and inline styles, which every mail reader understands; light, and dark where asked for.

use askama::Template;

use super::{
    Message,
    view::{Tone, View},
};
use crate::{ErrorKind, Result, ResultExt};

#[derive(Template)]
#[template(path = "message.html")]
struct Page<'a> {
    view: &'a View,
    subject: &'a str,
}

impl Tone {
    /// The class of the dark colours, in the page's `<style>`.
    fn class(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Good => "good",
        }
    }

    /// The light colours, for readers that drop `<style>`: text and edge, and ground.
    fn ink(self) -> &'static str {
        match self {
            Self::Critical => "#a31d16",
            Self::Warning => "#7a4800",
            Self::Info => "#1d4f91",
            Self::Good => "#0f6236",
        }
    }

    fn ground(self) -> &'static str {
        match self {
            Self::Critical => "#fdecea",
            Self::Warning => "#fff4e0",
            Self::Info => "#e8f0fb",
            Self::Good => "#e6f4ec",
        }
    }
}

/// As an HTML page: no script, no image, nothing loaded, every value escaped.
pub fn to_html(message: &Message) -> Result<String> {
    let view = View::new(message);
    Page { view: &view, subject: &message.subject }.render().or_error(ErrorKind::Unexpected, "write the HTML mail")
}
