//! Gathers the facts from the store and the control store; what cannot be read becomes a fact too.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    Error, ErrorKind, Result,
    catalog::{self, BackupState},
    config::{RetentionConfig, Thresholds},
    digest,
    drill::{self, Selection},
    events::Failure,
    forecast::{self, CostForecast, DRILLS, Dated, Extent, ForecastRequest, Growth, Measured, RecoveryForecast, Shape},
    health::{
        Backups, ControlFacts, DrillSeen, Place, Retention, SizePoint, StoreProbe, Unfinished, Wanted, drops, expire,
        words::{before, seconds_between},
    },
    ids::DatabaseSlug,
    incidents,
    lease::{self, RunClaim},
    manifest::{Manifest, Tier, backup_folder},
    ports::{Listed, Outbox, RunContext, Store, Subscriptions},
    report::DrillReport,
    retention::{self, LintInput, Step},
    runner::LONGEST_TASK,
    status::{self, LastDrill},
};

/// Backups whose sizes are shown over time.
const MOST_POINTS: usize = 90;

/// Earlier backups that the newest one's rows are compared with.
const COMPARED: usize = 7;

/// Reasons that are kept of a drill.
const REASONS: usize = 5;

/// Alerts that are named.
const ALERTS: usize = 20;

/// How long one part may take before it counts as not answering.
const PATIENCE: Duration = Duration::from_mins(1);

/// A run whose time was over so long ago has died: its clock and ours may differ.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// The most bytes that a claim may have.
const CLAIM_LIMIT: u64 = 1 << 10;

/// So far back dead runs are told of.
const DEAD_RUNS: SignedDuration = SignedDuration::from_hours(26);

/// Removals may be made so much later than retention allows: it runs once a day.
const RETENTION_GRACE: SignedDuration = SignedDuration::from_hours(48);

/// Does a part of the work within [`PATIENCE`]; the error as a fact.
pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::of(&error)),
        Err(_) => {
            let message = format!("{what} did not answer within {} s", PATIENCE.as_secs());
            Err(Failure::of(&Error::new(ErrorKind::Store, message)))
        }
    }
}

/// What the gathering is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) database: &'a DatabaseSlug,
    pub(super) thresholds: &'a Thresholds,
    pub(super) retention: &'a RetentionConfig,
    pub(super) wanted: &'a Wanted,
    pub(super) context: &'a RunContext,
    pub(super) now: Timestamp,
}

/// What the store holds.
#[derive(Default)]
pub(super) struct StoreSeen {
    pub(super) place: Place,
    pub(super) backups: Option<Backups>,
    pub(super) drills: Option<Vec<DrillSeen>>,
    pub(super) recovery: Option<RecoveryForecast>,
    pub(super) retention: Option<Retention>,
    pub(super) unfinished: Option<Unfinished>,
    pub(super) not_asked: Vec<(String, Failure)>,
}

pub(super) async fn store(
    store: &dyn Store,
    control: Option<&dyn Store>,
    probe: &StoreProbe,
    about: About<'_>,
) -> StoreSeen {
    let mut seen =
        StoreSeen { place: Place { url: store.url().to_owned(), ..Place::default() }, ..StoreSeen::default() };
    match patiently("the store", backups(store, about)).await {
        Ok(backups) => seen.backups = Some(backups),
        Err(failure) => {
            seen.place.unreachable = Some(failure);
            return seen;
        }
    }
    (seen.place.probed_at, seen.place.not_writable) = probe.look(store, control, about).await;
    let mut past_drills = Vec::new();
    let mut not_asked = |what: &str, failure: Failure| seen.not_asked.push((what.to_owned(), failure));
    match patiently("the store", drill::past_reports(store, about.database, DRILLS)).await {
        Ok(reports) => {
            seen.recovery = seen.backups.as_ref().map(|backups| recovery(&reports, backups, about));
            seen.drills = Some(reports.iter().map(drill_seen).collect());
            past_drills = reports;
        }
        Err(failure) => not_asked("the reports of drills", failure),
    }
    match patiently("the store", unfinished(store, about)).await {
        Ok(unfinished) => seen.unfinished = Some(unfinished),
        Err(failure) => not_asked("unfinished uploads", failure),
    }
    // Without the control store nobody knows whether a run is under way, and that is told of as such.
    if let Some(control) = control {
        match patiently("the store", retention(store, control, about)).await {
            Ok(retention) => seen.retention = Some(retention),
            Err(failure) => not_asked("retention's plan", failure),
        }
        let growth = seen.recovery.as_ref().and_then(|recovery| recovery.growth);
        if let (Some(retention), Some(backups)) = (&mut seen.retention, &seen.backups) {
            match patiently("the store", cost(store, backups, &past_drills, growth, about)).await {
                Ok(cost) => retention.cost = cost,
                Err(failure) => not_asked("the newest backup's objects", failure),
            }
        }
    }
    seen
}

fn point(state: &BackupState) -> SizePoint {
    let summary = state.summary.as_ref();
    SizePoint {
        backup_id: state.backup_id.clone(),
        at: state.at(),
        completed_at: summary.map(|s| s.completed_at),
        stored_bytes: state.stored_bytes(),
        rows: summary.map_or(0, |s| s.totals.rows),
        rung: state.rung,
        standing: state.standing().to_owned(),
        good: state.good,
    }
}

async fn backups(store: &dyn Store, about: About<'_>) -> Result<Backups> {
    let listed = catalog::list(store, Some(about.database)).await?;
    let rpo = about.wanted.rpo_seconds.map(crate::config::Span);
    let status = status::status_of(about.database, rpo, &listed, about.now);
    let good = listed.iter().filter(|s| s.good && s.at() <= about.now).take(1 + COMPARED);
    let mut manifests: Vec<Manifest> = Vec::new();
    for state in good {
        match catalog::open(store, about.database, &state.backup_id).await {
            Ok(backup) => manifests.push(backup.manifest),
            // Gone since it was listed, or damaged: the listing tells of that.
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Corrupt) => {}
            Err(e) => return Err(e),
        }
    }
    let drops = manifests.split_first().map_or_else(Vec::new, |(newest, earlier)| drops(newest, earlier));
    Ok(Backups {
        status,
        newest_started_at: listed.iter().filter_map(|s| s.summary.as_ref()).map(|s| s.started_at).max(),
        oldest_at: listed.iter().map(BackupState::at).min(),
        points: listed.iter().take(MOST_POINTS).map(point).collect(),
        drops,
    })
}

fn drill_seen(report: &DrillReport) -> DrillSeen {
    DrillSeen {
        drill: LastDrill::from(report),
        backup_id: report.backup.backup_id.clone(),
        rpo_seconds: report.rpo.actual_seconds.value,
        failed_in: report.failed_in().map(str::to_owned),
        reasons: report.reasons.iter().take(REASONS).cloned().collect(),
    }
}

/// How long a restore would take, and what becomes of the RTO.
fn recovery(reports: &[DrillReport], backups: &Backups, about: About<'_>) -> RecoveryForecast {
    let whole = |point: &&SizePoint| {
        point.completed_at.is_some() && !matches!(point.standing.as_str(), "corrupt" | "damaged" | "expiring")
    };
    let dated = |point: &SizePoint| Dated {
        at: point.at,
        extent: Extent { stored_bytes: point.stored_bytes, rows: point.rows },
    };
    let past = backups.points.iter().filter(|point| point.at <= about.now).filter(whole).map(dated);
    #[expect(clippy::cast_precision_loss, reason = "an objective in seconds")]
    let objective = about.wanted.rto_seconds.map(|seconds| seconds as f64);
    forecast::recovery(&Measured::all(reports), &past.collect::<Vec<_>>(), objective, about.now)
}

/// What a month will cost, judged by the newest good backup.
async fn cost(
    store: &dyn Store,
    backups: &Backups,
    past_drills: &[DrillReport],
    growth: Option<Growth>,
    about: About<'_>,
) -> Result<Option<CostForecast>> {
    let Some(newest) = &backups.status.newest_good else { return Ok(None) };
    let folder = backup_folder(about.database, &newest.backup_id);
    let shape = Shape::of(&folder, &store.list(&folder).await?);
    let selection = about.wanted.drill_selection.as_ref().and_then(|selection| selection.parse().ok());
    let request = ForecastRequest {
        database: about.database.clone(),
        policy: about.retention.policy(),
        rto_seconds: about.wanted.rto_seconds,
        dump_every_seconds: about.wanted.schedule_pause_seconds,
        drill_every_seconds: about.wanted.drill_pause_seconds,
        selection: selection.unwrap_or(Selection::Rotate),
    };
    let input = forecast::cost_input(&request, shape, past_drills, growth);
    Ok(Some(forecast::cost_in_force(&request.policy, &input, about.now)))
}

async fn unfinished(store: &dyn Store, about: About<'_>) -> Result<Unfinished> {
    let folders = catalog::unfinished(store, Some(about.database)).await?;
    let begun_before = before(about.now, about.thresholds.unfinished_upload);
    Ok(Unfinished {
        folders: folders.iter().map(|leftover| (leftover.last_written, leftover.bytes)).collect(),
        uploads: store.pending_uploads(&format!("{}/", about.database), begun_before).await?,
    })
}

async fn retention(store: &dyn Store, control: &dyn Store, about: About<'_>) -> Result<Retention> {
    let policy = about.retention.policy();
    let report = retention::run(store, control, about.database, &policy, true, about.context).await?;
    let overdue = |since: &Timestamp| about.now.duration_since(*since) > RETENTION_GRACE;
    let removal_overdue_since = report
        .plan
        .decisions
        .iter()
        .filter(|decision| decision.steps.contains(&Step::Remove))
        .filter_map(|decision| decision.removal_from)
        .filter(overdue)
        .min();
    #[expect(clippy::cast_precision_loss, reason = "hours between dumps")]
    let schedule_hours = about.wanted.schedule_pause_seconds.map(|seconds| seconds as f64 / 3600.0);
    let reach = policy.daily.reach_days(Tier::Daily).unwrap_or(7).min(31);
    let from = about.now.saturating_sub(SignedDuration::from_hours(i64::from(reach) * 24)).unwrap_or(Timestamp::MIN);
    let mut good: Vec<Timestamp> =
        report.plan.decisions.iter().filter(|d| d.good && d.at >= from).map(|d| d.at).collect();
    good.sort();
    let gaps = good.windows(2).map(|pair| (pair[0], seconds_between(pair[0], pair[1])));
    Ok(Retention {
        lint: retention::lint(&policy, LintInput { schedule_hours, lock_days: None }),
        longest_gap: gaps.max_by_key(|(_, seconds)| *seconds),
        cost: None,
        removal_overdue_since,
        usd_per_month_now: report.usd_per_month_now,
        usd_per_month_forecast: report.usd_per_month_forecast,
        storage: report.storage,
    })
}

/// What the control store holds; an `Err` where it cannot be read at all.
pub(super) async fn control(
    control: &dyn Store,
    outbox: Option<&dyn Outbox>,
    subscriptions: Option<&Result<Arc<dyn Subscriptions>>>,
    about: About<'_>,
) -> Result<ControlFacts, Failure> {
    let mut facts = ControlFacts::default();
    match patiently("the control store", lease::holder(control, about.database, about.now)).await {
        Ok(lease) => facts.lease = lease,
        Err(failure) if failure.kind == ErrorKind::Corrupt.name() => facts.lease_trouble = Some(failure),
        Err(failure) => return Err(failure),
    }
    let held = facts.lease.is_some();
    facts.died = patiently("the control store", died(control, held, about)).await?;
    if let Err(failure) = patiently("the control store", expire::old(control, about.database, about.now)).await {
        tracing::warn!(kind = failure.kind, "what nobody needs any more was not removed: {}", failure.message);
    }
    if let Some(outbox) = outbox {
        match patiently("the bus", outbox.send_again()).await {
            Ok(told) => facts.told_again = told,
            Err(failure) => facts.undelivered_trouble = Some(failure),
        }
    }
    let overview =
        patiently("the control store", incidents::overview(control, Some(about.database), about.now)).await?;
    facts.incidents = overview.open.len() as u64;
    let unsent = overview.unsent.iter().map(|unsent| {
        (unsent.title.clone(), unsent.last_error.clone().unwrap_or_else(|| "it was not handed on".to_owned()))
    });
    let undelivered = overview.undelivered.iter().map(|message| {
        let why: Vec<String> = message.channels.iter().map(|(channel, why)| format!("{channel}: {why}")).collect();
        (message.subject.clone(), why.join("; "))
    });
    facts.alerts = unsent.chain(undelivered).take(ALERTS).collect();
    // A damaged record of the last digest says no more than none: all else in the control store can still be read.
    let last = async {
        match digest::last(control).await {
            Err(e) if e.kind() == ErrorKind::Corrupt => Ok(None),
            other => other,
        }
    };
    let digest = patiently("the control store", last).await?;
    facts.last_digest_at = digest.map(|digest| digest.waiting_since());
    let undelivered = patiently("the control store", control.list("undelivered/")).await?;
    facts.undelivered = undelivered.len() as u64;
    match subscriptions {
        None => {}
        Some(Err(error)) => facts.topic_trouble = Some(Failure::of(error)),
        Some(Ok(subscriptions)) => match patiently("the topic", subscriptions.unconfirmed()).await {
            Ok(unconfirmed) => facts.unconfirmed = unconfirmed,
            Err(failure) => facts.topic_trouble = Some(failure),
        },
    }
    Ok(facts)
}

/// Runs that were claimed, never answered, and cannot live any more.
async fn died(control: &dyn Store, held: bool, about: About<'_>) -> Result<Vec<(String, String)>> {
    let mut died = Vec::new();
    for operation in control.folders("runs/").await? {
        let folder = format!("runs/{operation}/{}/", about.database);
        let listed = control.list(&folder).await?;
        // An empty claim was given back by a run that failed, and told so.
        for claim in listed.iter().filter(|o| o.size > 0 && o.key.strip_suffix(".json").is_none()) {
            let answered = listed.iter().any(|o| o.key == lease::answer_key(&claim.key));
            let old = about.now.duration_since(claim.modified) >= DEAD_RUNS;
            if answered || old || (held && operation == "dump") {
                continue;
            }
            if about.now.duration_since(until(control, claim).await?) > LATE {
                died.push((operation.clone(), claim.key.trim_start_matches(&folder).to_owned()));
            }
        }
    }
    Ok(died)
}

/// Until when the run of a claim may be at work. A state machine's claim does not say: its steps may be a task's.
async fn until(control: &dyn Store, claim: &Listed) -> Result<Timestamp> {
    let (bytes, _) = control.read(&claim.key, CLAIM_LIMIT).await?;
    let longest = || claim.modified.saturating_add(LONGEST_TASK).unwrap_or(Timestamp::MAX);
    Ok(RunClaim::from_json(&bytes).map_or_else(longest, |claim| claim.until))
}
