//! Plans what becomes of one database's incidents, and what is to be told: pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{
    ledger::{Good, Incident, Ledger, Notice, State},
    signal::{Signal, Trouble, signals},
};
use crate::{
    config::Span,
    events::{Event, Severity},
    ids::BackupId,
    messages::{Change, Entry, Kind, Protection, Told, closed as closed_words, tell},
};

/// Good and damaged backups that a ledger remembers.
const REMEMBERED: usize = 20;
/// Notices of one kind that wait: where nothing can be sent for long, the first and the last tell the story.
const WAITING: usize = 16;
/// How fresh a backup must be where no RPO says so: health's default.
const DEFAULT_RPO: Span = Span(30 * 3600);

/// What the configuration says about a database's alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How often people are reminded of what lasts.
    pub reminder: Span,
    /// After what time further people are told.
    pub escalate_after: Option<Span>,
    /// Below this nobody is told.
    pub severity: Severity,
    /// Whether each success is told.
    pub per_run: bool,
    /// The database's RPO.
    pub rpo: Option<Span>,
}

/// A ledger as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The ledger.
    pub ledger: Ledger,
    /// Incidents that began.
    pub opened: u64,
    /// Incidents that ended.
    pub resolved: u64,
}

struct Work<'a> {
    ledger: Ledger,
    terms: &'a Terms,
    now: Timestamp,
    opened: u64,
    resolved: u64,
}

/// What becomes of a ledger by these events, in whatever order they arrived and however often, and by time alone.
/// `known` is what still protects the database, where the ledger does not know.
pub fn plan(ledger: &Ledger, events: &[&Event], terms: &Terms, known: Option<&Protection>, now: Timestamp) -> Planned {
    let mut work = Work { ledger: ledger.clone(), terms, now, opened: 0, resolved: 0 };
    if let (Some(known), true) = (known, work.ledger.protection().is_none()) {
        work.ledger.good.insert(0, Good { backup: known.clone(), at: known.snapshot_at });
    }
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|event| event.at);
    for event in sorted {
        for signal in signals(event) {
            work.take(&signal, event);
        }
    }
    work.lasting();
    Planned { ledger: work.ledger, opened: work.opened, resolved: work.resolved }
}

/// A ledger whose open incidents of this kind (none: of every kind) are closed, whatever events say of what was before.
pub(super) fn closed(ledger: &Ledger, kind: Option<&Kind>, why: &str, terms: &Terms, now: Timestamp) -> Planned {
    let mut work = Work { ledger: ledger.clone(), terms, now, opened: 0, resolved: 0 };
    let open = ledger.open().map(|(open, _)| open).filter(|open| kind.is_none_or(|kind| kind == *open));
    for kind in open {
        work.is_news(&stream_of(kind), now);
        work.end(kind, Change::Closed, why, now);
    }
    Planned { ledger: work.ledger, opened: work.opened, resolved: work.resolved }
}

/// The stream of events that tells of a kind: all that health finds is told together.
fn stream_of(kind: &Kind) -> String {
    if matches!(kind, Kind::Health(_)) { "health".to_owned() } else { kind.to_string() }
}

impl Work<'_> {
    /// Whether an event is news to a stream; if so, older ones are not any more.
    fn is_news(&mut self, stream: &str, at: Timestamp) -> bool {
        let news = self.ledger.newest.get(stream).is_none_or(|newest| at > *newest);
        if news {
            self.ledger.newest.insert(stream.to_owned(), at);
        }
        news
    }

    fn take(&mut self, signal: &Signal, event: &Event) {
        let at = event.at;
        match signal {
            Signal::Wrong(trouble) if trouble.kind == Kind::Corrupt => self.corrupt(trouble, at),
            Signal::Wrong(trouble) => {
                if self.is_news(&trouble.kind.to_string(), at) {
                    self.wrong(trouble, at);
                }
            }
            Signal::Right { kind, why } => {
                if self.is_news(&kind.to_string(), at) && !self.resolve(kind, why, at) {
                    self.succeeded(kind, why, event);
                }
                if let (Kind::Drill, crate::events::Body::DrillPassed(drill)) = (kind, &event.body) {
                    self.restored(drill.backup_id.as_ref());
                }
            }
            Signal::Good(good) => self.good(good, at),
            Signal::Health { findings, complete } => {
                if !self.is_news("health", at) {
                    return;
                }
                let over: Vec<Kind> = self.health_but(|kind| !findings.iter().any(|f| f.kind == *kind));
                for kind in over.iter().filter(|_| *complete) {
                    self.resolve(kind, "health does not find it any more", at);
                }
                for finding in findings {
                    self.wrong(finding, at);
                }
            }
            Signal::Over { codes } => {
                if !self.is_news("health", at) {
                    return;
                }
                let of = |kind: &Kind| matches!(kind, Kind::Health(code) if codes.is_empty() || codes.contains(code));
                for kind in self.health_but(of) {
                    self.resolve(&kind, "health does not find it any more", at);
                }
            }
        }
    }

    fn health_but(&self, wanted: impl Fn(&Kind) -> bool) -> Vec<Kind> {
        let open = self.ledger.open().map(|(kind, _)| kind);
        open.filter(|kind| matches!(kind, Kind::Health(_)) && wanted(kind)).cloned().collect()
    }

    /// Damage is a backup's own: each damaged backup is news once, in whatever order its verify is told.
    fn corrupt(&mut self, trouble: &Trouble, at: Timestamp) {
        let Some(backup) = &trouble.backup else { return };
        if self.ledger.damaged.get(backup).is_some_and(|before| at <= *before) {
            return;
        }
        // It was read again later, and found whole.
        if self.ledger.good.iter().any(|good| good.backup.backup_id == *backup && good.at > at) {
            return;
        }
        self.ledger.damaged.insert(backup.clone(), at);
        while self.ledger.damaged.len() > REMEMBERED {
            self.ledger.damaged.pop_first();
        }
        let newest = self.incident(&Kind::Corrupt).and_then(|i| i.backup.clone()).filter(|newest| newest > backup);
        self.wrong(trouble, at);
        if let (Some(newest), Some(incident)) = (newest, self.ledger.incidents.get_mut(&Kind::Corrupt)) {
            incident.backup = Some(newest);
        }
        self.whole_again();
    }

    fn good(&mut self, good: &Protection, at: Timestamp) {
        if self.ledger.damaged.get(&good.backup_id).is_some_and(|damaged| *damaged >= at) {
            return;
        }
        self.ledger.damaged.remove(&good.backup_id);
        match self.ledger.good.iter_mut().find(|known| known.backup.backup_id == good.backup_id) {
            Some(known) => known.at = known.at.max(at),
            None => self.ledger.good.push(Good { backup: good.clone(), at }),
        }
        self.ledger.good.sort_by(|a, b| a.backup.backup_id.cmp(&b.backup.backup_id));
        let surplus = self.ledger.good.len().saturating_sub(REMEMBERED);
        self.ledger.good.drain(..surplus);
        self.whole_again();
    }

    /// A damaged backup matters until it, or a newer one, was found whole afterwards.
    fn whole_again(&mut self) {
        let Some(incident) = self.incident(&Kind::Corrupt).filter(|i| i.state == State::Open) else { return };
        let (damaged, since) = (incident.backup.clone(), incident.last_at);
        let whole = |good: &&Good| damaged.as_ref().is_none_or(|d| good.backup.backup_id >= *d) && good.at > since;
        let Some(good) = self.ledger.good.iter().find(whole) else { return };
        let (id, at) = (good.backup.backup_id.clone(), good.at);
        self.resolve(&Kind::Corrupt, &format!("{id} was read back and is whole"), at);
    }

    fn restored(&mut self, backup: Option<&BackupId>) {
        for good in self.ledger.good.iter_mut().filter(|good| Some(&good.backup.backup_id) == backup) {
            good.backup.restored = true;
        }
    }

    fn incident(&self, kind: &Kind) -> Option<&Incident> {
        self.ledger.incidents.get(kind)
    }

    /// A backup that failed matters as much as what could be lost.
    fn severity_of(&self, trouble: &Trouble, at: Timestamp) -> Severity {
        trouble.severity.unwrap_or_else(|| {
            let rpo = self.terms.rpo.unwrap_or(DEFAULT_RPO);
            let limit = i64::try_from(rpo.0).unwrap_or(i64::MAX);
            let fresh = |good: &Protection| at.duration_since(good.snapshot_at).as_secs() <= limit;
            if self.ledger.protection().is_some_and(fresh) { Severity::Warning } else { Severity::Critical }
        })
    }

    fn wrong(&mut self, trouble: &Trouble, at: Timestamp) {
        let severity = self.severity_of(trouble, at);
        let kind = &trouble.kind;
        let before = self.ledger.incidents.remove(kind).filter(|incident| incident.state == State::Open);
        let is_new = before.is_none();
        let mut incident = before.unwrap_or(Incident {
            state: State::Open,
            severity,
            opened_at: at,
            known_at: Some(self.now),
            last_at: at,
            heard_at: None,
            resolved_at: None,
            times: 0,
            what: String::new(),
            remedy: None,
            backup: None,
            report: None,
            told: None,
            told_at: None,
            escalated_at: None,
        });
        incident.times += 1;
        (incident.last_at, incident.heard_at) = (incident.last_at.max(at), Some(self.now));
        incident.severity = if incident.escalated_at.is_some() { raised(severity) } else { severity };
        incident.what.clone_from(&trouble.what);
        incident.remedy.clone_from(&trouble.remedy);
        incident.backup.clone_from(&trouble.backup);
        incident.report.clone_from(&trouble.report);
        let change = match incident.told {
            None if incident.severity >= self.terms.severity => Some(Change::Opened),
            Some(told) if incident.severity > told => Some(Change::Worsened),
            _ => None,
        };
        if change.is_some() {
            (incident.told, incident.told_at) = (Some(incident.severity), Some(self.now));
        }
        self.opened += u64::from(is_new);
        self.ledger.incidents.insert(kind.clone(), incident);
        if let Some(change) = change {
            self.notice(kind, change, at);
        }
    }

    fn resolve(&mut self, kind: &Kind, why: &str, at: Timestamp) -> bool {
        self.end(kind, Change::Resolved, why, at)
    }

    /// Whether there was an incident to end.
    fn end(&mut self, kind: &Kind, how: Change, why: &str, at: Timestamp) -> bool {
        let Some(incident) = self.ledger.incidents.get_mut(kind).filter(|i| i.state == State::Open) else {
            return false;
        };
        incident.state = State::Resolved;
        incident.resolved_at = Some(at);
        // Whoever heard of it at its gravest hears that it is over.
        incident.severity = incident.told.unwrap_or(incident.severity).max(incident.severity);
        why.clone_into(&mut incident.what);
        (incident.remedy, incident.report) = (None, None);
        self.resolved += 1;
        if incident.told.is_some() {
            self.notice(kind, how, at);
        }
        true
    }

    fn succeeded(&mut self, kind: &Kind, why: &str, event: &Event) {
        // A verify right after its dump is no run of its own.
        if !self.terms.per_run || *kind == Kind::Verify {
            return;
        }
        let database = &self.ledger.database;
        let told = Told { database, kind, backup: None, protection: None };
        let entry = Entry {
            database: database.clone(),
            kind: kind.clone(),
            change: Change::Succeeded,
            severity: Severity::Info,
            title: match kind {
                Kind::Backup => "backup completed".to_owned(),
                Kind::Retention => "retention applied".to_owned(),
                Kind::Maintenance => "maintenance completed".to_owned(),
                _ => tell(&told, true).title,
            },
            what: why.to_owned(),
            meaning: String::new(),
            since: event.at,
            at: event.at,
            ended_at: None,
            times: 1,
            protection: None,
            remedy: None,
            commands: Vec::new(),
            escalated: false,
        };
        self.push(format!("{database}/{kind}/succeeded/{}", event.at), entry);
    }

    /// What time alone makes of incidents: further people are told, or the same are reminded.
    fn lasting(&mut self) {
        let now = self.now;
        let longer = |since: Timestamp, span: Span| {
            now.duration_since(since) >= SignedDuration::from_secs(i64::try_from(span.0).unwrap_or(i64::MAX))
        };
        let mut due: BTreeMap<Kind, Change> = BTreeMap::new();
        for (kind, incident) in &mut self.ledger.incidents {
            if incident.state != State::Open {
                continue;
            }
            let known_at = incident.known_at.unwrap_or(incident.opened_at);
            let escalates = self.terms.escalate_after.is_some_and(|after| longer(known_at, after));
            let raised = raised(incident.severity);
            if escalates && incident.escalated_at.is_none() && raised.max(incident.severity) >= self.terms.severity {
                incident.escalated_at = Some(now);
                incident.severity = raised;
                due.insert(kind.clone(), Change::Escalated);
            } else if incident.told.is_some() && incident.told_at.is_none_or(|at| longer(at, self.terms.reminder)) {
                due.insert(kind.clone(), Change::Reminder);
            }
            if due.contains_key(kind) {
                (incident.told, incident.told_at) = (incident.told.max(Some(incident.severity)), Some(now));
            }
        }
        for (kind, change) in due {
            // Who has not been told yet that it began needs no reminder.
            if change == Change::Escalated || !self.ledger.notices.iter().any(|n| n.entry.kind == kind) {
                self.notice(&kind, change, now);
            }
        }
    }

    fn notice(&mut self, kind: &Kind, change: Change, at: Timestamp) {
        let Some(incident) = self.ledger.incidents.get(kind) else { return };
        let database = &self.ledger.database;
        let protection = self.ledger.protection().cloned();
        let told = Told { database, kind, backup: incident.backup.as_ref(), protection: protection.as_ref() };
        let words =
            if change == Change::Closed { closed_words(&told) } else { tell(&told, change == Change::Resolved) };
        let id = format!("{database}/{kind}/{}/{}/{at}", change.name(), incident.opened_at);
        let entry = Entry {
            database: database.clone(),
            kind: kind.clone(),
            change,
            severity: incident.severity,
            title: words.title,
            what: match &incident.report {
                Some(report) => format!("{}\nReport: {report} in the store", incident.what),
                None => incident.what.clone(),
            },
            meaning: words.meaning,
            since: incident.opened_at,
            at: incident.last_at,
            ended_at: incident.resolved_at,
            times: incident.times,
            protection,
            remedy: incident.remedy.clone(),
            commands: words.commands,
            escalated: incident.escalated_at.is_some(),
        };
        self.push(id, entry);
    }

    fn push(&mut self, id: String, entry: Entry) {
        let kind = entry.kind.clone();
        self.ledger.notices.push(Notice { id, entry, claim: None, attempts: 0, last_error: None });
        let waiting = |n: &Notice| n.entry.kind == kind && n.claim.is_none();
        while self.ledger.notices.iter().filter(|n| waiting(n)).count() > WAITING {
            let Some(second) =
                self.ledger.notices.iter().enumerate().filter(|(_, n)| waiting(n)).map(|(i, _)| i).nth(1)
            else {
                return;
            };
            self.ledger.notices.remove(second);
        }
    }
}

fn raised(severity: Severity) -> Severity {
    match severity {
        Severity::Info => Severity::Warning,
        Severity::Warning | Severity::Critical => Severity::Critical,
    }
}
