//! A swap under a running application, and the way back: short, and nothing that was acknowledged is lost.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::cluster::repository;

use super::{
    Emergency,
    application::{Application, TABLE},
};
use crate::shared::fifteen;

const OWNER_AND_SETTINGS: &str = "
SELECT pg_get_userbyid(datdba), shobj_description(d.oid, 'pg_database'), has_database_privilege('lb_reader', d.oid, 'TEMP'),
       has_database_privilege('lb_writer', d.oid, 'TEMP'), array_to_string(s.setconfig, ';')
FROM pg_database d LEFT JOIN pg_db_role_setting s ON s.setdatabase = d.oid AND s.setrole = 0 WHERE datname = current_database()";

fn written(emergency: &Emergency<'_>, database: &str) -> Result<BTreeSet<i64>> {
    let rows = emergency.server.sql(database, "SELECT id FROM public.written")?;
    Ok(rows.lines().map(str::parse).collect::<Result<_, _>>()?)
}

#[test]
fn a_swap_under_a_running_application_is_short_and_taken_back_loses_nothing() -> Result<()> {
    let server = fifteen()?;
    server.sql_file("postgres", &repository().join("tests/fixtures/roles.sql"))?;
    server.create_shop("swap_live", "0.02")?;
    server.sql("swap_live", TABLE)?;
    server.sql(
        "swap_live",
        "ALTER DATABASE swap_live OWNER TO lb_owner; COMMENT ON DATABASE swap_live IS 'the shop';
         REVOKE TEMP ON DATABASE swap_live FROM PUBLIC; GRANT TEMP ON DATABASE swap_live TO lb_reader;
         ALTER DATABASE swap_live SET search_path = shop, public; ALTER DATABASE swap_live SET work_mem = '7MB'",
    )?;
    let emergency = Emergency::of(server, "swap_live")?;
    let before = emergency.sql(OWNER_AND_SETTINGS)?;
    ensure!(before == "lb_owner|the shop|t|f|search_path=shop, public;work_mem=7MB", "{before}");
    // The disaster: a bad deployment has changed every price.
    emergency.sql("UPDATE shop.products SET price = 0.01")?;

    let application = Application::start(&server.url("swap_live"));
    application.writes_on(200)?;
    let planned = emergency.restore(&["kept/latest", "--swap", "--dry-run"]).json()?;
    ensure!(planned["kept_as"] == "swap_live_lifeboat_old" && planned["live"]["sessions"] == 1, "{planned:#}");
    ensure!(planned["predicted"]["seconds"].is_null(), "no drill has measured it: {planned:#}");

    application.forget_pauses()?;
    let outcome = emergency.restore(&["kept/latest", "--swap", "--yes"]).json()?;
    application.writes_on(200)?;
    let downtime = outcome["exchange"]["downtime_seconds"].as_f64().context("the downtime")?;
    let paused = application.told()?.longest_pause.as_secs_f64();
    println!("swap: {downtime:.3} s of downtime, the application paused for {paused:.3} s");
    ensure!(downtime > 0.0 && downtime < 5.0, "{downtime} s");
    ensure!(paused < downtime + 3.0, "the application paused for {paused} s, told were {downtime} s");
    ensure!(outcome["exchange"]["sessions_ended"].as_u64() >= Some(1), "{outcome:#}");
    ensure!(outcome["exchange"]["messages"] == serde_json::json!([]), "{outcome:#}");
    ensure!(emergency.databases()? == ["swap_live", "swap_live_lifeboat_old"], "{:?}", emergency.databases()?);
    ensure!(emergency.sql(OWNER_AND_SETTINGS)? == before, "owner, privileges, settings and comment of the archive");
    ensure!(emergency.sql("SELECT count(*) > 0 AND min(price) > 0.01 FROM products")? == "t", "the prices are back");

    let again = emergency.restore(&["kept/latest", "--swap", "--yes"]).run()?.expect(9)?;
    ensure!(again.stderr.contains("one way back only") && again.stderr.contains("--swap-back"), "{}", again.stderr);

    let unasked = emergency.restore(&["--swap-back"]).run()?.expect(9)?;
    ensure!(unasked.stderr.contains("--yes"), "{}", unasked.stderr);
    let back = emergency.restore(&["--swap-back", "--yes"]).json()?;
    application.writes_on(200)?;
    ensure!(back["kept_as"] == "swap_live_lifeboat_undone", "{back:#}");
    ensure!(back["exchange"]["downtime_seconds"].as_f64().is_some_and(|s| s < 5.0), "{back:#}");
    ensure!(emergency.sql("SELECT max(price) = 0.01 FROM shop.products")? == "t", "the old database is back");
    let told = application.stop()?;
    ensure!(told.connections >= 3, "it was thrown out twice: {}", told.connections);

    let (live, undone) = (written(&emergency, "swap_live")?, written(&emergency, "swap_live_lifeboat_undone")?);
    ensure!(!undone.is_empty() && live.len() > undone.len(), "{} and {}", live.len(), undone.len());
    let all: BTreeSet<i64> = live.union(&undone).copied().collect();
    let lost: Vec<_> = told.acknowledged.difference(&all).collect();
    ensure!(lost.is_empty(), "acknowledged and lost: {lost:?}");

    let none = emergency.restore(&["--swap-back", "--yes"]).run()?.expect(9)?;
    ensure!(none.stderr.contains("nothing was swapped, or it was taken back already"), "{}", none.stderr);
    Ok(())
}

#[test]
fn a_role_without_superuser_swaps_what_it_owns() -> Result<()> {
    let server = fifteen()?;
    server.sql_file("postgres", &repository().join("tests/fixtures/roles.sql"))?;
    server.create_database_with("swap_owned", "OWNER lb_restore")?;
    server.sql("swap_owned", "SET ROLE lb_restore; CREATE SCHEMA s; CREATE TABLE s.t AS SELECT 1 AS id")?;
    let emergency = Emergency::of(server, "swap_owned")?;
    emergency.sql("DELETE FROM s.t")?;
    let url = format!("postgres://lb_restore@127.0.0.1:{}/swap_owned", server.port());
    let call = |arguments: &[&str]| {
        let call = emergency.call(&["restore", "--to", &url, "--yes"]).args(arguments.iter().copied());
        call.env("PGPASSWORD", "lb-restore-secret")
    };
    call(&["kept/latest", "--swap"]).run()?.expect(0)?;
    ensure!(emergency.sql("SELECT count(*) FROM s.t")? == "1", "the row is back");
    call(&["--swap-back"]).run()?.expect(0)?;
    ensure!(emergency.sql("SELECT count(*) FROM s.t")? == "0", "the way back was taken");
    Ok(())
}

#[test]
fn a_backup_of_a_database_of_another_name_is_swapped_in_with_its_owner_and_settings() -> Result<()> {
    let server = fifteen()?;
    server.create_database("swap_production")?;
    server.sql("swap_production", "CREATE TABLE t (); ALTER DATABASE swap_production SET work_mem = '9MB'")?;
    let production = Emergency::of(server, "swap_production")?;
    server.create_database("swap_staging")?;
    let emergency = Emergency { database: "swap_staging".to_owned(), ..production };
    // While another database has that name, its statements must not reach it.
    server.sql("postgres", "ALTER DATABASE swap_production SET work_mem = '8MB'")?;
    let outcome = emergency.restore(&["kept/latest", "--swap", "--yes"]).json()?;
    let messages = outcome["exchange"]["messages"].as_array().context("messages")?;
    ensure!(
        messages.len() == 1 && messages[0]["text"].as_str().is_some_and(|t| t.contains("were not set")),
        "{outcome:#}"
    );
    ensure!(server.sql("swap_production", "SHOW work_mem")?.trim() == "8MB", "the other database is as it was");
    emergency.restore(&["--swap-back", "--yes"]).run()?.expect(0)?;
    server.sql("postgres", "DROP DATABASE swap_staging_lifeboat_undone")?;
    server.sql("postgres", "DROP DATABASE swap_production")?;
    let outcome = emergency.restore(&["kept/latest", "--swap", "--yes"]).json()?;
    ensure!(outcome["exchange"]["messages"] == serde_json::json!([]), "{outcome:#}");
    ensure!(emergency.sql("SHOW work_mem")? == "9MB", "the archive's setting");
    let patience = Duration::from_secs(5);
    lifeboat_tests::program::wait_until("no session is left", patience, || {
        let left = server.lifeboat_sessions()?;
        Ok(!left.iter().any(|session| session.contains("swap_staging")))
    })
}
