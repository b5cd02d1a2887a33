//! Hooks around a restore: before anything is changed, and after every ending that began.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Ended, sinks};
use tempfile::TempDir;

use super::Emergency;
use crate::shared::fifteen;

/// A configuration with one target, whose hooks write to a log.
struct Target<'a> {
    emergency: Emergency<'a>,
    folder: TempDir,
}

impl Target<'_> {
    fn new(database: &str) -> Result<Self> {
        let server = fifteen()?;
        server.create_database(database)?;
        server.sql(database, "CREATE TABLE t AS SELECT 1 AS id")?;
        let emergency = Emergency::of(server, database)?;
        emergency.sql("TRUNCATE t")?;
        Ok(Self { emergency, folder: tempfile::tempdir()? })
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn logged(&self) -> Vec<String> {
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        drop(fs::remove_file(self.log()));
        text.lines().map(str::to_owned).collect()
    }

    /// A hook that notes its word, how it is called and what it is told.
    fn noting(&self, word: &str) -> String {
        let script = format!(
            "echo {word} $LIFEBOAT_RESTORE_STAGE $LIFEBOAT_RESTORE_OUTCOME $LIFEBOAT_RESTORE_DATABASE >> {}",
            self.log().display()
        );
        format!("{{ command = [\"/bin/sh\", \"-c\", \"{script}\"] }}")
    }

    fn swap(&self, keys: &str, arguments: &[&str]) -> Result<Ended> {
        let file = self.folder.path().join("lifeboat.toml");
        fs::write(&file, format!("[restore.targets.production]\nurl = {{ env = \"LIVE_URL\" }}\n{keys}\n"))?;
        let (server, database) = (self.emergency.server, &self.emergency.database);
        self.emergency
            .call(&["restore", "--target", "production", "--yes"])
            .args(arguments.iter().copied())
            .env("LIFEBOAT_CONFIG", &file)
            .env("LIVE_URL", server.url(database))
            .env("HOOK_URL", format!("{}/hooks/{database}", sinks::sinks()?.endpoint))
            .run()
    }
}

#[test]
fn hooks_run_around_the_exchange_and_a_failing_one_before_it_stops_everything() -> Result<()> {
    let target = Target::new("hooked_swap")?;
    let emergency = &target.emergency;
    let fails = "{ command = [\"/bin/sh\", \"-c\", \"echo no such unit >&2; exit 5\"] }";
    let keys = format!(
        "before = [{}, {fails}, {}]\nafter = [{}]",
        target.noting("stop"),
        target.noting("never"),
        target.noting("start")
    );
    let refused = target.swap(&keys, &["kept/latest", "--swap"])?.expect(9)?;
    ensure!(
        refused.stderr.contains("no such unit") && refused.stderr.contains("nothing was changed"),
        "{}",
        refused.stderr
    );
    ensure!(target.logged() == ["stop before kept", "start after failed kept"], "what was stopped is started again");
    emergency.expect_alone("after a hook that failed")?;

    let slow = "before = [{ command = [\"sleep\", \"600\"] }]\nhook_timeout = \"1s\"";
    let refused = target.swap(slow, &["kept/latest", "--swap"])?.expect(9)?;
    ensure!(refused.stderr.contains("did not end within 1 s"), "{}", refused.stderr);

    let keys = format!(
        "before = [{}, {{ webhook = {{ env = \"HOOK_URL\" }} }}]\nafter = [{}]\nanswers = \"{}/health\"",
        target.noting("stop"),
        target.noting("start"),
        sinks::sinks()?.endpoint
    );
    let done = target.swap(&keys, &["kept/latest", "--swap"])?.expect(0)?;
    ensure!(done.stdout.contains("--swap-back --target production"), "{}", done.stdout);
    ensure!(target.logged() == ["stop before kept", "start after succeeded kept"], "in order");
    let posts = sinks::posts_to("/hooks/hooked_swap")?;
    ensure!(posts.len() == 1 && posts[0]["body"].to_string().contains("before"), "{posts:?}");
    ensure!(!done.stderr.contains("/hooks/") && !done.stdout.contains("/hooks/"), "the webhook's address is a secret");
    ensure!(emergency.sql("SELECT count(*) FROM t")? == "1", "the row is back");

    target.swap(&keys, &["--swap-back"])?.expect(0)?;
    ensure!(target.logged() == ["stop before", "start after succeeded"], "the way back has them too");
    Ok(())
}

#[test]
fn an_address_that_does_not_answer_afterwards_is_told_although_the_data_are_in_place() -> Result<()> {
    let target = Target::new("hooked_silent")?;
    let keys = "answers = \"http://127.0.0.1:9/health\"\nanswers_within = \"1s\"";
    let ended = target.swap(keys, &["kept/latest", "--swap", "--output", "json"])?.expect(1)?;
    let outcome: serde_json::Value = serde_json::from_str(&ended.stdout).context("one document")?;
    let trouble = outcome["trouble"][0].as_str().context("trouble")?;
    ensure!(trouble.contains("http://127.0.0.1:9/health did not answer within 1 s"), "{trouble}");
    ensure!(outcome["kept_as"] == "hooked_silent_lifeboat_old", "the outcome is told all the same: {outcome:#}");
    ensure!(target.emergency.sql("SELECT count(*) FROM t")? == "1", "the row is back");
    Ok(())
}

#[test]
fn a_target_takes_only_the_databases_that_it_names() -> Result<()> {
    let target = Target::new("hooked_narrow")?;
    let refused = target.swap("databases = [\"billing\"]", &["kept/latest", "--swap"])?.expect(9)?;
    ensure!(
        refused.stderr.contains("backups of 'kept' may not be restored to target 'production'"),
        "{}",
        refused.stderr
    );
    let unknown = target.swap("", &["kept/latest", "--target", "production"])?;
    ensure!(unknown.code == 2, "{}", unknown.stderr);
    Ok(())
}
