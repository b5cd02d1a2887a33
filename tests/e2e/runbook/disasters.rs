//! Seven disasters, made real, and the runbook's way out of each, to the last check.

use std::{fs, io::Write, os::unix::fs::FileExt};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Cluster, StoreUnderTest, cluster::run, stores::minio};

use super::place::{DB, Desk};
use crate::shared::fifteen;

/// Orders with their lines: what a mistake in one table takes with it in another.
const SHOP: &str = "
    CREATE TABLE public.orders (id bigint PRIMARY KEY, customer text NOT NULL, total numeric(10, 2) NOT NULL);
    INSERT INTO public.orders SELECT n, 'customer ' || n % 97, n * 1.25 FROM generate_series(1, 5000) AS n;
    CREATE TABLE public.audit (at timestamptz DEFAULT now(), what text) WITH (autovacuum_enabled = false);
    INSERT INTO public.audit (what) SELECT repeat('seen ', 40) || n FROM generate_series(1, 3000) AS n;";

/// What tells whether the orders are as they were.
const ORDERS: &str = "SELECT count(*) || ' ' || sum(total) FROM public.orders";

/// Makes a database and its first backup.
fn shop(server: &Cluster, database: &str, desk: &Desk) -> Result<String> {
    server.create_database(database)?;
    server.sql(database, SHOP)?;
    backup(desk)?;
    ask(server, database, ORDERS)
}

/// The one value that a query gives.
fn ask(server: &Cluster, database: &str, sql: &str) -> Result<String> {
    Ok(server.sql(database, sql)?.trim_end().to_owned())
}

fn backup(desk: &Desk) -> Result<()> {
    desk.bash("lifeboat dump $DB --database-url \"$SERVER/$LIVE\"").map(drop)
}

/// The ids of the backups, newest first.
fn ids(desk: &Desk) -> Result<Vec<String>> {
    let listed = desk.bash("lifeboat list $DB --output json 2>/dev/null")?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let backups = listed["backups"].as_array().context("backups")?;
    backups.iter().map(|b| Ok(b["backup_id"].as_str().context("an id")?.to_owned())).collect()
}

/// A server of this test's own, which can be lost.
async fn server() -> Result<Cluster> {
    Cluster::start(15).await
}

/// Nothing is left of a server: neither its process nor its files.
async fn lose(server: Cluster) -> Result<()> {
    let folder = server.server.folder().to_owned();
    server.server.stop().await.map_err(|e| anyhow::anyhow!("{e}"))?;
    ensure!(!folder.exists(), "{} is still there", folder.display());
    Ok(())
}

#[test]
fn the_procedure_for_corruption_works() -> Result<()> {
    let (server, live, store) = (fifteen()?, "runbook_corruption", StoreUnderTest::folder()?);
    let desk = Desk::at(server, live, &store)?;
    let before = shop(server, live, &desk)?;

    // VACUUM FULL writes the table's file past the server's memory, and with this setting the commit does not read it back: nobody
    // has read its first block since.
    let mut psql = server.tool("psql", live);
    run(psql.env("PGOPTIONS", "-c wal_skip_threshold=0").args(["-c", "VACUUM FULL public.audit"]))?;
    let file = ask(server, live, "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('audit')")?;
    fs::OpenOptions::new().write(true).open(file)?.write_all_at(&[0xA5; 8192], 0)?;
    let damaged = server.sql(live, "SELECT count(*) FROM public.audit").unwrap_err();
    ensure!(format!("{damaged:#}").contains("invalid page"), "{damaged:#}");

    let said = desk.carry_out("corruption")?;
    ensure!(said.contains("invalid page") && said.contains("damaged: see the table named above"), "{said}");
    ensure!(ask(server, live, "SELECT count(*) FROM public.audit")? == "3000", "{said}");
    ensure!(ask(server, live, ORDERS)? == before, "{said}");
    // The damaged one waits for whoever looks into the cause.
    let old = server.sql("runbook_corruption_lifeboat_old", "SELECT count(*) FROM public.audit").unwrap_err();
    ensure!(format!("{old:#}").contains("invalid page"), "{old:#}");
    ensure!(ids(&desk)?.len() == 2 && said.contains("fresh"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedure_for_a_lost_server_works() -> Result<()> {
    let (first, store) = (server().await?, StoreUnderTest::folder()?);
    let mut desk = Desk::at(&first, DB, &store)?;
    first.sql("postgres", "CREATE ROLE shop_owner LOGIN; CREATE ROLE reader")?;
    let before = shop(&first, DB, &desk)?;
    first.sql(DB, "ALTER TABLE public.orders OWNER TO shop_owner; GRANT SELECT ON public.orders TO reader")?;
    backup(&desk)?;
    lose(first).await?;

    let second = server().await?;
    desk.go_to(&second)?;
    let said = desk.carry_out("server-lost")?;
    ensure!(ask(&second, DB, ORDERS)? == before, "{said}");
    let owner = "SELECT tableowner FROM pg_tables WHERE tablename = 'orders'";
    ensure!(ask(&second, DB, owner)? == "shop_owner", "{said}");
    ensure!(ask(&second, DB, "SELECT has_table_privilege('reader', 'orders', 'SELECT')")? == "t", "{said}");
    ensure!(ids(&desk)?.len() == 3 && said.contains("fresh"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedure_for_a_lost_region_works() -> Result<()> {
    let (first, store, replica) = (server().await?, StoreUnderTest::minio()?, StoreUnderTest::minio()?);
    let mut desk = Desk::at(&first, DB, &store)?;
    let before = shop(&first, DB, &desk)?;
    // What replication does all the time; then the region goes, with server and bucket.
    desk.set("AWS_ENDPOINT_URL", &minio()?.endpoint);
    desk.set("REPLICA", &replica.url);
    let bucket = |store: &StoreUnderTest| store.url.trim_end_matches("/pg").to_owned();
    desk.bash(&format!("aws s3 sync --only-show-errors {} {}", bucket(&store), bucket(&replica)))?;
    desk.bash(&format!("aws s3 rb --force {} >/dev/null", bucket(&store)))?;
    lose(first).await?;
    ensure!(desk.bash("lifeboat list $DB").is_err(), "the bucket is still there");

    let second = server().await?;
    desk.go_to(&second)?;
    let said = desk.carry_out("region-lost")?;
    ensure!(ask(&second, DB, ORDERS)? == before, "{said}");
    desk.set("LIFEBOAT_STORE", &replica.url);
    ensure!(ids(&desk)?.len() == 2 && said.contains("fresh"), "{said}");
    Ok(())
}

#[test]
fn the_procedure_for_rows_deleted_by_mistake_works() -> Result<()> {
    let (server, live, store) = (fifteen()?, "runbook_rows", StoreUnderTest::folder()?);
    let mut desk = Desk::at(server, live, &store)?;
    shop(server, live, &desk)?;
    // The application goes on: a new order, a changed one; and somebody forgets a WHERE's other half.
    server.sql(live, "INSERT INTO orders VALUES (9001, 'new', 10); UPDATE orders SET total = 1 WHERE id = 7")?;
    server.sql(live, "DELETE FROM orders WHERE id BETWEEN 1000 AND 1999")?;

    desk.set("TABLE", "public.orders");
    let said = desk.carry_out("rows-deleted")?;
    ensure!(said.contains("-- missing in live: {\"id\":1000}") && said.contains("-- changed: {\"id\":7}"), "{said}");
    ensure!(ask(server, live, "SELECT count(*) FROM orders")? == "5001", "{said}");
    ensure!(ask(server, live, "SELECT sum(total) FROM orders WHERE id BETWEEN 1000 AND 1999")? == "1874375.00");
    ensure!(ask(server, live, "SELECT total FROM orders WHERE id = 7")? == "1.00", "a change since was overwritten");
    let left = "SELECT count(*) FROM pg_database WHERE datname LIKE 'runbook_rows_%'";
    ensure!(ask(server, "postgres", left)? == "0", "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_procedure_for_a_security_breach_works() -> Result<()> {
    let (first, store) = (server().await?, StoreUnderTest::folder()?);
    let mut desk = Desk::at(&first, DB, &store)?;
    first.sql("postgres", "CREATE ROLE app SUPERUSER LOGIN PASSWORD 'stolen'")?;
    let before = shop(&first, DB, &desk)?;
    let safe = ids(&desk)?.remove(0);
    // With the stolen password: a way in for later, money moved, and a nightly backup taken of all that. Then the
    // intruder comes at the store, too.
    first.sql("postgres", "CREATE ROLE backdoor SUPERUSER LOGIN PASSWORD 'x'")?;
    first.sql(DB, "UPDATE orders SET total = 0")?;
    backup(&desk)?;
    let newest = ids(&desk)?.remove(0);
    let folder = store.path().context("a folder")?.join(DB).join(&newest);
    fs::OpenOptions::new().append(true).open(folder.join("globals.sql"))?.write_all(b"-- me\n")?;

    desk.set("ROLE", "app");
    let contained = desk.carry_out("breach-contain")?;
    ensure!(contained.contains("backdoor") && contained.contains("changed or removed: see above"), "{contained}");
    ensure!(ask(&first, "postgres", "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app'")? == "f");

    let second = server().await?;
    desk.go_to(&second)?;
    desk.set("SAFE", &safe);
    let said = desk.carry_out("breach-restore")?;
    ensure!(ask(&second, DB, ORDERS)? == before, "{said}");
    ensure!(ask(&second, "postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'backdoor'")? == "0", "{said}");
    // Nobody can log in with what was stolen: passwords are in no backup.
    let login = desk.bash("PGUSER=app PGPASSWORD=stolen psql -d postgres -c 'SELECT 1'");
    ensure!(login.is_err(), "the stolen password opens the new server");
    ensure!(said.contains("fresh"), "{said}");
    Ok(())
}

#[test]
fn the_procedure_for_a_bad_deployment_works() -> Result<()> {
    let (server, live, store) = (fifteen()?, "runbook_deployment", StoreUnderTest::folder()?);
    let desk = Desk::at(server, live, &store)?;
    let before = shop(server, live, &desk)?;
    desk.carry_out("deployment-before")?;
    server.sql(live, "ALTER TABLE orders DROP COLUMN customer; UPDATE orders SET total = total / 100")?;
    let broken = ask(server, live, ORDERS)?;

    let said = desk.carry_out("deployment-after")?;
    ensure!(ask(server, live, ORDERS)? == before, "{said}");
    ensure!(ask(server, live, "SELECT customer FROM orders WHERE id = 98")? == "customer 1", "{said}");
    // What was written since can still be fetched, and the way back is open.
    ensure!(ask(server, "runbook_deployment_lifeboat_old", "SELECT count(*) FROM orders")? == "5000");
    let said = desk.carry_out("deployment-back")?;
    ensure!(ask(server, live, ORDERS)? == broken, "{said}");
    ensure!(ask(server, "runbook_deployment_lifeboat_undone", ORDERS)? == before, "{said}");
    Ok(())
}

#[test]
fn the_procedure_for_a_removed_backup_works() -> Result<()> {
    let (server, live, store) = (fifteen()?, "runbook_removed", StoreUnderTest::minio()?);
    let mut desk = Desk::at(server, live, &store)?;
    let bucket = store.url.trim_start_matches("s3://").trim_end_matches("/pg").to_owned();
    desk.set("AWS_ENDPOINT_URL", &minio()?.endpoint);
    desk.set("BUCKET", &bucket);
    desk.bash("aws s3api put-bucket-versioning --bucket $BUCKET --versioning-configuration Status=Enabled")?;
    shop(server, live, &desk)?;
    let id = ids(&desk)?.remove(0);
    desk.set("ID", &id);
    desk.set("FOLDER", &format!("pg/{DB}/{id}/"));
    // A policy that wants nothing, and no grace: the first run says that the backup goes, the second tags it.
    let tier = "{ keep = 0 }";
    let policy = format!("daily = {tier}\nweekly = {tier}\nmonthly = {tier}\nmin_good = 1\ngrace_days = 0\n");
    let file = desk.folder().join("lifeboat.toml");
    fs::write(&file, format!("[databases.{DB}.retention]\n{policy}"))?;
    desk.set("LIFEBOAT_CONFIG", &file.display().to_string());
    backup(&desk)?;
    desk.bash("lifeboat retention apply $DB --yes && lifeboat retention apply $DB --yes")?;
    // What the lifecycle rule does a day later.
    let listed = desk.bash("aws s3 ls --recursive s3://$BUCKET/$FOLDER")?;
    for key in listed.lines().filter_map(|line| line.split_whitespace().nth(3)) {
        let tags = desk.bash(&format!("aws s3api get-object-tagging --bucket $BUCKET --key {key} --output text"))?;
        if tags.contains("lifeboat-expire") {
            desk.bash(&format!("aws s3api delete-object --bucket $BUCKET --key {key}"))?;
        }
    }
    ensure!(!ids(&desk)?.contains(&id), "the backup is still listed");

    let said = desk.carry_out("removed-backup")?;
    ensure!(ids(&desk)?.contains(&id), "{said}");
    let tags = desk.bash("aws s3api get-object-tagging --bucket $BUCKET --key ${FOLDER}manifest.json --output text")?;
    ensure!(!tags.contains("lifeboat-expire"), "{tags}");
    // Held, it stays, whatever the policy wants.
    let plan = desk.bash("lifeboat retention plan $DB")?;
    ensure!(plan.lines().any(|line| line.starts_with("keep") && line.contains(&id)), "{plan}");
    Ok(())
}
