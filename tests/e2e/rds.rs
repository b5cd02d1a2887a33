//! The RDS API of the test stack: what stands behind it is real.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    aws::Aws,
    cluster::{programs, run},
    program::wait_until,
    rds::{MASTER, MASTER_PASSWORD, administer, calls, course, create_source, fail, instances, rds},
    stores::localstack,
};
use serde_json::{Value, json};

const SCRATCH: [(&str, &str); 2] = [("Tags.Tag.1.Key", "lifeboat:scratch"), ("Tags.Tag.1.Value", "true")];

fn sql(port: u16, password: &str, database: &str, sql: &str) -> Result<String> {
    let mut psql = Command::new(programs(15)?.join("psql"));
    psql.env("PGPASSWORD", password).args(["-h", "127.0.0.1", "-U", MASTER, "-d", database, "-p", &port.to_string()]);
    run(psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])).map(|said| said.trim().to_owned())
}

fn available(identifier: &str) -> Result<u16> {
    let mut port = None;
    wait_until(&format!("{identifier} is available"), Duration::from_mins(3), || {
        let found = instances(identifier)?;
        port = found.first().and_then(|instance| u16::try_from(instance["port"].as_u64()?).ok());
        Ok(found.first().is_some_and(|instance| instance["status"] == "available"))
    })?;
    port.context("the port")
}

fn gone(identifier: &str) -> Result<()> {
    wait_until(&format!("{identifier} is gone"), Duration::from_mins(1), || Ok(instances(identifier)?.is_empty()))
}

fn delete(identifier: &str) -> Result<String> {
    administer("DeleteDBInstance", &[("DBInstanceIdentifier", identifier), ("SkipFinalSnapshot", "true")])
}

#[test]
fn an_instance_is_restored_from_a_snapshot_and_to_a_point_in_time_with_the_rows_of_then() -> Result<()> {
    let source = create_source("then-source", 15, "shop")?;
    let superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user";
    ensure!(sql(source, MASTER_PASSWORD, "shop", superuser)? == "f", "a master user is no superuser");
    sql(source, MASTER_PASSWORD, "shop", "CREATE TABLE seen (n int); INSERT INTO seen VALUES (1)")?;
    administer("CreateDBSnapshot", &[("DBInstanceIdentifier", "then-source"), ("DBSnapshotIdentifier", "then-one")])?;
    sql(source, MASTER_PASSWORD, "shop", "INSERT INTO seen VALUES (2)")?;
    // RDS takes seconds, and the next row must be later.
    let now =
        "SELECT to_char((clock_timestamp() + interval '1 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let then = sql(source, MASTER_PASSWORD, "shop", now)?;
    let later = format!("SELECT clock_timestamp() > '{then}'::timestamptz + '100 ms'");
    wait_until("it is later", Duration::from_secs(10), || Ok(sql(source, MASTER_PASSWORD, "shop", &later)? == "t"))?;
    sql(source, MASTER_PASSWORD, "shop", "INSERT INTO seen VALUES (3)")?;

    let target = ("DBInstanceIdentifier", "then-snapshot");
    administer(
        "RestoreDBInstanceFromDBSnapshot",
        &[target, ("DBSnapshotIdentifier", "then-one"), SCRATCH[0], SCRATCH[1]],
    )?;
    let pair = |to| [("SourceDBInstanceIdentifier", "then-source"), ("TargetDBInstanceIdentifier", to)];
    let recover = |to, when| administer("RestoreDBInstanceToPointInTime", &[pair(to).as_slice(), &[when]].concat());
    recover("then-time", ("RestoreTime", then.as_str()))?;
    recover("then-latest", ("UseLatestRestorableTime", "true"))?;
    for (identifier, rows) in [("then-snapshot", "1"), ("then-time", "1,2"), ("then-latest", "1,2,3")] {
        let port = available(identifier)?;
        let seen = sql(port, MASTER_PASSWORD, "shop", "SELECT string_agg(n::text, ',' ORDER BY n) FROM seen")?;
        ensure!(seen == rows, "{identifier} has {seen}");
        delete(identifier)?;
    }
    delete("then-source")?;
    ["then-snapshot", "then-time", "then-latest", "then-source"].into_iter().try_for_each(gone)
}

#[test]
fn rds_keeps_the_password_where_functions_ask_for_it_and_its_faults_are_those_ordered() -> Result<()> {
    let wanted = [
        ("DBInstanceIdentifier", "kept-one"),
        ("DBInstanceClass", "db.t4g.micro"),
        ("Engine", "postgres"),
        ("EngineVersion", "17"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", MASTER),
        ("ManageMasterUserPassword", "true"),
    ];
    fail(
        &json!({ "action": "CreateDBInstance", "instance": "kept-", "status": 400, "code": "InsufficientDBInstanceCapacity" }),
    )?;
    let refused = administer("CreateDBInstance", &wanted).err().context("a failure")?.to_string();
    ensure!(refused.contains("InsufficientDBInstanceCapacity") && instances("kept-")?.is_empty(), "{refused}");

    course(&json!({ "instances": "kept-", "hold": ["creating"] }))?;
    // The answer is lost, the instance is there.
    fail(&json!({ "action": "CreateDBInstance", "instance": "kept-", "done": true }))?;
    ensure!(administer("CreateDBInstance", &wanted).is_err_and(|e| e.to_string().contains("HTTP 500")));
    let shown = instances("kept-")?;
    ensure!(shown.len() == 1 && shown[0]["status"] == "creating" && shown[0]["port"].is_null(), "{shown:#?}");
    course(&json!({ "instances": "kept-" }))?;
    let port = available("kept-one")?;

    let described = administer("DescribeDBInstances", &[("DBInstanceIdentifier", "kept-one")])?;
    let arn = described.split("<SecretArn>").nth(1).and_then(|rest| rest.split('<').next()).context("the ARN")?;
    let secret = json!({ "SecretId": arn });
    let aws = Aws::new(localstack()?);
    let kept = aws.json("secretsmanager", "GetSecretValue", &secret)?;
    let kept: Value = serde_json::from_str(kept["SecretString"].as_str().context("the secret")?)?;
    ensure!(kept["username"] == MASTER, "{kept}");
    let password = kept["password"].as_str().context("the password")?;
    ensure!(sql(port, password, "postgres", "SELECT 1")? == "1");
    ensure!(sql(port, MASTER_PASSWORD, "postgres", "SELECT 1").is_err());

    delete("kept-one")?;
    gone("kept-one")?;
    ensure!(sql(port, password, "postgres", "SELECT 1").is_err(), "the server goes with the instance");
    wait_until("the secret goes as well", Duration::from_mins(1), || {
        let asked = aws.json("secretsmanager", "GetSecretValue", &secret);
        Ok(asked.is_err_and(|e| format!("{e:#}").contains("ResourceNotFoundException")))
    })?;
    let told: Vec<_> = calls("kept-")?.iter().map(|c| format!("{} {}", c["action"], c["status"])).collect();
    ensure!(told[0].ends_with("400") && told[1].ends_with("500"), "{told:#?}");
    Ok(())
}

#[test]
fn only_what_is_tagged_as_scratch_is_in_reach_of_the_drill() -> Result<()> {
    create_source("guarded-source", 15, "shop")?;
    let authorization = "AWS4-HMAC-SHA256 Credential=drill/20260101/us-east-1/rds/aws4_request, Signature=0";
    let ask = |form: &str| {
        let headers = [("Authorization", authorization), ("Content-Type", "application/x-www-form-urlencoded")];
        lifeboat_testkit::http::request(rds()?.address, "POST", "/", &headers, form.as_bytes(), Duration::from_secs(30))
            .context("call RDS")
    };
    let deletion = ask("Action=DeleteDBInstance&DBInstanceIdentifier=guarded-source&SkipFinalSnapshot=true")?;
    ensure!(deletion.status == 403 && deletion.text().contains("AccessDenied"), "{}", deletion.text());
    let recovery = "Action=RestoreDBInstanceToPointInTime&SourceDBInstanceIdentifier=guarded-source\
                    &TargetDBInstanceIdentifier=guarded-scratch&UseLatestRestorableTime=true";
    ensure!(ask(recovery)?.status == 403, "an untagged instance is refused");
    let tagged = format!("{recovery}&Tags.Tag.1.Key=lifeboat%3Ascratch&Tags.Tag.1.Value=true");
    ensure!(ask(&tagged)?.status == 200, "a tagged one is made");
    let deletion = ask("Action=DeleteDBInstance&DBInstanceIdentifier=guarded-scratch&SkipFinalSnapshot=true")?;
    ensure!(deletion.status == 200, "{}", deletion.text());
    gone("guarded-scratch")?;
    delete("guarded-source")?;
    gone("guarded-source")
}
