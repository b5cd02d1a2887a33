//! Drills that go wrong: the instance is gone all the same, and DrillFailed says which phase and why.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use lifeboat_tests::{cdk::PAUSE, program::wait_looking_every};
use serde_json::{Value, json};

use super::site::{PATIENCE, Site, site};

/// A scratch instance that another deployment has left.
const OTHERS: &str = "another-drill-stuck-0000000000";

/// A drill that was started under a name of its own.
struct Drill {
    site: &'static Site,
    database: &'static str,
    name: String,
    execution: String,
}

impl Drill {
    fn start(site: &'static Site, database: &'static str, name: &str) -> Result<Self> {
        let request = json!({ "database": database, "select": "latest" });
        let execution = site.account.start_execution("lifeboat-drill", name, &request)?;
        Ok(Self { site, database, name: name.to_owned(), execution })
    }

    /// Lets the function be killed in a step of the drill of this name, which is yet to be started.
    fn kill_in(site: &Site, name: &str, step: &str, when: &str) -> Result<()> {
        let execution = format!("execution:lifeboat-drill:{name}\"");
        site.account.localstack.kill_invocation(name, &[&format!("\"step\":\"{step}\""), &execution], when)?;
        Ok(())
    }

    fn end(&self) -> Result<String> {
        self.site.account.end_of(&self.execution, PATIENCE)
    }

    /// The drill has ended like this, `DrillFailed` has told of it, and nothing of it is left.
    fn failed(&self, status: &str, phase: &str, words: &[&str]) -> Result<()> {
        let ended = self.end()?;
        let passed_through = self.site.account.states_of(&self.execution)?;
        ensure!(ended == status, "{} ended {ended}: {passed_through:?}", self.name);
        // The end of an execution is told after it.
        let told = self.site.events.wait_for("DrillFailed", self.database, PATIENCE, |detail| {
            detail["phase"] == phase && words.iter().all(|word| detail["reasons"].to_string().contains(word))
        });
        told.with_context(|| format!("{}: {phase} and {words:?}; it went through {passed_through:?}", self.name))?;
        self.leaves_nothing()
    }

    fn leaves_nothing(&self) -> Result<()> {
        wait_looking_every(PAUSE, &format!("nothing is left of {}", self.name), Duration::from_mins(1), || {
            Ok(self.site.instances(self.database)?.is_empty())
        })
    }
}

/// Kills the function in one step of a drill after the other, of one database.
fn kill_in_each(site: &'static Site, database: &'static str, steps: &[(&str, &str, Kill)]) -> Result<()> {
    site.back_up(database)?;
    for (step, when, expected) in steps {
        let name = format!("killed-in-{step}");
        Drill::kill_in(site, &name, step, when)?;
        let drill = Drill::start(site, database, &name)?;
        match expected {
            Kill::Fails(phase) => drill.failed("SUCCEEDED", phase, &["Runtime.ExitError"])?,
            Kill::IsTriedAgain => {
                ensure!(drill.end()? == "SUCCEEDED", "{name}: {:?}", site.account.states_of(&drill.execution));
                drill.leaves_nothing()?;
            }
        }
        ensure!(!site.account.localstack.kill_is_pending(&name), "{name}: nothing was killed");
    }
    Ok(())
}

/// What comes of a drill whose function was killed once.
enum Kill {
    /// It fails in this phase.
    Fails(&'static str),
    /// The step is tried again, and the drill goes on.
    IsTriedAgain,
}

#[test]
#[ignore = "ten drills, minutes: run by `make soak`, the steps' own ends by functions::drill_steps in every run"]
fn a_function_that_is_killed_in_any_phase_leaves_no_instance_and_the_phase_is_told() -> Result<()> {
    let site = site()?;
    // Most of a drill is waiting: two go on side by side.
    std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            let steps = [
                ("select", "after", Kill::Fails("select")),
                ("await", "before", Kill::Fails("provision")),
                ("compare", "before", Kill::Fails("compare")),
                ("negative-control", "after", Kill::Fails("negative control")),
                ("gone", "before", Kill::IsTriedAgain),
            ];
            kill_in_each(site, "killed", &steps)
        });
        let other = scope.spawn(|| {
            let steps = [
                ("provision", "after", Kill::Fails("provision")),
                ("restore", "0.3", Kill::Fails("restore")),
                ("checks", "before", Kill::Fails("checks")),
                ("tear-down", "before", Kill::IsTriedAgain),
                ("report", "before", Kill::IsTriedAgain),
            ];
            kill_in_each(site, "struck", &steps)
        });
        for kills in [one, other] {
            kills.join().map_err(|_| anyhow!("a thread of the test panicked"))??;
        }
        Ok(())
    })
}

#[test]
fn a_call_that_rds_refuses_is_told_and_leaves_no_instance() -> Result<()> {
    let site = site()?;
    let rds = site.account.rds();
    let instances = Site::instances_of("refused");
    site.back_up("refused")?;
    let refuse = |action: &str, times: u32, status: u32, code: &str| {
        rds.fail(&json!({
            "action": action, "instance": instances, "times": times, "status": status, "code": code,
            "message": format!("{action} is refused"),
        }))
    };
    refuse("CreateDBInstance", 1, 400, "InsufficientDBInstanceCapacity")?;
    Drill::start(site, "refused", "create-refused")?.failed(
        "SUCCEEDED",
        "provision",
        &["InsufficientDBInstanceCapacity"],
    )?;
    rds.mend(&instances)?;

    // The instance was made, and nobody heard of it.
    rds.fail(&json!({ "action": "CreateDBInstance", "instance": instances, "times": 9, "status": 500, "done": true }))?;
    let lost = Drill::start(site, "refused", "create-unanswered")?;
    lost.end()?;
    lost.leaves_nothing()?;
    rds.mend(&instances)?;

    refuse("DescribeDBInstances", 1, 403, "AccessDenied")?;
    let unseen = Drill::start(site, "refused", "describe-refused")?;
    unseen.failed("SUCCEEDED", "provision", &["DescribeDBInstances is refused"])?;
    rds.mend(&instances)?;

    // Removing is tried again.
    refuse("DeleteDBInstance", 1, 400, "InvalidParameterValue")?;
    let kept = Drill::start(site, "refused", "delete-refused")?;
    ensure!(kept.end()? == "SUCCEEDED");
    kept.leaves_nothing()?;
    rds.mend(&instances)?;

    // Too many requests at once are no failure at all.
    for action in ["CreateDBInstance", "DescribeDBInstances", "DeleteDBInstance"] {
        refuse(action, 1, 400, "Throttling")?;
    }
    let throttled = Drill::start(site, "refused", "throttled")?;
    ensure!(throttled.end()? == "SUCCEEDED");
    site.events.wait_for("DrillPassed", "refused", PATIENCE, |_| true)?;
    throttled.leaves_nothing()?;
    rds.mend(&instances)
}

#[test]
fn an_instance_that_never_becomes_available_and_an_execution_that_is_aborted_leave_nothing() -> Result<()> {
    let site = site()?;
    let rds = site.account.rds();
    let instances = Site::instances_of("stuck");
    let backup = site.back_up("stuck")?;

    rds.course(&json!({ "instances": instances, "hold": ["creating"] }))?;
    let aborted = Drill::start(site, "stuck", "aborted")?;
    wait_looking_every(PAUSE, "the instance is being made", PATIENCE, || Ok(!site.instances("stuck")?.is_empty()))?;
    let stop = json!({ "executionArn": aborted.execution, "error": "Person", "cause": "not now" });
    site.account.aws.json("states", "StopExecution", &stop)?;
    aborted.failed("ABORTED", "provision", &["was aborted in phase provision"])?;

    let late = Drill::start(site, "stuck", "never-available")?;
    late.failed("SUCCEEDED", "provision", &["30s"])?;
    rds.mend(&instances)?;

    rds.course(&json!({ "instances": instances, "ends_in": "incompatible-parameters" }))?;
    Drill::start(site, "stuck", "incompatible")?.failed("SUCCEEDED", "provision", &["incompatible-parameters"])?;
    rds.mend(&instances)?;

    // A damaged backup: the drill is what finds it.
    let listing =
        site.account.s3("GET", &format!("/lifeboat-deployed?list-type=2&prefix=pg/stuck/{backup}/archive/"))?;
    let keys = listing.split("<Key>").skip(1).filter_map(|rest| rest.split('<').next());
    let victim = keys.into_iter().find(|key| key.contains(".dat.zst")).context("a chunk")?;
    site.account.s3_put(&format!("/lifeboat-deployed/{victim}"), b"not what it was")?;
    let damaged = Drill::start(site, "stuck", "damaged")?;
    damaged.failed("SUCCEEDED", "restore", &[victim.rsplit('/').next().unwrap_or_default()])?;

    // Whatever else happens, health removes what has outlived its time.
    let left: [(&str, &str); 13] = [
        ("DBInstanceClass", "db.t4g.medium"),
        ("Engine", "postgres"),
        ("EngineVersion", "15"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", "lifeboat"),
        ("ManageMasterUserPassword", "true"),
        ("Tags.Tag.1.Key", "lifeboat:scratch"),
        ("Tags.Tag.1.Value", "true"),
        ("Tags.Tag.2.Key", "lifeboat:expires-at"),
        ("Tags.Tag.2.Value", "2026-01-01T00:00:00Z"),
        ("Tags.Tag.3.Key", "lifeboat:database"),
        ("Tags.Tag.3.Value", "stuck"),
        ("Tags.Tag.4.Key", "lifeboat:deployment"),
    ];
    // Another deployment's, of a database of the same name, is not ours to remove.
    for (id, deployment) in [(OTHERS, "another"), ("lifeboat-drill-stuck-0000000000", "lifeboat")] {
        let of = [("DBInstanceIdentifier", id), ("Tags.Tag.4.Value", deployment)];
        rds.administer("CreateDBInstance", &[left.as_slice(), &of].concat())?;
    }
    wait_looking_every(PAUSE, "health has removed it", PATIENCE, || Ok(site.instances("stuck")?.is_empty()))?;
    let others = rds.instances(OTHERS)?;
    ensure!(others.len() == 1 && others[0]["status"] != "deleting", "{others:#?}");
    rds.administer("DeleteDBInstance", &[("DBInstanceIdentifier", OTHERS), ("SkipFinalSnapshot", "true")])?;
    let mut secrets: Vec<Value> = Vec::new();
    wait_looking_every(PAUSE, "no password is left", PATIENCE, || {
        secrets = site.secrets_of_rds()?.into_iter().map(Value::from).collect();
        Ok(secrets.is_empty() || site.account.rds().instances("")?.len() >= secrets.len())
    })
}
