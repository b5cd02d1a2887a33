//! Drills that must fail: of a damaged backup, and of databases that came back otherwise than they were. Each names what it is.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    StoreUnderTest,
    aws::Aws,
    cluster::{programs, run},
    rds,
    stores::localstack,
};
use serde_json::{Value, json};

use super::machine::Machine;
use crate::shared::fifteen;

/// The superuser's way into an instance: what restored databases lack is made by hand.
struct Instance {
    port: u64,
    user: String,
    password: String,
}

impl Instance {
    fn of(state: &Value) -> Result<Self> {
        let address = &state["address"];
        let secret = address["secret"].as_str().context("the secret")?;
        let kept = Aws::new(localstack()?).json("secretsmanager", "GetSecretValue", &json!({ "SecretId": secret }))?;
        let kept: Value = serde_json::from_str(kept["SecretString"].as_str().context("the secret's text")?)?;
        Ok(Self {
            port: address["port"].as_u64().context("the port")?,
            user: address["user"].as_str().context("the user")?.to_owned(),
            password: kept["password"].as_str().context("the password")?.to_owned(),
        })
    }

    fn sql(&self, sql: &str) -> Result<String> {
        let mut psql = Command::new(programs(15)?.join("psql"));
        psql.env("PGPASSWORD", &self.password).args(["-h", "127.0.0.1", "-U", &self.user, "-d", "lifeboat_drill"]);
        psql.args(["-p", &self.port.to_string(), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        run(&mut psql)
    }
}

/// What is done to the restored database, how it is undone, and what the reasons must say.
const DEFECTS: [(&str, &str, &str, &[&str]); 6] = [
    (
        "missing trigger",
        "DROP TRIGGER touch ON shop.customers",
        "CREATE TRIGGER touch BEFORE UPDATE ON shop.customers FOR EACH ROW EXECUTE FUNCTION shop.touch()",
        &["catalog objects that differ", "trigger", "touch", "is missing"],
    ),
    (
        "disabled trigger",
        "ALTER TABLE shop.orders DISABLE TRIGGER audit",
        "ALTER TABLE shop.orders ENABLE TRIGGER audit",
        &["catalog objects that differ", "trigger", "audit", "instead of"],
    ),
    (
        "invalid index",
        // A unique index over equal values stays behind, invalid, when it is built without locks.
        "CREATE UNIQUE INDEX CONCURRENTLY reviews_product ON shop.reviews (stars)",
        "DROP INDEX shop.reviews_product; CREATE INDEX reviews_product ON shop.reviews (product_id, stars)",
        &["indexes that are not valid", "shop.reviews_product"],
    ),
    (
        "row too many",
        "INSERT INTO shop.countries VALUES ('ZZ', 'Nowhere', 0)",
        "DELETE FROM shop.countries WHERE code = 'ZZ'",
        &["another number of rows", "shop.countries"],
    ),
    (
        "row changed",
        "UPDATE shop.countries SET name = name || '!' WHERE code = (SELECT min(code) FROM shop.countries)",
        "UPDATE shop.countries SET name = rtrim(name, '!') WHERE code = (SELECT min(code) FROM shop.countries)",
        &["other content", "shop.countries"],
    ),
    (
        "sequence behind its column",
        "SELECT setval('shop.customers_id_seq', 1)",
        "SELECT setval('shop.customers_id_seq', max(id)) FROM shop.customers",
        &["sequences behind their columns", "customers_id_seq"],
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_that_differs_in_any_way_fails_naming_it() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("drill_defects", "0.01")?;
    let machine = Machine::start(&store, "defects", "drill_defects", "ttl = \"2h\"")?;
    machine.dump("defects")?;
    let state = machine.select("defects", "latest")?;
    let restored = machine.execute_from("provision", state, Some("compare"))?.state;
    let instance = Instance::of(&restored)?;

    // One drill for each; the last has none, and nothing of these in its report.
    for (number, defect) in DEFECTS.iter().map(Some).chain([None]).enumerate() {
        let state = with_another_drill(&store, &restored, number)?;
        if let Some((name, make, _, _)) = defect {
            match *name {
                "invalid index" => {
                    instance.sql("DROP INDEX shop.reviews_product")?;
                    ensure!(instance.sql(make).is_err(), "the stars of reviews are not unique");
                }
                _ => drop(instance.sql(make).with_context(|| (*name).to_owned())?),
            }
        }
        let compared = machine.execute_from("compare", state, Some("tear-down"))?.state;
        let reported = machine.step("report", &compared)?.map_err(anyhow::Error::msg)?;
        let reasons = reasons(&store, &reported)?;
        match defect {
            Some((name, _, undo, words)) => {
                ensure!(reported["verdict"] == "failed", "{name}: {reported:#}");
                for word in *words {
                    ensure!(reasons.contains(word), "{name}: '{word}' is not in {reasons}");
                }
                instance.sql(undo).with_context(|| format!("undo: {name}"))?;
            }
            None => ensure!(!reasons.contains("differ") && !reasons.contains("rows"), "nothing is wrong: {reasons}"),
        }
    }
    // The instance is still there, which by itself fails every one of these drills.
    let ended = machine.execute_from("tear-down", restored, Some("report"))?.state;
    ensure!(ended["gone"] == true && rds::instances("lifeboat-drill-defects")?.is_empty(), "{ended:#}");
    Ok(())
}

/// The same state in another drill: its records of what came before are copied.
fn with_another_drill(store: &StoreUnderTest, state: &Value, number: usize) -> Result<Value> {
    let drill = state["drill_id"].as_str().context("the drill")?;
    let letter = char::from(b'a' + u8::try_from(number)?);
    let other = format!("{}{letter}", &drill[..drill.len() - 1]);
    let folder = control(store)?.join("drills/defects");
    let (from, to) = (folder.join(drill), folder.join(&other));
    if from != to {
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(&from)? {
            let file = file?;
            if !file.file_name().to_string_lossy().starts_with("compare") {
                fs::copy(file.path(), to.join(file.file_name()))?;
            }
        }
    }
    let mut state = state.clone();
    state["drill_id"] = json!(other);
    Ok(state)
}

fn control(store: &StoreUnderTest) -> Result<PathBuf> {
    Ok(store.path().context("a folder")?.join(".control"))
}

fn reasons(store: &StoreUnderTest, state: &Value) -> Result<String> {
    let drill = state["drill_id"].as_str().context("the drill")?;
    let file = store.path().context("a folder")?.join(format!("defects/drills/{drill}/report.json"));
    let report: Value = serde_json::from_str(&fs::read_to_string(file)?)?;
    Ok(report["reasons"].to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_of_a_damaged_backup_fails_naming_the_object() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    fifteen()?.create_shop("drill_damaged", "0.01")?;
    let machine = Machine::start(&store, "damaged", "drill_damaged", "ttl = \"2h\"")?;
    let backup = machine.dump("damaged")?;
    let id = backup["backup_id"].as_str().context("the backup")?;
    let archive = store.path().context("a folder")?.join(format!("damaged/{id}/archive"));
    let mut chunks: Vec<PathBuf> = fs::read_dir(archive)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    chunks.retain(|path| path.to_string_lossy().contains(".dat"));
    chunks.retain(|path| !path.ends_with("toc.dat"));
    chunks.sort_by_key(|path| fs::metadata(path).map_or(0, |m| m.len()));
    let chunk = chunks.last().context("a chunk")?;
    let mut bytes = fs::read(chunk)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(chunk, bytes)?;

    let executed = machine.execute("damaged", "latest")?;
    ensure!(executed.state["verdict"] == "failed" && executed.state["failed_in"] == "restore", "{:#}", executed.state);
    let drill = executed.state["drill_id"].as_str().context("the drill")?;
    let report = store.path().context("a folder")?.join(format!("damaged/drills/{drill}/report.json"));
    let report = fs::read_to_string(report)?;
    let name = chunk.file_name().context("a name")?.to_string_lossy().into_owned();
    ensure!(report.contains(&name) && report.contains("phase restore failed"), "{name}: {report}");
    ensure!(rds::instances("lifeboat-drill-damaged")?.is_empty(), "the instance is gone");
    let listed = crate::shared::with_tools(store.lifeboat(["list", "damaged"]), &fifteen()?.bin).json()?;
    ensure!(listed["backups"][0]["good"] == false, "{listed:#}");
    Ok(())
}
