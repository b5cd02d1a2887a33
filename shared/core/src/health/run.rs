//! Looks at one database: gathers the facts, removes scratch targets past their time, compares with the last look, remembers.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    Result,
    config::{HealthConfig, RetentionConfig},
    events::{Body, Failure, HealthDegraded, HealthFinding, HealthRecovered, MOST_NAMED},
    health::{
        Facts, HealthState, Place, ScratchSeen, ServerSeen, StoreProbe, Wanted,
        facts::CERTIFICATE,
        gather::{self, About, StoreSeen, patiently},
        overdue_scratch, plan,
        state::{self, carry, is_told, since},
    },
    ids::DatabaseSlug,
    ports::{
        Certificate, ClientToolVersions, Counters, Outbox, RunContext, ScratchReaper, Store, Subscriptions, ToolFacts,
        WatchedServer,
    },
};

/// Counters that were read closer together than this make no rate.
const LEAST_INTERVAL: Duration = Duration::from_secs(5);

/// What health looks through. What could not even be opened is an error that becomes a finding.
pub struct HealthPorts {
    /// The store.
    pub store: Result<Arc<dyn Store>>,
    /// The probe of the store: the same for all databases that one run looks at.
    pub probe: Arc<StoreProbe>,
    /// The control store.
    pub control: Result<Arc<dyn Store>>,
    /// The server; none where no URL is configured.
    pub server: Option<Result<Arc<dyn WatchedServer>>>,
    /// Client tools.
    pub tools: Arc<dyn ClientToolVersions>,
    /// Where scratch targets may be left.
    pub scratch: Vec<Result<Arc<dyn ScratchReaper>>>,
    /// Who shall be told; none where there is no topic.
    pub subscriptions: Option<Result<Arc<dyn Subscriptions>>>,
    /// What could not be told.
    pub outbox: Option<Arc<dyn Outbox>>,
}

/// What health is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRequest {
    /// The database.
    pub database: DatabaseSlug,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Thresholds.
    pub config: HealthConfig,
    /// Its retention.
    pub retention: RetentionConfig,
}

/// What came of a look.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthOutcome {
    /// What was seen and found; the same as lies in the control store, if that could be written.
    pub state: HealthState,
    /// What there is to tell.
    pub events: Vec<Body>,
}

/// Looks at a database. Whatever cannot be asked becomes a finding; an `Err` means that the run was stopped.
pub async fn run(ports: &HealthPorts, request: &HealthRequest, context: &RunContext) -> Result<HealthOutcome> {
    let look = async { Ok(Box::pin(look(ports, request, context)).await) };
    context.cancel.race(look).await
}

async fn look(ports: &HealthPorts, request: &HealthRequest, context: &RunContext) -> HealthOutcome {
    let now = context.clock.now();
    let about = About {
        database: &request.database,
        thresholds: &request.config.thresholds,
        retention: &request.retention,
        wanted: &request.wanted,
        context,
        now,
    };
    // A store in a folder makes its folder first: the control store may lie below it.
    let control = ports.control.as_ref().ok().map(AsRef::as_ref);
    let (seen, (server, tools, certificate), scratch) =
        tokio::join!(store(ports, control, about), server(ports, context), scratch(ports, about));
    let (mut control_store, before, control_facts) = control_part(ports, about).await;
    let earlier = before.as_ref().and_then(|stored| stored.state.as_ref());
    let StoreSeen { place, backups, drills, recovery, retention, unfinished, mut not_asked } = seen;
    let (certificate, certificate_trouble) = match certificate {
        Ok(certificate) => (certificate, None),
        Err(failure) => (None, Some(failure)),
    };
    // Of a server that does not answer at all, that is said already.
    not_asked.extend(certificate_trouble.filter(|_| server.facts().is_some()).map(|f| (CERTIFICATE.to_owned(), f)));
    let transactions_per_second = rate(
        earlier.and_then(|state| state.facts.server.facts()).and_then(|facts| facts.counters.as_ref()),
        server.facts().and_then(|facts| facts.counters.as_ref()),
    );
    let oldest_at = backups.as_ref().and_then(|seen| seen.oldest_at);
    let first_backup_at = earlier.and_then(|state| state.facts.first_backup_at);
    let mut facts = Facts {
        run_id: context.run_id.clone(),
        wanted: request.wanted.clone(),
        store: place,
        control_store: Place::default(),
        last_known_good_at: match &backups {
            Some(seen) => seen.status.newest_good.as_ref().map(|newest| newest.snapshot_at),
            None => earlier.and_then(|state| state.facts.newest_good_at()),
        },
        first_backup_at: first_backup_at.into_iter().chain(oldest_at).min(),
        digest_wanted_since: earlier
            .and_then(|state| state.facts.digest_wanted_since)
            .or(request.wanted.digest_seconds.map(|_| now)),
        backups,
        drills,
        recovery,
        retention,
        unfinished,
        control: control_facts,
        tools,
        server,
        certificate,
        transactions_per_second,
        scratch,
        not_asked,
    };
    facts.control_store.clone_from(&control_store);
    let mut state = assemble(request, facts, earlier, now);
    let remembered = before.is_some();
    let told = earlier.map_or(Vec::new(), |state| state.findings.iter().filter(|f| is_told(f)).cloned().collect());
    if let (Some(stored), Some(control)) = (before, control)
        && let Err(failure) = patiently("the control store", state::save(control, &state, stored)).await
    {
        control_store.not_writable = Some(failure);
        state.facts.control_store = control_store;
        let since = std::mem::take(&mut state.since);
        let earlier = HealthState { findings: state.findings.clone(), since, ..state.clone() };
        state = assemble(request, state.facts, Some(&earlier), now);
    }
    let events = events(remembered, &told, &state.findings);
    HealthOutcome { state, events }
}

fn assemble(request: &HealthRequest, facts: Facts, earlier: Option<&HealthState>, now: Timestamp) -> HealthState {
    let mut findings = plan(&request.database, &facts, &request.config, now);
    if let Some(earlier) = earlier {
        carry(&earlier.findings, &facts, &mut findings);
    }
    HealthState {
        format_version: 1,
        database: request.database.clone(),
        at: now,
        since: since(earlier, &findings, now),
        facts,
        findings,
    }
}

/// What there is to tell: what is the matter, as long as anything is; else that all is well, and what is over. Every look
/// says so: an earlier one may have had nobody to tell, or was not heard, and whatever is still open has to end. Where
/// what was found before is not `remembered`, nobody knows what lasts without having been looked at: nothing ends.
fn events(remembered: bool, told: &[HealthFinding], findings: &[HealthFinding]) -> Vec<Body> {
    let mut now: Vec<HealthFinding> = findings.iter().filter(|f| is_told(f)).cloned().collect();
    if !now.is_empty() {
        let complete = remembered && now.len() <= MOST_NAMED;
        now.truncate(MOST_NAMED);
        return vec![Body::HealthDegraded(HealthDegraded { findings: now, complete })];
    }
    if !remembered {
        return Vec::new();
    }
    let mut recovered: Vec<String> = told.iter().map(|finding| finding.code.clone()).collect();
    recovered.sort();
    recovered.dedup();
    vec![Body::HealthRecovered(HealthRecovered { recovered })]
}

fn place(url: &str, failure: Option<Failure>) -> Place {
    Place { url: url.to_owned(), unreachable: failure, ..Place::default() }
}

async fn store(ports: &HealthPorts, control: Option<&dyn Store>, about: About<'_>) -> StoreSeen {
    match &ports.store {
        Ok(store) => gather::store(store.as_ref(), control, &ports.probe, about).await,
        Err(error) => StoreSeen { place: place("", Some(Failure::of(error))), ..StoreSeen::default() },
    }
}

/// The control store's facts, and what it remembers; no memory where it cannot be read.
async fn control_part(
    ports: &HealthPorts,
    about: About<'_>,
) -> (Place, Option<state::Stored>, Option<super::ControlFacts>) {
    let control = match &ports.control {
        Ok(control) => control.as_ref(),
        Err(error) => return (place("", Some(Failure::of(error))), None, None),
    };
    let stored = match patiently("the control store", state::load(control, about.database)).await {
        Ok(stored) => stored,
        Err(failure) => return (place(control.url(), Some(failure)), None, None),
    };
    match gather::control(control, ports.outbox.as_deref(), ports.subscriptions.as_ref(), about).await {
        Ok(facts) => (place(control.url(), None), Some(stored), Some(facts)),
        Err(failure) => (place(control.url(), Some(failure)), Some(stored), None),
    }
}

/// The server, the client tools that fit it, and its certificate.
async fn server(
    ports: &HealthPorts,
    context: &RunContext,
) -> (ServerSeen, ToolFacts, Result<Option<Certificate>, Failure>) {
    let server = match &ports.server {
        None => return (ServerSeen::NotConfigured, ports.tools.tools(None).await, Ok(None)),
        Some(Err(error)) => {
            let failure = Failure::of(error);
            return (ServerSeen::Unreachable { failure }, ports.tools.tools(None).await, Ok(None));
        }
        Some(Ok(server)) => server,
    };
    let (observed, certificate) = tokio::join!(
        patiently("the server", server.observe(context.clock.now())),
        patiently("the server", server.certificate())
    );
    match observed {
        Ok(facts) => {
            let tools = ports.tools.tools(Some(facts.version_num)).await;
            (ServerSeen::Observed { facts: Box::new(facts) }, tools, certificate)
        }
        Err(failure) => (ServerSeen::Unreachable { failure }, ports.tools.tools(None).await, certificate),
    }
}

/// Finds scratch targets past their time, and removes those that nobody uses.
async fn scratch(ports: &HealthPorts, about: About<'_>) -> Vec<ScratchSeen> {
    let mut seen = Vec::new();
    for reaper in &ports.scratch {
        let failed =
            |place: String, failure: Failure| ScratchSeen { place, left: None, removed: false, trouble: Some(failure) };
        let reaper = match reaper {
            Ok(reaper) => reaper,
            Err(error) => {
                seen.push(failed("as configured".to_owned(), Failure::of(error)));
                continue;
            }
        };
        let left = match patiently(&reaper.describe(), reaper.left()).await {
            Ok(left) => left,
            Err(failure) => {
                seen.push(failed(reaper.describe(), failure));
                continue;
            }
        };
        for target in overdue_scratch(&left, about.thresholds, about.now) {
            let trouble = match &target.in_use {
                Some(_) => None,
                None => patiently(&reaper.describe(), reaper.remove(target)).await.err(),
            };
            seen.push(ScratchSeen {
                place: reaper.describe(),
                removed: target.in_use.is_none() && trouble.is_none(),
                left: Some(target.clone()),
                trouble,
            });
        }
    }
    seen
}

/// Transactions per second between two readings of the same counters.
fn rate(before: Option<&Counters>, now: Option<&Counters>) -> Option<f64> {
    let (before, now) = before.zip(now)?;
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    if before.since != now.since || seconds < LEAST_INTERVAL.as_secs_f64() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    now.transactions.checked_sub(before.transactions).map(|count| count as f64 / seconds)
}

/// What is told where health itself could not look, because the run was stopped. What was found `before` lasts, as far
/// as anybody knows, and so does what is not known to have been found.
pub fn not_looked(failure: Failure, before: Vec<HealthFinding>) -> Body {
    let finding = HealthFinding {
        code: "not_asked".to_owned(),
        severity: crate::events::Severity::Critical,
        message: format!("health could not look: {}", failure.message),
        remedy: failure.hint,
    };
    let earlier = before.into_iter().filter(|f| is_told(f) && f.code != finding.code).take(MOST_NAMED - 1);
    let findings = std::iter::once(finding.clone()).chain(earlier).collect();
    Body::HealthDegraded(HealthDegraded { findings, complete: false })
}
