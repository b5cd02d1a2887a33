//! What is run in a real account before anybody relies on it, run here on what is deployed.

use std::{
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use lifeboat_tests::{
    aws::ACCOUNT,
    cdk::PAUSE,
    cluster::{repository, tools},
    program::{program, wait_looking_every},
};
use serde_json::{Value, json};

use super::site::{Site, site};

/// The rule that `infra/accept-aws` lets tick.
const RULE: &str = "lifeboat-dump-accepted";
/// Its own limits are longer.
const PATIENCE: Duration = Duration::from_mins(15);

/// `infra/accept-aws` with the account's credentials, and the command line of AWS that the set-up installs.
fn accept_aws(site: &Site, database: &str, account: &str) -> Result<(bool, String)> {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(repository().join("infra/accept-aws"));
    command.args([database, account, "deployed"]).envs(site.account.environment());
    command.env("PATH", format!("{}:{path}", tools().join("bin").display()));
    command.env("LIFEBOAT_PROGRAM", program()?).env("LIFEBOAT_CONFIG", site.deployed.configuration());
    let Output { status, stdout, stderr } = command.output().context("run infra/accept-aws")?;
    Ok((status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))))
}

fn rule(site: &Site) -> Result<Value> {
    site.account.aws.json("events", "DescribeRule", &json!({ "Name": RULE }))
}

/// The same, while the schedule that the rule is given comes into force, as on AWS; the one it had before ticks once a year.
fn accept_aws_with_schedules_in_force(site: &Site) -> Result<(bool, String)> {
    let yearly = rule(site)?["ScheduleExpression"].clone();
    let mut in_force = yearly.clone();
    std::thread::scope(|scope| {
        let accepting = scope.spawn(|| accept_aws(site, "accepted", ACCOUNT));
        wait_looking_every(PAUSE, "infra/accept-aws ends", PATIENCE, || {
            let given = rule(site)?["ScheduleExpression"].clone();
            if given != in_force && given == yearly {
                site.account.stop_rule(RULE)?;
            } else if given != in_force {
                site.account.heed_schedule(RULE)?;
            }
            in_force = given;
            Ok(accepting.is_finished())
        })?;
        accepting.join().map_err(|_| anyhow!("infra/accept-aws panicked"))?
    })
}

#[test]
#[ignore = "minutes of ticks and a drill: run by `make soak`"]
fn accept_aws_lets_a_rule_tick_drills_on_rds_and_leaves_the_rule_as_it_was() -> Result<()> {
    let site = site()?;
    let before = rule(site)?;

    let (accepted, said) = accept_aws(site, "accepted", "123456789012")?;
    ensure!(!accepted && said.contains("say yes by naming it: ACCOUNT=000000000000"), "{said}");
    let (accepted, said) = accept_aws(site, "stuck", ACCOUNT)?;
    ensure!(!accepted && said.contains("no rule dumps stuck alone"), "{said}");

    let (accepted, said) = accept_aws_with_schedules_in_force(site)?;
    ensure!(accepted, "{said}");
    for told in
        ["this costs, in account", "class db.t4g.medium", "by its rule's tick, and verified", "no instance is left"]
    {
        ensure!(said.contains(told), "{said}");
    }
    let calls = site.account.rds().calls(&Site::instances_of("accepted"))?;
    ensure!(calls.iter().any(|call| call["action"] == "DeleteDBInstance" && call["status"] == 200), "{calls:#?}");
    let after = rule(site)?;
    ensure!(after == before, "{after:#} was {before:#}");
    Ok(())
}
