//! Passwords in the commands of an archive: nobody repeats them where such a command fails.

use std::{cell::Cell, fs};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, Lifeboat, StoreUnderTest, cluster::repository};

use super::failing::{Failure, document, fails, no_secret, no_secret_in};
use crate::shared::with_tools;

/// Wrapper and subscription take a superuser.
const DEFINITIONS: &str = "
    CREATE ROLE mapped;
    CREATE FOREIGN DATA WRAPPER guarded;
    CREATE SERVER guarded FOREIGN DATA WRAPPER guarded OPTIONS (host '127.0.0.1', token 'server-secret');
    CREATE USER MAPPING FOR mapped SERVER guarded OPTIONS (user 'remote', password 'mapping-secret');
    CREATE SUBSCRIPTION guarded CONNECTION 'host=127.0.0.1 port=1 password=subscription-secret'
        PUBLICATION p WITH (connect = false, enabled = false, slot_name = NONE);
    CREATE TABLE notes AS SELECT 1 AS id";

/// What of the commands is told.
const TOLD: [&str; 3] =
    ["CREATE SERVER guarded", "CREATE USER MAPPING FOR mapped SERVER guarded", "CREATE SUBSCRIPTION guarded"];

fn tells_commands_without_secrets(place: &str, text: &str) -> Result<()> {
    for command in TOLD {
        ensure!(text.contains(command), "`{command}` is not in {place}: {text}");
    }
    no_secret_in(place, text)
}

#[tokio::test]
async fn no_password_of_a_command_that_fails_is_in_an_answer_a_log_or_a_report() -> Result<()> {
    // Its own: roles belong to a whole server.
    let (cluster, store) = (Cluster::start(15).await?, StoreUnderTest::folder()?);
    cluster.sql_file("postgres", &repository().join("tests/fixtures/roles.sql"))?;
    cluster.create_database("guarded")?;
    cluster.sql("guarded", DEFINITIONS)?;
    let call = |arguments: &[&str], target: &str| -> Lifeboat {
        let call = store.lifeboat(arguments.iter().copied()).database(&cluster.url("guarded"));
        with_tools(call, &cluster.bin).env("TARGET_URL", target)
    };
    let of_restorer =
        |database: &str| format!("postgres://lb_restore:lb-restore-secret@127.0.0.1:{}/{database}", cluster.port());
    call(&["dump"], "").run()?.expect(0)?;

    // No superuser: it is told what it could not make.
    cluster.create_database_with("restored", "TEMPLATE template0 OWNER lb_restore")?;
    let restore = ["restore", "latest", "--to", "env:TARGET_URL", "-vv", "--output", "json"];
    let restored = call(&restore, &of_restorer("restored")).run()?.expect(0)?;
    tells_commands_without_secrets("the answer", &restored.stdout)?;
    no_secret(&restored)?;
    let drill = ["drill", "--scratch", "env:TARGET_URL", "-vv", "--output", "json"];
    let drilled = call(&drill, &of_restorer("postgres")).run()?.expect(7)?;
    no_secret(&drilled)?;
    let reports = document(&drilled.stdout)?["report"].clone();
    for format in ["json", "html", "markdown"] {
        let key = reports[format].as_str().context("the answer names its report")?;
        let report = fs::read_to_string(store.path().context("a folder")?.join(key))?;
        tells_commands_without_secrets(key, &report)?;
    }

    // A superuser, but a role is missing: that ends it.
    cluster.sql("guarded", "DROP USER MAPPING FOR mapped SERVER guarded; DROP ROLE mapped")?;
    let made = Cell::new(0);
    fails(
        || {
            made.set(made.get() + 1);
            let database = format!("failed_{}", made.get());
            cluster.create_database_with(&database, "TEMPLATE template0")?;
            Ok(call(&["restore", "latest", "--to", "env:TARGET_URL"], &cluster.url(&database)))
        },
        &Failure {
            code: 4,
            kind: "database",
            says: &["role \"mapped\" does not exist", "CREATE USER MAPPING FOR mapped SERVER guarded …"],
            hint: &["globals.sql"],
        },
    )
}
