//! The RDS API of this test process, told and asked what `tests/stack/rds` can be told and asked. Tests share it: each uses
//! identifiers with a beginning of their own.

use std::{process::Command, sync::OnceLock, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use lifeboat_testkit::{http::request, servers::Rds};
use serde_json::{Value, json};

use crate::{
    aws::{REGION, encoded},
    cluster::{programs, repository, run},
    program::wait_until,
    stores::localstack,
};

static RDS: OnceLock<Result<Rds, String>> = OnceLock::new();

/// The master user of instances that tests make themselves.
pub const MASTER: &str = "keeper";
/// Its password.
pub const MASTER_PASSWORD: &str = "a-long-Password.1";

/// The RDS of this process; it ends with it. Passwords that it manages lie in the Secrets Manager of [`localstack`].
pub fn rds() -> Result<&'static Rds> {
    let start = || anyhow::Ok(Rds::start(Some(&localstack()?.endpoint))?);
    RDS.get_or_init(|| start().map_err(|e| format!("{e:#}"))).as_ref().map_err(|e| anyhow!("{e}"))
}

/// What an RDS can be told and asked.
#[derive(Debug, Clone, Copy)]
pub struct Api<'a>(pub &'a Rds);

/// Where a program finds it.
pub fn on_rds() -> Result<(String, String)> {
    Ok(("AWS_ENDPOINT_URL_RDS".to_owned(), rds()?.endpoint.clone()))
}

/// Where a program finds AWS Backup, which is there too.
pub fn on_backup() -> Result<(String, String)> {
    Ok(("AWS_ENDPOINT_URL_BACKUP".to_owned(), rds()?.endpoint.clone()))
}

/// [`Api::restore_test`] of the shared one.
pub fn restore_test(snapshot: &str, instance: &str, restore_job: &str) -> Result<()> {
    Api(rds()?).restore_test(snapshot, instance, restore_job)
}

/// [`Api::restore_test_of`] of the shared one.
pub fn restore_test_of(snapshot: &str, made_at: i64, instance: &str, restore_job: &str) -> Result<()> {
    Api(rds()?).restore_test_of(snapshot, Some(made_at), instance, restore_job)
}

/// [`Api::validation`] of the shared one.
pub fn validation(restore_job: &str) -> Result<Option<(String, String)>> {
    Api(rds()?).validation(restore_job)
}

/// [`Api::instances`] of the shared one.
pub fn instances(prefix: &str) -> Result<Vec<Value>> {
    Api(rds()?).instances(prefix)
}

/// [`Api::calls`] of the shared one.
pub fn calls(prefix: &str) -> Result<Vec<Value>> {
    Api(rds()?).calls(prefix)
}

/// [`Api::fail`] of the shared one.
pub fn fail(fault: &Value) -> Result<()> {
    Api(rds()?).fail(fault)
}

/// Says what becomes of a task of ECS.
pub fn task(wish: &Value) -> Result<()> {
    Api(rds()?).tell("POST", "/lifeboat/tasks", wish)
}

/// [`Api::course`] of the shared one.
pub fn course(course: &Value) -> Result<()> {
    Api(rds()?).course(course)
}

/// [`Api::create_source`] of the shared one.
pub fn create_source(identifier: &str, major: u32, database: &str) -> Result<u16> {
    Api(rds()?).create_source(identifier, major, database)
}

/// [`Api::administer`] of the shared one.
pub fn administer(action: &str, parameters: &[(&str, &str)]) -> Result<String> {
    Api(rds()?).administer(action, parameters)
}

/// `psql` as the master user of an instance made by [`Api::create_source`].
pub fn psql_as_master(port: u16, database: &str, arguments: &[&str]) -> Result<String> {
    let mut psql = Command::new(programs(15)?.join("psql"));
    psql.env("PGPASSWORD", MASTER_PASSWORD).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", MASTER]);
    run(psql.args(["-d", database, "-X", "-q", "-v", "ON_ERROR_STOP=1"]).args(arguments))
}

impl Api<'_> {
    /// Instances whose identifier begins like this: `identifier`, `status`, `port`, `pid`, `tags`.
    pub fn instances(self, prefix: &str) -> Result<Vec<Value>> {
        let all = self.list("/lifeboat/instances")?;
        Ok(all.into_iter().filter(|i| i["identifier"].as_str().is_some_and(|name| name.starts_with(prefix))).collect())
    }

    /// Calls that named an instance which begins like this, oldest first: `action`, `instance`, `parameters`, `caller`,
    /// `status`, `code`.
    pub fn calls(self, prefix: &str) -> Result<Vec<Value>> {
        let all = self.list("/lifeboat/calls")?;
        Ok(all.into_iter().filter(|c| c["instance"].as_str().is_some_and(|name| name.starts_with(prefix))).collect())
    }

    /// Lets calls fail, such as `{"action": "CreateDBInstance", "instance": "x-", "times": 4, "status": 500}`.
    pub fn fail(self, fault: &Value) -> Result<()> {
        self.tell("POST", "/lifeboat/faults", fault)
    }

    /// Says what becomes of instances, such as `{"instances": "x-", "hold": ["creating"]}`; the last word on a beginning
    /// holds.
    pub fn course(self, course: &Value) -> Result<()> {
        self.tell("POST", "/lifeboat/courses", course)
    }

    /// Takes back the faults and the courses of instances that begin like this.
    pub fn mend(self, prefix: &str) -> Result<()> {
        self.tell("DELETE", "/lifeboat/faults", &json!({ "instances": prefix }))
    }

    /// Makes a PostgreSQL instance that is not Lifeboat's, with point-in-time recovery, and gives its port once it is
    /// available.
    pub fn create_source(self, identifier: &str, major: u32, database: &str) -> Result<u16> {
        self.administer(
            "CreateDBInstance",
            &[
                ("DBInstanceIdentifier", identifier),
                ("DBInstanceClass", "db.t4g.medium"),
                ("Engine", "postgres"),
                ("EngineVersion", &major.to_string()),
                ("AllocatedStorage", "20"),
                ("BackupRetentionPeriod", "7"),
                ("MasterUsername", MASTER),
                ("MasterUserPassword", MASTER_PASSWORD),
                ("DBName", database),
            ],
        )?;
        let mut port = None;
        wait_until(&format!("{identifier} is available"), Duration::from_mins(3), || {
            let found = self.instances(identifier)?;
            let instance =
                found.iter().find(|instance| instance["identifier"] == identifier).context("the instance")?;
            ensure!(instance["status"] != "failed", "{identifier} failed: {}", self.0.log());
            port = instance["port"].as_u64().and_then(|port| u16::try_from(port).ok());
            Ok(instance["status"] == "available")
        })?;
        port.context("the instance's port")
    }

    /// Lets a restore test of AWS Backup make an instance of a snapshot, and its job end.
    pub fn restore_test(self, snapshot: &str, instance: &str, restore_job: &str) -> Result<()> {
        self.restore_test_of(snapshot, None, instance, restore_job)
    }

    /// The same of a recovery point that was made then, in seconds since 1970, where AWS Backup says.
    pub fn restore_test_of(
        self,
        snapshot: &str,
        made_at: Option<i64>,
        instance: &str,
        restore_job: &str,
    ) -> Result<()> {
        self.administer(
            "RestoreDBInstanceFromDBSnapshot",
            &[
                ("DBSnapshotIdentifier", snapshot),
                ("DBInstanceIdentifier", instance),
                ("DBInstanceClass", "db.t4g.medium"),
                ("Tags.Tag.1.Key", "awsbackup-restore-test"),
                ("Tags.Tag.1.Value", restore_job),
            ],
        )?;
        let job = json!({ "restoreJobId": restore_job, "recoveryPointCreationDate": made_at });
        self.tell("POST", "/lifeboat/restore-jobs", &job)
    }

    /// What AWS Backup was told of a restore job: status and message. `None` where it was told nothing.
    pub fn validation(self, restore_job: &str) -> Result<Option<(String, String)>> {
        let jobs = self.list("/lifeboat/restore-jobs")?;
        let job = jobs.iter().find(|job| job["restoreJobId"] == restore_job).context("the restore job")?;
        let text = |name: &str| job[name].as_str().map(str::to_owned);
        Ok(text("ValidationStatus").map(|status| (status, text("ValidationStatusMessage").unwrap_or_default())))
    }

    /// Fills the database of an instance made by [`Self::create_source`] with a small shop, which its master user may read.
    pub fn fill_with_shop(self, port: u16, database: &str) -> Result<()> {
        let mut shop: Vec<String> = vec!["-c".to_owned(), "SET shop.scale = 0.001".to_owned()];
        for part in ["shop-schema.sql", "shop-data.sql", "shop-post.sql"] {
            shop.extend(["-f".to_owned(), repository().join("cli/src/demo").join(part).display().to_string()]);
        }
        shop.extend(["-c".to_owned(), format!("GRANT pg_read_all_data TO {MASTER}")]);
        psql_as_master(port, database, &shop.iter().map(String::as_str).collect::<Vec<_>>()).map(drop)
    }

    /// An action of RDS as somebody who may do everything; Lifeboat's functions may only handle what is tagged as scratch.
    pub fn administer(self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=administrator/20260101/{REGION}/rds/aws4_request, SignedHeaders=host, Signature=0"
        );
        let headers =
            [("Authorization", authorization.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        let fields = [("Action", action), ("Version", "2014-10-31")];
        let fields =
            fields.iter().chain(parameters).map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        let form = fields.collect::<Vec<_>>().join("&");
        let answer = request(self.0.address, "POST", "/", &headers, form.as_bytes(), Duration::from_mins(1))?;
        ensure!(answer.status < 300, "rds {action}: HTTP {}: {}", answer.status, answer.text());
        Ok(answer.text())
    }

    fn list(self, path: &str) -> Result<Vec<Value>> {
        let answer = self.0.ask("GET", path, "").with_context(|| format!("ask RDS for {path}"))?;
        serde_json::from_slice(&answer.body).with_context(|| format!("{path}: {}", answer.text()))
    }

    fn tell(self, method: &str, path: &str, what: &Value) -> Result<()> {
        let answer = self.0.ask(method, path, &what.to_string()).with_context(|| format!("tell RDS {path}"))?;
        ensure!(answer.status == 200, "{path} {what}: HTTP {}: {}", answer.status, answer.text());
        Ok(())
    }
}
