//! A fleet: one rule per operation starts a Distributed Map over all databases, which this test lets tick and then watches.

use std::{collections::BTreeSet, fmt::Write as _, time::Duration};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use lifeboat_tests::{
    aws::{ACCOUNT, REGION},
    cdk::{Account, PAUSE, Watch},
    program::wait_looking_every,
};
use serde_json::{Value, json};

use super::site::PATIENCE;
use crate::shared::fifteen;

/// All of them are this one database: a fleet's size is in its number.
const SOURCE: &str = "deployed_fleet";
const BUCKET: &str = "lifeboat-fleet";
/// How many are worked on at once.
const AT_ONCE: usize = 2;
/// Drilled besides, more than there may be at once.
const DRILLED: usize = 3;

/// Nothing ticks before everything is deployed.
const YEARLY: &str = "cron(0 4 1 1 ? *)";

struct Fleet {
    account: Account,
    events: Watch,
    names: Vec<String>,
}

impl Fleet {
    /// Deploys `size` databases, and one more that is not there.
    fn deploy(size: usize) -> Result<Self> {
        let cluster = fifteen()?;
        cluster.create_database(SOURCE)?;
        cluster
            .sql(SOURCE, "CREATE TABLE bin (id int PRIMARY KEY); INSERT INTO bin SELECT generate_series(1, 1000)")?;
        let account = Account::start()?;
        account.put_secret("fleet/source", &cluster.url(SOURCE))?;
        account.put_secret("fleet/missing", &cluster.url("deployed_fleet_missing"))?;
        let names: Vec<String> = (0..size).map(|index| format!("shop-{index:04}")).collect();
        let tools = cluster.bin.display().to_string();
        account.deploy(&configuration(&names)?, &[("LIFEBOAT_CLIENT_TOOLS", &tools)])?;
        let events = account.watch("lifeboat")?;
        Ok(Self { account, events, names })
    }

    /// Waits until the rule of an operation has started its map, lets it tick no more, and gives the execution that it
    /// started.
    fn ticked(&self, operation: &str) -> Result<String> {
        let machine = format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:lifeboat-fleet-{operation}");
        let asked = json!({ "stateMachineArn": machine });
        let mut executions = Vec::new();
        wait_looking_every(PAUSE, &format!("the rule starts {machine}"), PATIENCE, || {
            let listed = self.account.aws.json("states", "ListExecutions", &asked)?;
            executions = listed["executions"].as_array().cloned().unwrap_or_default();
            Ok(!executions.is_empty())
        })?;
        self.account.stop_rule(&rule(operation))?;
        let first = executions.last().and_then(|one| one["executionArn"].as_str()).context("the execution")?;
        Ok(first.to_owned())
    }

    /// Lets a rule that is due once a year tick every minute.
    fn hasten(&self, operation: &str) -> Result<()> {
        let hastened = json!({ "Name": rule(operation), "ScheduleExpression": "rate(1 minute)" });
        self.account.aws.json("events", "PutRule", &hastened)?;
        self.account.heed_schedule(&rule(operation))
    }

    /// When the backup of a database was begun and completed.
    fn dumped(&self, completed: &Value) -> Result<(Timestamp, Timestamp)> {
        let (database, backup) = (&completed["database"], &completed["backup_id"]);
        let (Some(database), Some(backup)) = (database.as_str(), backup.as_str()) else {
            anyhow::bail!("{completed:#}");
        };
        let manifest = self.account.s3("GET", &format!("/{BUCKET}/pg/{database}/{backup}/manifest.json"))?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        let at = |name: &str| -> Result<Timestamp> { Ok(manifest[name].as_str().context("a time")?.parse()?) };
        Ok((at("started_at")?, at("completed_at")?))
    }
}

/// With a dot, as no database's rule has one.
fn rule(operation: &str) -> String {
    format!("lifeboat.fleet-{operation}-0")
}

fn configuration(names: &[String]) -> Result<String> {
    let mut configuration = format!(
        "[store]\nurl = \"s3://{BUCKET}/pg\"\n\n[deploy]\narchitecture = \"x86_64\"\nfleet_concurrency = {AT_ONCE}\n"
    );
    for (index, name) in names.iter().enumerate() {
        write!(
            configuration,
            "\n[databases.{name}]\nurl = {{ secret = \"fleet/source\" }}\nschedule = \"{YEARLY}\"\nrpo = \"26h\"\n"
        )?;
        if index < DRILLED {
            write!(
                configuration,
                "\n[databases.{name}.drill]\nselect = \"latest\"\nschedule = \"{YEARLY}\"\n\
                 scratch = {{ rds = {{ class = \"db.t4g.medium\", look_every = \"1s\" }} }}\n"
            )?;
        }
    }
    write!(configuration, "\n[databases.missing]\nurl = {{ secret = \"fleet/missing\" }}\nschedule = \"{YEARLY}\"\n")?;
    Ok(configuration)
}

/// The most of these spans that hold one moment in common.
fn most_at_once(spans: &[(Timestamp, Timestamp)]) -> usize {
    let during = |at: Timestamp| spans.iter().filter(|(begun, ended)| *begun <= at && at < *ended).count();
    spans.iter().map(|(begun, _)| during(*begun)).max().unwrap_or(0)
}

/// The rule's tick: every database is backed up and verified, a limited number at once; the one that fails stops none.
fn is_backed_up(fleet: &Fleet, patience: Duration) -> Result<()> {
    fleet.hasten("dump")?;
    let execution = fleet.ticked("dump")?;
    let ended = fleet.account.end_of(&execution, patience)?;
    ensure!(ended == "SUCCEEDED", "{ended}: {:?}", fleet.account.states_of(&execution));
    let mut spans = Vec::new();
    for name in &fleet.names {
        let completed = fleet.events.wait_for("BackupCompleted", name, PATIENCE, |_| true)?;
        spans.push(fleet.dumped(&completed)?);
        let of = |detail: &Value| detail["backup_id"] == completed["backup_id"];
        fleet.events.wait_for("BackupVerified", name, patience, of)?;
    }
    let most = most_at_once(&spans);
    ensure!(most == AT_ONCE, "{most} dumps at once: {spans:#?}");
    let failed = fleet.events.wait_for("BackupFailed", "missing", PATIENCE, |_| true)?;
    ensure!(failed.to_string().contains("deployed_fleet_missing"), "{failed:#}");
    Ok(())
}

/// The rule's tick: each is drilled on an instance of its own, and there are no more instances than drills at once.
fn is_drilled(fleet: &Fleet) -> Result<()> {
    fleet.hasten("drill")?;
    let execution = fleet.ticked("drill")?;
    let ended = fleet.account.end_of(&execution, PATIENCE)?;
    ensure!(ended == "SUCCEEDED", "{ended}: {:?}", fleet.account.states_of(&execution));
    for name in &fleet.names[..DRILLED] {
        fleet.events.wait_for("DrillPassed", name, PATIENCE, |_| true)?;
    }
    let calls = fleet.account.rds().calls("lifeboat-drill-")?;
    let mut there: BTreeSet<&str> = BTreeSet::new();
    let mut most = 0;
    for call in calls.iter().filter(|call| call["status"] == 200) {
        let instance = call["instance"].as_str().unwrap_or_default();
        if call["action"] == "CreateDBInstance" {
            there.insert(instance);
        } else if call["action"] == "DeleteDBInstance" {
            there.remove(instance);
        }
        most = most.max(there.len());
    }
    ensure!(most == AT_ONCE && there.is_empty(), "{most} instances at once, {} left: {calls:#?}", there.len());
    ensure!(fleet.account.rds().instances("lifeboat-drill-")?.is_empty());
    Ok(())
}

#[test]
#[ignore = "minutes of dumps and drills: run by `make soak`"]
fn a_fleets_rules_back_up_every_database_and_drill_a_limited_number_at_once() -> Result<()> {
    let fleet = Fleet::deploy(30)?;
    is_backed_up(&fleet, PATIENCE)?;
    is_drilled(&fleet)
}

#[test]
#[ignore = "1,000 dumps, two at once: run by `make soak`"]
fn a_fleet_of_a_thousand_is_backed_up_without_a_gap() -> Result<()> {
    is_backed_up(&Fleet::deploy(1000)?, Duration::from_hours(3))
}
