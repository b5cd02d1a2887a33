//! The command as a person and a program use it.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::StoreUnderTest;
use serde_json::Value;

use crate::shared::{call, fifteen};

/// A table of whose rows nine in ten are dead, with an index that is as bloated, and one that is there twice.
fn bloated(database: &str) -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_database(database)?;
    cluster.sql(
        database,
        "CREATE TABLE \"Odd t\" (id int PRIMARY KEY, v text NOT NULL);
         INSERT INTO \"Odd t\" SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 200000) g;
         CREATE INDEX t_v ON \"Odd t\" (v); CREATE INDEX t_id ON \"Odd t\" (id);
         ANALYZE; DELETE FROM \"Odd t\" WHERE id % 10 <> 0",
    )?;
    Ok(())
}

fn statements(report: &Value) -> Result<Vec<&str>> {
    let lines = report["statements"].as_array().context("statements")?;
    lines.iter().map(|l| l["statement"].as_str().context("statement")).collect()
}

#[test]
fn a_dry_run_prints_what_is_then_run_and_changes_nothing() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    bloated("care_dry")?;
    let arguments = ["maintenance", "--vacuum", "--analyze", "--reindex"];
    let dry = |more: &[&str]| call(&store, "care_dry", &[&arguments[..], &["--dry-run"][..], more].concat());
    let planned = dry(&[])?.json()?;
    ensure!(planned["dry_run"] == true && planned["report_key"].is_null(), "{planned:#}");
    let text = dry(&[])?.run()?.expect(0)?.stdout;
    for statement in statements(&planned)? {
        ensure!(text.contains(&format!("{statement};\n")), "{statement} is not in {text}");
    }
    ensure!(text.contains("dead tuples (90 %)") && text.contains("This is a dry run: nothing was changed."), "{text}");
    let size = "SELECT pg_relation_size('t_v')::text || ' ' || pg_stat_get_dead_tuples('\"Odd t\"'::regclass)";
    let before = fifteen()?.sql("care_dry", size)?;
    ensure!(before.ends_with(" 180000\n"), "{before}");

    let done = call(&store, "care_dry", &arguments)?.json()?;
    ensure!(statements(&done)? == statements(&planned)?, "{planned:#}\n{done:#}");
    ensure!(statements(&done)?[0].ends_with("\"public\".\"Odd t\""), "{done:#}");
    ensure!(done["statements"].as_array().is_some_and(|s| s.iter().all(|s| s["outcome"] == "done")), "{done:#}");
    ensure!(done["reclaimed_bytes"].as_i64() > Some(10 << 20), "{done:#}");
    let advice = |report: &Value, code: &str| {
        let all = report["recommendations"].as_array().into_iter().flatten();
        all.filter(|a| a["code"] == code)
            .filter_map(|a| a["statements"].as_array().cloned())
            .flatten()
            .collect::<Vec<_>>()
    };
    ensure!(advice(&done, "duplicate_index") == ["DROP INDEX CONCURRENTLY \"public\".\"t_id\";"], "{done:#}");
    ensure!(advice(&done, "bloated_table") == ["VACUUM (FULL) \"public\".\"Odd t\";"], "{done:#}");

    // The report is kept where it says.
    let key = done["report_key"].as_str().context("key")?;
    let kept = store.path().context("a folder")?.join(".control").join(key);
    let kept: Value = serde_json::from_slice(&std::fs::read(&kept).with_context(|| kept.display().to_string())?)?;
    ensure!(kept["run_id"] == done["run_id"] && kept["statements"] == done["statements"]);

    let again = call(&store, "care_dry", &arguments)?.run()?.expect(0)?.stdout;
    ensure!(again.contains("Nothing to do: no table or index needs vacuum, analyze, reindex."), "{again}");
    Ok(())
}

#[test]
fn what_shuts_everybody_out_is_named_and_asked_for() -> Result<()> {
    let store = StoreUnderTest::folder()?;
    bloated("care_full")?;
    let full = |more: &[&str]| call(&store, "care_full", &[&["maintenance", "--full"][..], more].concat());
    full(&[])?.run()?.expect(2)?;
    let asked = full(&["--table", "\"Odd t\""])?.run()?.expect(9)?;
    ensure!(
        asked.stderr.contains("shuts everybody out of public.Odd t") && asked.stderr.contains("--yes"),
        "{asked:?}"
    );
    ensure!(asked.stderr.contains("MiB of free disk"), "{asked:?}");
    let size = || {
        fifteen()?
            .sql("care_full", "SELECT pg_relation_size('\"Odd t\"')")
            .map(|s| s.trim().parse::<u64>().unwrap_or(0))
    };
    let before = size()?;
    let done = full(&["--table", "\"Odd t\"", "--yes"])?.run()?.expect(0)?;
    ensure!(done.stdout.contains("VACUUM (FULL) \"public\".\"Odd t\""), "{done:?}");
    ensure!(size()? * 5 < before, "{} of {before}", size()?);
    Ok(())
}

#[test]
fn checks_only_look_and_no_store_is_needed() -> Result<()> {
    bloated("care_checks")?;
    let cluster = fifteen()?;
    let call = |arguments: &[&str]| lifeboat_tests::Lifeboat::new(arguments).database(&cluster.url("care_checks"));
    let seen = call(&["maintenance", "--check-bloat", "--check-queries"]).run()?.expect(0)?.stdout;
    for word in
        ["TABLE", "public.Odd t", "INDEX", "public.t_v", "sessions of this database", "estimated: the extension"]
    {
        ensure!(seen.contains(word), "no {word} in {seen}");
    }
    let done = call(&["maintenance", "--vacuum", "--table", "public.Odd t"]).run()?.expect(0)?.stdout;
    ensure!(done.contains("done") && done.contains("180,000 → 0"), "{done}");
    let missing = call(&["maintenance", "--table", "gone", "--dry-run"]).run()?.expect(2)?;
    ensure!(missing.stderr.contains("there is no table gone"), "{missing:?}");
    Ok(())
}
