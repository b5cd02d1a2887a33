//! The functions with encrypted backups: the key is a secret, and without it nothing is opened.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest, aws::Aws, stack::on_localstack, stores::localstack};
use serde_json::json;

use super::{emulator::Functions, told::serve};
use crate::shared::{fifteen, no_session_stays_on};

const SECRET: &str = "function_sealed/identity";

#[test]
fn encrypted_backups_are_restored_and_drilled_by_the_key_that_a_secret_holds_and_not_without_it() -> Result<()> {
    let (store, cluster) = (StoreUnderTest::minio()?, fifteen()?);
    cluster.create_shop("function_sealed", "0.01")?;
    let empty = || {
        cluster.sql("postgres", "DROP DATABASE IF EXISTS function_sealed_copy")?;
        cluster.create_database_with("function_sealed_copy", "TEMPLATE template0")
    };
    empty()?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.key");
    let made = Lifeboat::new(["keys", "new", file.to_str().context("the file's name")?]).json()?;
    let public = made["public_key"].as_str().context("a public key")?;
    let secret = std::fs::read_to_string(&file)?;
    let aws = Aws::new(localstack()?);
    let named = json!({ "Name": SECRET, "SecretString": secret,
        "ClientRequestToken": "00000000-0000-4000-8000-000000000001" });
    aws.json("secretsmanager", "CreateSecret", &named)?;
    let configuration = format!(
        "[databases.orders]
         url = {{ env = \"ORDERS_URL\" }}
         encrypt_to = [\"{public}\"]
         identity = {{ secret = \"{SECRET}\" }}

         [restore.targets.copy]
         url = {{ env = \"COPY_URL\" }}"
    );
    let mut environment = on_localstack(&localstack()?.endpoint);
    environment.push(("COPY_URL".to_owned(), cluster.url("function_sealed_copy")));
    let mut functions = Functions::start(&store, "function_sealed")?;
    functions.write("lifeboat.toml", &configuration)?;
    for function in ["dump", "verify", "restore", "drill"] {
        serve(&mut functions, function, &environment)?;
    }
    let backup = functions.invoke("dump", "nightly.json")?.answer()?;
    let shown = store.lifeboat(["show", "orders/latest"]).json()?;
    ensure!(shown.to_string().contains(public) && shown["manifest"]["backup_id"] == backup["backup_id"], "{shown:#}");
    let verified = functions.invoke("verify", "latest.json")?.answer()?;
    ensure!(verified["backups"][0]["whole"] == true, "{verified:#}");
    let restored = functions.invoke("restore", "whole.json")?.answer()?;
    ensure!(restored["restored"]["compared"].as_array().is_some_and(|c| !c.is_empty()), "{restored:#}");
    let drilled = functions.invoke("drill", "monthly.json")?.answer()?;
    ensure!(drilled["verdict"] == "passed" && drilled["backup_id"] == backup["backup_id"], "{drilled:#}");

    // Other processes, which never knew it.
    aws.json("secretsmanager", "DeleteSecret", &json!({ "SecretId": SECRET, "ForceDeleteWithoutRecovery": true }))?;
    empty()?;
    let mut later = Functions::start(&store, "function_sealed")?;
    later.write("lifeboat.toml", &configuration)?;
    serve(&mut later, "restore", &environment)?;
    let refused = later.invoke("restore", "whole.json")?.error("keys")?;
    ensure!(refused.contains(SECRET), "{refused}");
    let there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'shop'";
    ensure!(cluster.sql("function_sealed_copy", there)?.trim() == "0", "something was written");
    let key = secret.lines().find(|line| line.starts_with("AGE-SECRET-KEY-1")).context("a secret key")?;
    let logs = ["dump-0.log", "verify-0.log", "restore-0.log", "drill-0.log"].map(|log| (log, functions.log(log)));
    for (log, text) in logs.into_iter().chain([("the later restore-0.log", later.log("restore-0.log"))]) {
        ensure!(!text.is_empty() && !text.contains(key), "{log} is empty or tells the key");
    }
    no_session_stays_on(&["function_sealed", "function_sealed_copy"])
}
