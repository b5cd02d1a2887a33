//! One deployment that all its tests share.

use std::{fmt::Write as _, sync::OnceLock, time::Duration};

use anyhow::{Result, anyhow, ensure};
use jiff::{Span, Timestamp, tz::TimeZone};
use lifeboat_tests::{
    cdk::{Account, Deployed, Watch},
    sinks::sinks,
};
use serde_json::{Value, json};

use crate::shared::fifteen;

/// The source, a database of the cluster of PostgreSQL 15.
const SOURCE: &str = "deployed";
/// Everything here happens within minutes, also where two cores are shared.
pub(super) const PATIENCE: Duration = Duration::from_mins(8);
/// Where the webhook of the team's channel leads.
pub(super) const CHANNEL: &str = "/slack/deployed";

/// What is deployed, and what it is deployed to.
pub(super) struct Site {
    pub(super) account: Account,
    pub(super) deployed: Deployed,
    pub(super) events: Watch,
}

static SITE: OnceLock<Result<Site, String>> = OnceLock::new();

/// The deployment; it ends with the process.
pub(super) fn site() -> Result<&'static Site> {
    SITE.get_or_init(|| deploy().map_err(|e| format!("{e:#}"))).as_ref().map_err(|e| anyhow!("{e}"))
}

fn deploy() -> Result<Site> {
    let cluster = fifteen()?;
    cluster.create_shop(SOURCE, "0.05")?;
    let account = Account::start()?;
    account.put_secret("orders/backup", &cluster.url(SOURCE))?;
    account.put_secret("lifeboat/slack", &format!("{}{CHANNEL}", sinks()?.endpoint))?;
    let tools = cluster.bin.display().to_string();
    let deployed = account.deploy(&configuration()?, &[("LIFEBOAT_CLIENT_TOOLS", &tools)])?;
    let events = account.watch("lifeboat")?;
    Ok(Site { account, deployed, events })
}

/// `orders` does everything by schedule: dumps every minute, drills every other, but not before there can be a backup. The
/// others are for drills that go wrong, and do nothing by themselves.
fn configuration() -> Result<String> {
    let mut minutes = Vec::new();
    for number in 0..20 {
        let at = Timestamp::now().checked_add(Span::new().minutes(5 + 2 * number))?;
        minutes.push(at.to_zoned(TimeZone::UTC).minute().to_string());
    }
    let drills = minutes.join(",");
    let mut configuration = format!(
        r#"
[store]
url = "s3://lifeboat-deployed/pg"

[deploy]
architecture = "x86_64"
retention_schedule = "rate(1 minute)"
health_schedule = "rate(1 minute)"

[health]
disk_free_percent = 1
connections_percent = 100

[alerts]
per_run = ["orders"]
contacts = ["whoever reads this test"]

[alerts.channels.team]
slack = {{ secret = "lifeboat/slack" }}

[databases.orders]
url = {{ secret = "orders/backup" }}
schedule = "rate(1 minute)"
rpo = "26h"
rto = "30m"

[databases.orders.retention]
daily = {{ keep = 7, storage_class = "GLACIER_IR" }}
weekly = {{ keep = 5, storage_class = "GLACIER_IR" }}
monthly = {{ keep = 6, storage_class = "GLACIER_IR" }}

[databases.orders.drill]
schedule = "cron({drills} * * * ? *)"
scratch = {{ rds = {{ class = "db.t4g.medium", look_every = "1s" }} }}
checks = [{{ name = "there are orders", sql = "SELECT count(*) > 0 FROM shop.orders" }}]
"#
    );
    let yearly = "schedule = \"cron(0 0 1 1 ? *)\"";
    for (name, schedule, rds) in [
        ("killed", "", ""),
        ("struck", "", ""),
        ("refused", "", ""),
        ("stuck", "", ", available_within = \"30s\""),
        ("accepted", yearly, ""),
    ] {
        write!(
            configuration,
            r#"
[databases.{name}]
url = {{ secret = "orders/backup" }}
{schedule}
rto = "30m"

[databases.{name}.drill]
scratch = {{ rds = {{ class = "db.t4g.medium", look_every = "1s"{rds} }} }}
checks = [{{ name = "there are orders", sql = "SELECT count(*) > 0 FROM shop.orders" }}]
"#
        )?;
    }
    configuration.push_str(
        r#"
[databases.adopted]
url = { secret = "adopted/backup" }

[databases.adopted.drill]
scratch = { rds = { class = "db.t4g.medium", look_every = "1s", source_instance = "adopted-source", restore_testing_plan = "weekly" } }
checks = [{ name = "there are orders", sql = "SELECT count(*) > 0 FROM shop.orders" }]
"#,
    );
    Ok(configuration)
}

impl Site {
    /// Makes one verified backup of a database without a schedule.
    pub(super) fn back_up(&self, database: &str) -> Result<String> {
        let answer = self.account.aws.invoke("lifeboat-dump", &json!({ "database": database }))?.answer()?;
        ensure!(answer["status"] == "done", "{answer:#}");
        let backup = answer["backup_id"].as_str().unwrap_or_default().to_owned();
        self.events.wait_for("BackupVerified", database, PATIENCE, |detail| detail["backup_id"] == backup)?;
        Ok(backup)
    }

    /// How the ids of a database's scratch instances begin.
    pub(super) fn instances_of(database: &str) -> String {
        format!("lifeboat-drill-{database}-")
    }

    /// The instances of a database's drills that are there now.
    pub(super) fn instances(&self, database: &str) -> Result<Vec<Value>> {
        self.account.rds().instances(&Self::instances_of(database))
    }

    /// The names of secrets that RDS made.
    pub(super) fn secrets_of_rds(&self) -> Result<Vec<String>> {
        let listed = self.account.aws.json("secretsmanager", "ListSecrets", &json!({ "MaxResults": 100 }))?;
        let all = listed["SecretList"].as_array().cloned().unwrap_or_default();
        let names = all.iter().filter_map(|secret| secret["Name"].as_str().map(str::to_owned));
        Ok(names.filter(|name| name.starts_with("rds/")).collect())
    }
}
