//! The status as rows of text for people and as Prometheus text for machines.

use std::fmt::{self, Write};

use jiff::Timestamp;

use crate::{
    report::{Verdict, words},
    status::{DatabaseStatus, LastLook, Standing, Status},
};

/// The headings of [`Status::rows`].
pub const HEADINGS: [&str; 8] =
    ["DATABASE", "STANDING", "NEWEST GOOD", "AGE", "RPO", "BACKUPS", "STORED", "LAST DRILL"];

#[expect(clippy::cast_precision_loss, reason = "shown in the two largest units")]
fn span(seconds: u64) -> String {
    words::duration(seconds as f64)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

impl Standing {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::NoneGood => "none good",
            Self::NoBackup => "no backup",
        }
    }
}

impl DatabaseStatus {
    fn row(&self) -> [String; 8] {
        let b = &self.backups;
        let bad = b.corrupt + b.damaged;
        let mut backups = format!("{} good", b.verified + b.restored);
        for (count, what) in
            [(b.uploaded, "unverified"), (b.expiring, "expiring"), (bad, "damaged"), (self.held, "held")]
        {
            if count > 0 {
                let _ = write!(backups, ", {count} {what}");
            }
        }
        let drill = self.last_drill.as_ref();
        [
            self.database.to_string(),
            self.standing.words().to_owned(),
            or_dash(self.newest_good.as_ref().map(|n| n.backup_id.to_string())),
            or_dash(self.freshness_seconds.map(span)),
            or_dash(self.rpo_seconds.map(span)),
            backups,
            words::bytes(self.stored_bytes),
            or_dash(drill.map(|d| format!("{} {}", d.finished_at.strftime("%Y-%m-%d"), d.words()))),
        ]
    }
}

impl Status {
    /// One row per database, as [`HEADINGS`] says.
    pub fn rows(&self) -> Vec<[String; 8]> {
        self.databases.iter().map(DatabaseStatus::row).collect()
    }

    /// In Prometheus' text format. The metrics' names are a contract: they are never renamed.
    pub fn prometheus(&self) -> String {
        let mut out = Exposition { text: String::new(), databases: &self.databases };
        let at = |time: Timestamp| time.as_second().to_string();
        out.gauge("last_good_backup_timestamp_seconds", "Snapshot time of the newest good backup.", |d| {
            d.newest_good.as_ref().map(|n| at(n.snapshot_at))
        });
        out.gauge("last_good_backup_bytes", "Bytes stored of the newest good backup.", |d| {
            d.newest_good.as_ref().map(|n| n.stored_bytes.to_string())
        });
        out.gauge("rpo_seconds", "Recovery point objective.", |d| d.rpo_seconds.map(|s| s.to_string()));
        out.gauge("fresh", "1 if the newest good backup is within the objective, else 0.", |d| {
            Some(u8::from(d.standing == Standing::Fresh).to_string())
        });
        out.gauge("backup_bytes", "Bytes stored of all backups.", |d| Some(d.stored_bytes.to_string()));
        out.family("backups", "Backups by standing.", |d| {
            let b = &d.backups;
            [
                ("uploaded", b.uploaded),
                ("verified", b.verified),
                ("restored", b.restored),
                ("expiring", b.expiring),
                ("corrupt", b.corrupt),
                ("damaged", b.damaged),
            ]
            .map(|(standing, count)| (format!(",standing=\"{standing}\""), count.to_string()))
            .to_vec()
        });
        out.gauge("held_backups", "Backups that are held.", |d| Some(d.held.to_string()));
        out.gauge("last_verify_timestamp_seconds", "When a verify last passed.", |d| d.last_verified_at.map(at));
        out.gauge("last_drill_timestamp_seconds", "When the newest drill ended, whatever came of it.", |d| {
            d.last_drill.as_ref().map(|drill| at(drill.finished_at))
        });
        out.gauge("last_drill_passed", "1 if the newest drill passed, else 0.", |d| {
            d.last_drill
                .as_ref()
                .map(|drill| u8::from(drill.proves_backups() && drill.verdict == Verdict::Passed).to_string())
        });
        let help = "Age of the newest drill that restored a backup with all its data.";
        out.gauge("last_drill_age_seconds", help, |d| {
            d.proven_at.map(|at| self.at.duration_since(at).as_secs().max(0).to_string())
        });
        out.gauge("last_drill_rto_seconds", "Seconds the newest drill took to have the database back.", |d| {
            d.last_drill.as_ref().and_then(|drill| drill.rto_seconds).map(|s| s.to_string())
        });
        out.gauge("rto_seconds", "Recovery time objective of the newest drill.", |d| {
            d.last_drill.as_ref().and_then(|drill| drill.rto_objective_seconds).map(|s| s.to_string())
        });
        out.gauge("backup_age_seconds", "Age of the newest good backup's snapshot.", |d| {
            d.freshness_seconds.map(|s| s.to_string())
        });
        out.gauge("last_health_timestamp_seconds", "When health last looked.", |d| d.health.map(|look| at(look.at)));
        out.family("health_findings", "What health last found, by severity.", |d| {
            let findings = |look: LastLook| [("critical", look.critical), ("warning", look.warnings)];
            d.health
                .map(findings)
                .into_iter()
                .flatten()
                .map(|(severity, count)| (format!(",severity=\"{severity}\""), count.to_string()))
                .collect()
        });
        out.gauge("running", "1 if a run holds the database's lease, else 0.", |d| {
            Some(u8::from(d.running.is_some()).to_string())
        });
        out.text
    }
}

struct Exposition<'a> {
    text: String,
    databases: &'a [DatabaseStatus],
}

impl Exposition<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl Fn(&DatabaseStatus) -> Option<String>) {
        self.family(name, help, |d| value(d).map(|value| (String::new(), value)).into_iter().collect());
    }

    /// A family with further labels. A database without a value has no line: missing data are alarmed as such.
    fn family(&mut self, name: &str, help: &str, values: impl Fn(&DatabaseStatus) -> Vec<(String, String)>) {
        // Writing to a string cannot fail. Slugs need no escaping.
        let _ = writeln!(self.text, "# HELP lifeboat_{name} {help}\n# TYPE lifeboat_{name} gauge");
        for database in self.databases {
            for (labels, value) in values(database) {
                let _ = writeln!(self.text, "lifeboat_{name}{{database=\"{}\"{labels}}} {value}", database.database);
            }
        }
    }
}

impl fmt::Display for Status {
    /// A table, then who runs, then the problems.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = HEADINGS.map(str::to_owned);
        let rows: Vec<[String; 8]> = std::iter::once(headings).chain(self.rows()).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 8] = std::array::from_fn(width);
        for row in &rows {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        for database in &self.databases {
            if let Some(lease) = &database.running {
                writeln!(
                    f,
                    "{}: {} runs since {:.0} (run {})",
                    database.database, lease.operation, lease.acquired_at, lease.run_id
                )?;
            }
        }
        self.databases.iter().flat_map(|d| &d.problems).try_for_each(|problem| writeln!(f, "problem: {problem}"))
    }
}
