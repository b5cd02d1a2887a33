//! Metrics of runs in CloudWatch's Embedded Metric Format: one line of JSON on standard output, no call.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::io::Write;

use jiff::Timestamp;
use lifeboat_core::{
    events::Body,
    ids::{DatabaseSlug, RunId},
    ports::RunContext,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::setup::Setup;

/// The namespace of every metric.
pub const NAMESPACE: &str = "Lifeboat";

/// The most metrics that one line may name, by the format.
const MOST_AT_ONCE: usize = 100;

/// CloudWatch's units, as far as they are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Of a hundred.
    Percent,
    /// Per second.
    #[serde(rename = "Count/Second")]
    CountPerSecond,
    /// Anything else.
    None,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, such as `BackupAge`; docs/LOGGING.md lists them.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Its value; what is no number is left out of the line.
    pub value: f64,
}

impl Metric {
    /// A figure in any unit.
    pub fn new(name: &'static str, unit: Unit, value: f64) -> Self {
        Self { name, unit, value }
    }

    /// A number of things.
    #[allow(clippy::cast_precision_loss, reason = "CloudWatch's values are doubles")]
    pub fn count(name: &'static str, value: u64) -> Self {
        Self::new(name, Unit::Count, value as f64)
    }

    /// Bytes.
    #[allow(clippy::cast_precision_loss, reason = "CloudWatch's values are doubles")]
    pub fn bytes(name: &'static str, value: u64) -> Self {
        Self::new(name, Unit::Bytes, value as f64)
    }

    /// Seconds.
    pub fn seconds(name: &'static str, value: f64) -> Self {
        Self::new(name, Unit::Seconds, value)
    }
}

/// Writes figures of one database, by the operation that runs. At the command line nobody collects them: there this
/// does nothing.
pub fn emit(setup: &Setup, context: &RunContext, database: &DatabaseSlug, metrics: &[Metric]) {
    let Some(operation) = setup.operation() else { return };
    let mut stdout = std::io::stdout().lock();
    for metrics in metrics.chunks(MOST_AT_ONCE) {
        let of = Of { deployment: Some(setup.deployment()), operation, database: Some(database) };
        write(&mut stdout, &line(context.clock.now(), of, &context.run_id, metrics));
    }
}

/// What an invocation of a function came to, whatever it was about: the line that even a function without a database has,
/// and one whose run was made before. Without a configuration nobody knows the deployment.
pub(crate) fn emit_invocation(
    at: Timestamp,
    deployment: Option<&str>,
    operation: &str,
    run_id: &RunId,
    seconds: f64,
    success: bool,
) {
    let metrics = [Metric::seconds("Duration", seconds), Metric::count("Success", u64::from(success))];
    let of = Of { deployment, operation, database: None };
    write(&mut std::io::stdout().lock(), &line(at, of, run_id, &metrics));
}

/// What figures are of.
#[derive(Clone, Copy)]
struct Of<'a> {
    deployment: Option<&'a str>,
    operation: &'a str,
    database: Option<&'a DatabaseSlug>,
}

fn write(to: &mut impl Write, line: &Value) {
    if let Err(error) = writeln!(to, "{line}") {
        tracing::warn!(%error, "the run's metrics could not be written");
    }
}

/// One line in the format. With a database its dimensions are the database's, without one the operation's alone: no figure
/// counts twice. The deployment is one of them always: two in an account may have databases of the same name.
fn line(at: Timestamp, of: Of<'_>, run_id: &RunId, metrics: &[Metric]) -> Value {
    let metrics: Vec<&Metric> = metrics.iter().filter(|m| m.value.is_finite()).collect();
    let named: Vec<Value> = metrics.iter().map(|m| json!({ "Name": m.name, "Unit": m.unit })).collect();
    let mut line = Map::new();
    let sets: &[&[&str]] = match of.database {
        Some(_) => &[&["database"], &["database", "operation"]],
        None => &[&["operation"]],
    };
    let of_all = of.deployment.map(|_| "deployment");
    let dimensions: Vec<Vec<&str>> = sets.iter().map(|set| of_all.iter().chain(*set).copied().collect()).collect();
    let directive = json!({ "Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": named });
    line.insert("_aws".to_owned(), json!({ "Timestamp": at.as_millisecond(), "CloudWatchMetrics": [directive] }));
    if let Some(deployment) = of.deployment {
        line.insert("deployment".to_owned(), json!(deployment));
    }
    if let Some(database) = of.database {
        line.insert("database".to_owned(), json!(database));
    }
    line.insert("operation".to_owned(), json!(of.operation));
    line.insert("run_id".to_owned(), json!(run_id));
    for metric in metrics {
        line.insert(metric.name.to_owned(), json!(metric.value));
    }
    Value::Object(line)
}

/// The figures that an event holds.
pub(crate) fn of(body: &Body) -> Vec<Metric> {
    match body {
        Body::BackupCompleted(b) => vec![
            Metric::count("Tables", b.tables),
            Metric::count("Rows", b.rows),
            Metric::bytes("RawBytes", b.raw_bytes),
            Metric::bytes("StoredBytes", b.stored_bytes),
            Metric::seconds("DumpTime", b.seconds),
            Metric::count("Omitted", b.omitted),
        ],
        Body::BackupVerified(b) => {
            vec![
                Metric::count("VerifiedObjects", b.objects),
                Metric::bytes("VerifiedBytes", b.bytes),
                Metric::seconds("VerifyTime", b.seconds),
                Metric::count("DamagedObjects", 0),
            ]
        }
        Body::BackupCorrupt(b) => vec![Metric::count("DamagedObjects", b.damaged)],
        Body::RetentionApplied(r) => vec![
            Metric::count("KeptBackups", r.kept),
            Metric::count("ExpiringBackups", r.expiring),
            Metric::count("RemovedBackups", r.removed),
            Metric::bytes("RemovedBytes", r.removed_bytes),
        ],
        Body::DrillPassed(d) | Body::DrillFailed(d) => {
            d.rto_seconds.map(|s| Metric::seconds("RecoveryTime", s)).into_iter().collect()
        }
        Body::MaintenanceCompleted(m) => vec![
            Metric::new("ReclaimedBytes", Unit::Bytes, signed(m.reclaimed_bytes)),
            Metric::count("Recommendations", m.recommendations),
        ],
        Body::RestoreCompleted(r) => [
            Some(Metric::seconds("RestoreTime", r.seconds)),
            r.downtime_seconds.map(|s| Metric::seconds("Downtime", s)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Body::HealthDegraded(h) => vec![Metric::count("Findings", h.findings.len() as u64)],
        Body::HealthRecovered(_)
        | Body::BackupFailed(_)
        | Body::VerifyFailed(_)
        | Body::RetentionRefused(_)
        | Body::RetentionFailed(_)
        | Body::MaintenanceFailed(_)
        | Body::RestoreFailed(_) => Vec::new(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "CloudWatch's values are doubles")]
fn signed(bytes: i64) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(metrics: &[Metric]) -> Value {
        let at = "2026-11-20T02:00:00.25Z".parse().unwrap();
        let of = Of { deployment: Some("acme-prod"), operation: "dump", database: Some(&"orders".parse().unwrap()) };
        line(at, of, &RunId::new(7), metrics)
    }

    #[test]
    fn a_figure_is_of_one_deployment_whatever_else_is_in_the_account() {
        let line = made(&[Metric::count("Rows", 1)]);
        let sets = json!([["deployment", "database"], ["deployment", "database", "operation"]]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], sets);
        assert_eq!(line["deployment"], "acme-prod");
    }

    #[test]
    fn a_line_is_valid_in_the_embedded_metric_format() {
        let line = made(&[Metric::seconds("Duration", 1.5), Metric::bytes("StoredBytes", 42)]);
        assert_eq!(line["_aws"]["Timestamp"], 1_795_140_000_250_i64);
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(directive["Namespace"], "Lifeboat");
        // Every dimension and every metric is a member of the line: texts and numbers.
        for dimension in directive["Dimensions"].as_array().unwrap().iter().flat_map(|set| set.as_array().unwrap()) {
            assert!(line[dimension.as_str().unwrap()].is_string(), "{dimension}");
        }
        let metrics = directive["Metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), 2);
        for metric in metrics {
            assert!(line[metric["Name"].as_str().unwrap()].is_number(), "{metric}");
            assert!(["Seconds", "Bytes"].contains(&metric["Unit"].as_str().unwrap()));
        }
        assert_eq!(line["Duration"], 1.5);
        assert!(!line.to_string().contains('\n'));
    }

    #[test]
    fn an_invocation_counts_for_its_operation_and_for_no_database() {
        let at = "2026-11-20T02:00:00Z".parse().unwrap();
        let of = Of { deployment: Some("acme-prod"), operation: "alert", database: None };
        let made = |of| line(at, of, &RunId::new(7), &[Metric::seconds("Duration", 1.5)]);
        let unread = made(Of { deployment: None, ..of });
        assert_eq!(unread["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["operation"]]));
        assert_eq!(unread.get("deployment"), None);
        let line = made(of);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["deployment", "operation"]]));
        assert_eq!((&line["operation"], &line["Duration"]), (&json!("alert"), &json!(1.5)));
        assert_eq!(line.get("database"), None);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let line = made(&[Metric::seconds("Duration", f64::NAN), Metric::count("Rows", 1)]);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap().len(), 1);
        assert_eq!(line.get("Duration"), None);
    }

    #[test]
    fn units_are_those_that_cloudwatch_knows() {
        for (unit, name) in [
            (Unit::Count, "Count"),
            (Unit::Seconds, "Seconds"),
            (Unit::Bytes, "Bytes"),
            (Unit::Percent, "Percent"),
            (Unit::CountPerSecond, "Count/Second"),
            (Unit::None, "None"),
        ] {
            assert_eq!(serde_json::to_value(unit).unwrap(), name);
        }
    }
}
