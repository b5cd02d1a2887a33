//! The status page made ready for reading: every number in words, what needs attention first.

use crate::{
    events::{HealthFinding, Severity},
    forecast::CostForecast,
    health::{
        HealthState,
        rows::{Row, rows},
        words::{counted, moment, seconds_between},
    },
    report::{Verdict, words},
    retention::PRICES_OF,
};

use super::{
    IncidentRow, Page, UndeliveredRow,
    chart::{Chart, Meter, long, meter, seconds, sizes},
    trend::{Trend, trend},
};

/// A state older than this is no longer the truth: health looks every hour.
const STALE_SECONDS: u64 = 3 * 3600;

/// Databases that are shown in full; of more, only those with findings first.
const SHOWN_IN_FULL: usize = 100;

pub(super) struct Finding {
    pub(super) class: &'static str,
    pub(super) severity: &'static str,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) remedy: String,
    pub(super) since: String,
}

/// A step of the ladder.
pub(super) struct Rung {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) count: u64,
    pub(super) percent: String,
    pub(super) class: &'static str,
}

pub(super) struct Drill {
    pub(super) at: String,
    pub(super) backup: String,
    pub(super) verdict: &'static str,
    pub(super) class: &'static str,
    pub(super) rto: String,
    pub(super) objective: String,
}

pub(super) struct Storage {
    pub(super) tier: String,
    pub(super) class: String,
    pub(super) objects: String,
    pub(super) bytes: String,
    pub(super) usd: String,
}

pub(super) struct Database {
    pub(super) slug: String,
    pub(super) class: &'static str,
    pub(super) symbol: &'static str,
    pub(super) standing: String,
    pub(super) newest: String,
    pub(super) rpo: String,
    pub(super) stored: String,
    pub(super) last_drill: String,
    pub(super) looked_at: String,
    pub(super) stale: Option<String>,
    pub(super) findings: Vec<Finding>,
    pub(super) ladder: Vec<Rung>,
    pub(super) others: Vec<String>,
    pub(super) meters: Vec<Meter>,
    pub(super) drills: Vec<Drill>,
    pub(super) trend: Option<Trend>,
    pub(super) forecast: Option<String>,
    pub(super) chart: Option<Chart>,
    pub(super) storage: Vec<Storage>,
    pub(super) cost: String,
    pub(super) bill: String,
    pub(super) facts: Vec<Row>,
    pub(super) in_full: bool,
}

pub(super) struct View<'a> {
    pub(super) class: &'static str,
    pub(super) symbol: &'static str,
    pub(super) headline: String,
    pub(super) made: String,
    pub(super) made_iso: String,
    pub(super) databases: Vec<Database>,
    pub(super) incidents: &'a [IncidentRow],
    pub(super) undelivered: &'a [UndeliveredRow],
    pub(super) untold: String,
    pub(super) stored: String,
    pub(super) cost: String,
    pub(super) prices: &'static str,
    pub(super) version: &'static str,
}

/// How a database stands: the gravest of its findings, or that nobody looks any more.
fn rank(state: &HealthState, outdated: bool) -> u8 {
    let worst = state.findings.iter().map(|finding| finding.severity).max();
    match worst {
        Some(Severity::Critical) => 2,
        Some(Severity::Warning) => 1,
        _ if outdated => 1,
        _ => 0,
    }
}

const LOOKS: [(&str, &str, &str); 3] =
    [("good", "✓", "well"), ("late", "!", "needs attention"), ("bad", "✕", "needs attention now")];

impl<'a> View<'a> {
    pub(super) fn new(page: &'a Page) -> Self {
        let mut ranked: Vec<(u8, &HealthState)> = page
            .states
            .iter()
            .map(|state| (rank(state, seconds_between(state.at, page.at) > STALE_SECONDS), state))
            .collect();
        ranked.sort_by(|a, b| (std::cmp::Reverse(a.0), &a.1.database).cmp(&(std::cmp::Reverse(b.0), &b.1.database)));
        let worst = ranked.first().map_or(0, |(rank, _)| *rank);
        let unwell = ranked.iter().filter(|(rank, _)| *rank > 0).count();
        let (class, symbol, _) = LOOKS[usize::from(worst)];
        let all = page.states.len();
        let headline = match (all, unwell) {
            (0, _) => "Health has not looked at any database yet".to_owned(),
            (1, 0) => "The database is well".to_owned(),
            (all, 0) => format!("All {all} databases are well"),
            (1, _) => format!("The database {}", LOOKS[usize::from(worst)].2),
            (all, 1) => format!("1 of {all} databases {}", LOOKS[usize::from(worst)].2),
            (all, unwell) => {
                format!("{unwell} of {all} databases need attention{}", if worst == 2 { " now" } else { "" })
            }
        };
        let stored = |state: &HealthState| state.facts.backups.as_ref().map_or(0, |b| b.status.stored_bytes);
        let usd = |state: &HealthState| state.facts.retention.as_ref().map_or(0.0, |r| r.usd_per_month_now);
        Self {
            class,
            symbol,
            headline,
            made: moment(page.at),
            made_iso: format!("{:.0}", page.at),
            databases: ranked
                .iter()
                .enumerate()
                .map(|(index, (rank, state))| database(page, *rank, state, index < SHOWN_IN_FULL))
                .collect(),
            incidents: &page.incidents,
            undelivered: &page.undelivered,
            untold: match page.untold {
                0 => String::new(),
                some => counted(usize::try_from(some).unwrap_or(usize::MAX), "run"),
            },
            stored: words::bytes(page.states.iter().map(stored).sum()),
            cost: format!("${:.2}", page.states.iter().fold(0.0, |sum, state| sum + usd(state))),
            prices: PRICES_OF,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn database(page: &Page, rank: u8, state: &HealthState, in_full: bool) -> Database {
    let facts = &state.facts;
    let (class, symbol, standing) = LOOKS[usize::from(rank)];
    let age = facts.newest_good_at().map(|at| seconds_between(at, page.at));
    let looked = seconds_between(state.at, page.at);
    let outdated = (looked > STALE_SECONDS).then(|| {
        format!(
            "Health last looked at this database {} before this page was made. What stands here may be wrong.",
            long(looked)
        )
    });
    let held = facts.backups.as_ref().map(|backups| &backups.status);
    let last = facts.drills.as_ref().and_then(|drills| drills.first());
    let retention = facts.retention.as_ref();
    Database {
        slug: state.database.to_string(),
        class,
        symbol,
        standing: standing.to_owned(),
        newest: age.map_or("none".to_owned(), |age| format!("{} old", long(age))),
        rpo: facts.wanted.rpo_seconds.map_or("not set".to_owned(), long),
        stored: held.map_or("not known".to_owned(), |held| words::bytes(held.stored_bytes)),
        last_drill: last.map_or_else(
            || if facts.drills.is_some() { "none".to_owned() } else { "not known".to_owned() },
            |last| format!("{} on {}", last.drill.words(), last.drill.finished_at.strftime("%-d %b %Y")),
        ),
        looked_at: moment(state.at),
        stale: outdated,
        findings: state.findings.iter().map(|found| finding(state, found)).collect(),
        ladder: ladder(state),
        others: others(state),
        meters: vec![
            meter(
                "Freshness",
                "age of the newest good backup, against the RPO",
                age.map(seconds),
                facts.wanted.rpo_seconds.map(seconds),
            ),
            meter(
                "Recovery",
                "time the last drill took to have the database back, against the RTO",
                last.and_then(|last| last.drill.rto_seconds),
                facts.wanted.rto_seconds.map(seconds),
            ),
        ],
        drills: facts.drills.iter().flatten().map(drill).collect(),
        trend: facts.drills.as_ref().and_then(|drills| trend(drills)),
        forecast: facts.recovery.as_ref().map(ToString::to_string),
        chart: facts.backups.as_ref().and_then(|backups| sizes(&backups.points)),
        storage: retention.map_or_else(Vec::new, |retention| {
            let row = |row: &crate::retention::StorageRow| Storage {
                tier: row.tier.clone(),
                class: row.storage_class.clone(),
                objects: words::count(row.objects),
                bytes: words::bytes(row.bytes),
                usd: format!("${:.2}", row.usd_per_month),
            };
            retention.storage.iter().map(row).collect()
        }),
        cost: retention.map_or(String::new(), |retention| {
            format!(
                "${:.2} a month now, ${:.2} once retention's plan is carried out.",
                retention.usd_per_month_now, retention.usd_per_month_forecast
            )
        }),
        bill: retention.and_then(|r| r.cost.as_ref()).map_or(String::new(), bill),
        facts: rows(state),
        in_full: in_full || rank > 0,
    }
}

fn bill(cost: &CostForecast) -> String {
    let bill = &cost.bill;
    let later =
        cost.total_in_a_year_usd.map_or(String::new(), |usd| format!(", and ${usd:.2} in a year at this growth"));
    format!(
        "Once the policy has run for long enough: ${:.2} a month with requests, moves (${:.2}), early deletion (${:.2}) \
         and drills (${:.2}){later}.",
        bill.total_usd, bill.moves_usd, bill.early_deletion_usd, bill.drills_usd
    )
}

fn finding(state: &HealthState, finding: &HealthFinding) -> Finding {
    Finding {
        class: match finding.severity {
            Severity::Critical => "bad",
            Severity::Warning => "late",
            Severity::Info => "none",
        },
        severity: finding.severity.name(),
        code: finding.code.clone(),
        message: finding.message.clone(),
        remedy: finding.remedy.clone(),
        since: state.since.get(&finding.code).map_or(String::new(), |at| moment(*at)),
    }
}

fn ladder(state: &HealthState) -> Vec<Rung> {
    let Some(backups) = &state.facts.backups else { return Vec::new() };
    let counts = &backups.status.backups;
    let most = counts.uploaded.max(counts.verified).max(counts.restored).max(1);
    #[expect(clippy::cast_precision_loss, reason = "positions in a drawing")]
    let rung = |name, meaning, count: u64, class| Rung {
        name,
        meaning,
        count,
        percent: format!("{:.1}", count as f64 / most as f64 * 100.0),
        class,
    };
    vec![
        rung("restored", "a drill restored it and every table matched", counts.restored, "good"),
        rung("verified", "every object was read back and hashed", counts.verified, "fine"),
        rung("uploaded", "it exists, but nobody has read it back yet", counts.uploaded, "plain"),
    ]
}

/// What else there is beside the ladder.
fn others(state: &HealthState) -> Vec<String> {
    let Some(backups) = &state.facts.backups else { return Vec::new() };
    let counts = &backups.status.backups;
    [
        (counts.expiring, "expiring"),
        (counts.corrupt, "corrupt"),
        (counts.damaged, "damaged"),
        (backups.status.held, "held"),
    ]
    .iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect()
}

fn drill(seen: &crate::health::DrillSeen) -> Drill {
    Drill {
        at: moment(seen.drill.finished_at),
        backup: seen.backup_id.to_string(),
        verdict: seen.drill.verdict.words(),
        class: match seen.drill.verdict {
            Verdict::Passed => "good",
            Verdict::Failed => "bad",
            Verdict::ObjectiveMissed => "late",
        },
        rto: seen.drill.rto_seconds.map_or("–".to_owned(), words::duration),
        objective: seen.drill.rto_objective_seconds.map_or("–".to_owned(), words::duration),
    }
}
