//! The words of each kind of incident: its title, what it means, and the commands to run next.

use jiff::{Timestamp, tz::TimeZone};

use super::{Kind, Protection};
use crate::{
    events::Severity,
    ids::{BackupId, DatabaseSlug},
    report::words::duration,
};

/// What is known of an incident.
pub(crate) struct Told<'a> {
    pub(crate) database: &'a DatabaseSlug,
    pub(crate) kind: &'a Kind,
    /// The backup it is about.
    pub(crate) backup: Option<&'a BackupId>,
    /// What still protects the database.
    pub(crate) protection: Option<&'a Protection>,
}

/// Title, meaning and commands.
pub(crate) struct Words {
    pub(crate) title: String,
    pub(crate) meaning: String,
    pub(crate) commands: Vec<String>,
}

/// The words of an incident that lasts, or (`over`) that ended.
pub(crate) fn tell(told: &Told<'_>, over: bool) -> Words {
    if over { ended(told) } else { lasting(told) }
}

fn lasting(told: &Told<'_>) -> Words {
    let database = told.database;
    let backup = || told.backup.map_or_else(|| format!("{database}/latest"), |id| format!("{database}/{id}"));
    let restore = told
        .protection
        .map(|good| format!("lifeboat restore {database}/{} --to env:TARGET_URL --dry-run", good.backup_id));
    let (title, meaning, commands) = match told.kind {
        Kind::Backup => (
            "backup failed".to_owned(),
            "There is no new backup. What has changed since the newest good one would be lost with the server."
                .to_owned(),
            vec![format!("lifeboat preflight {database}"), format!("lifeboat dump {database}")],
        ),
        Kind::Verify => (
            "backup could not be verified".to_owned(),
            "The backup was not read back to its end: nobody knows yet whether it is whole, or there at all. It does \
             not count as good."
                .to_owned(),
            vec![format!("lifeboat list {database}"), format!("lifeboat verify {}", backup())],
        ),
        Kind::Corrupt => (
            "backup is corrupt".to_owned(),
            "This backup is damaged and must not be relied on. Find out what damaged it: other backups in the same \
             store may be next."
                .to_owned(),
            [format!("lifeboat verify {}", backup()), format!("lifeboat dump {database}")]
                .into_iter()
                .chain(restore.clone())
                .collect(),
        ),
        Kind::Retention => (
            "retention failed".to_owned(),
            "No backup is lost. Old backups stay longer than planned, and cost more, until this is mended.".to_owned(),
            vec![format!("lifeboat retention plan {database}")],
        ),
        Kind::Drill => (
            "restore drill failed".to_owned(),
            "The rehearsal of a restore did not succeed: until a drill passes, nobody knows whether, or how fast, this \
             database can be brought back."
                .to_owned(),
            vec![format!("lifeboat drill {database} --select latest")],
        ),
        Kind::InstanceDrill => (
            "drill of an instance failed".to_owned(),
            "A rehearsal with what RDS or AWS Backup keeps of this database (a snapshot, a point in time, a restore test) \
             did not succeed: read its report. Lifeboat's backups are not concerned, and a drill of one does not end \
             this: the next such rehearsal that passes does. If there will be none, close it."
                .to_owned(),
            vec![format!("lifeboat alert close {database} {}", told.kind)],
        ),
        Kind::Maintenance => (
            "maintenance failed".to_owned(),
            "The backups are not concerned. Tables and indexes may go on growing, and statistics grow old.".to_owned(),
            vec![format!("lifeboat maintenance {database} --dry-run")],
        ),
        Kind::Restore => (
            "restore failed".to_owned(),
            "Somebody needed this database back and it did not come back as it should. The message says what was and what \
             was not changed; the backups are as they were."
                .to_owned(),
            vec![format!("lifeboat list {database}")].into_iter().chain(restore.clone()).collect(),
        ),
        Kind::Health(code) => {
            (code.replace('_', " "), String::new(), vec![format!("lifeboat health {database}")])
        }
    };
    Words { title, meaning, commands }
}

fn ended(told: &Told<'_>) -> Words {
    let (title, meaning) = match told.kind {
        Kind::Backup => ("backups work again".to_owned(), "There is a new backup."),
        Kind::Verify => ("backup was verified".to_owned(), "A backup was read back to its end and is whole."),
        Kind::Corrupt => (
            "a newer backup is whole".to_owned(),
            "A newer backup was verified and protects the database. The damaged one stays damaged: do not restore it.",
        ),
        Kind::Retention => ("retention works again".to_owned(), "The plan was carried out."),
        Kind::Drill => ("restore drill passed".to_owned(), "A backup was restored and every table compared equal."),
        Kind::InstanceDrill => (
            "drill of an instance passed".to_owned(),
            "What RDS or AWS Backup keeps of this database came up, and its catalog compared equal. No backup was restored.",
        ),
        Kind::Maintenance => ("maintenance works again".to_owned(), "Maintenance was done."),
        Kind::Restore => ("restore done".to_owned(), "A backup was restored, and every table compared equal."),
        Kind::Health(code) => (format!("{}: over", code.replace('_', " ")), "Health does not find it any more."),
    };
    Words { title, meaning: meaning.to_owned(), commands: Vec::new() }
}

/// The words of an incident that was closed.
pub(crate) fn closed(told: &Told<'_>) -> Words {
    Words {
        title: format!("{} (closed)", lasting(told).title),
        meaning: "Nobody is told of it any more, unless it happens again.".to_owned(),
        commands: Vec::new(),
    }
}

/// What still protects, in a sentence.
pub(super) fn protection(protection: Option<&Protection>, now: Timestamp) -> String {
    match protection {
        Some(good) => {
            let age = duration(now.duration_since(good.snapshot_at).as_secs_f64().max(0.0));
            let rung = if good.restored { "restored by a drill" } else { "verified" };
            format!("{}, {age} old, {rung}", good.backup_id)
        }
        None => "no good backup is known: `lifeboat list` tells what there is".to_owned(),
    }
}

/// A moment as `2026-11-20 02:00 UTC`.
pub(super) fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A severity as people read it.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "Info",
        Severity::Warning => "Warning",
        Severity::Critical => "Critical",
    }
}

/// A text that is cut at so many characters, and says so.
pub(super) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(2)).collect();
    format!("{} …", kept.trim_end())
}
