//! The status page: one self-contained HTML page about every database, made of what health last saw of each.

mod chart;
mod incidents;
mod trend;
mod view;

use askama::Template;
use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    Error, ErrorKind, Result, ResultExt,
    health::{HealthState, state},
    ports::{Store, Swap},
};

pub use incidents::{IncidentRow, UndeliveredRow};

/// The page's key in the control store.
pub const PAGE_KEY: &str = "status/index.html";

/// The most bytes that a page may have.
const LIMIT: u64 = 64 << 20;

/// How often a write is tried that another run was faster with.
const ATTEMPTS: usize = 10;

#[derive(Template)]
#[template(path = "status.html")]
struct Html<'a> {
    view: view::View<'a>,
}

/// What the page is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// When it is made.
    pub at: Timestamp,
    /// What health last saw of each database.
    pub states: Vec<HealthState>,
    /// Open incidents.
    pub incidents: Vec<IncidentRow>,
    /// Alerts that did not reach somebody.
    pub undelivered: Vec<UndeliveredRow>,
    /// Runs whose events still wait to be told to the bus.
    pub untold: u64,
}

impl Page {
    /// Reads what the control store knows.
    pub async fn read(control: &dyn Store, at: Timestamp) -> Result<Self> {
        let (incidents, undelivered) = incidents::read(control, at).await?;
        Ok(Self {
            at,
            states: state::all(control).await?,
            incidents,
            undelivered,
            untold: control.list("undelivered/").await?.len() as u64,
        })
    }

    /// As HTML: nothing loaded from elsewhere, every value escaped. It works without its script.
    pub fn to_html(&self) -> Result<String> {
        Html { view: view::View::new(self) }.render().or_error(ErrorKind::Unexpected, "write the status page")
    }
}

/// Writes the page from the states of all databases. Of several runs at once, the last to write has read what all of
/// them saw: each reads the page's version first, then the states, and starts again where another page came between.
pub async fn write_page(control: &dyn Store, at: Timestamp) -> Result<()> {
    for _ in 0..ATTEMPTS {
        let etag = match control.read(PAGE_KEY, LIMIT).await {
            Ok((_, stored)) => stored.etag,
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(e.context("read the status page")),
        };
        let html = Page::read(control, at).await?.to_html()?;
        match control.swap(PAGE_KEY, etag.as_deref(), Bytes::from(html)).await {
            Ok(Swap::Done(_)) => return Ok(()),
            Ok(Swap::Lost) => {}
            Err(e) => return Err(e.context("write the status page")),
        }
    }
    Err(Error::new(ErrorKind::Store, format!("{PAGE_KEY}: other runs were faster {ATTEMPTS} times")))
}
