//! Takes the commands out of the runbook, and sees to it that each block is either run or says why not.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_tests::cluster::repository;

/// What stands above a block that a test runs, with the name of its procedure.
const RUN: &str = "<!-- runbook: ";

/// What stands above one that none runs, with the reason.
const NOT_RUN: &str = "<!-- not run: ";

/// The procedures that tests carry out.
const PROCEDURES: [&str; 10] = [
    "breach-contain",
    "breach-restore",
    "corruption",
    "deployment-after",
    "deployment-back",
    "deployment-before",
    "region-lost",
    "removed-backup",
    "rows-deleted",
    "server-lost",
];

/// Every procedure's commands: its blocks, one after the other.
pub(super) fn procedures() -> Result<BTreeMap<String, String>> {
    let page = fs::read_to_string(repository().join("docs/RUNBOOK.md")).context("read the runbook")?;
    let mut procedures: BTreeMap<String, String> = BTreeMap::new();
    let mut lines = page.lines();
    let mut above = "";
    while let Some(line) = lines.next() {
        if line.starts_with("```sh") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if let Some(name) = above.strip_prefix(RUN).and_then(|rest| rest.strip_suffix(" -->")) {
                let commands = procedures.entry(name.to_owned()).or_default();
                for line in &block {
                    commands.extend([line, "\n"]);
                }
            } else if !above.starts_with(NOT_RUN) {
                bail!("this block is neither run by a test nor says why not:\n{}", block.join("\n"));
            }
        }
        above = line;
    }
    Ok(procedures)
}

/// The commands of one procedure.
pub(super) fn procedure(name: &str) -> Result<String> {
    procedures()?.remove(name).with_context(|| format!("the runbook has no procedure {name}"))
}

#[test]
fn every_block_of_the_runbook_is_run_or_says_why_not() -> Result<()> {
    let found = procedures()?;
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    ensure!(names == PROCEDURES, "the runbook's procedures are not those that tests carry out: {names:?}");
    Ok(())
}

#[test]
fn what_the_security_page_calls_proven_is_a_test_that_every_run_does() -> Result<()> {
    let page = fs::read_to_string(repository().join("docs/SECURITY.md"))?;
    let table = page.split("| claim | test |").nth(1).context("the table of what is proven")?;
    let table = table.split("\n\n").next().context("its end")?;
    let mut sources = String::new();
    let mut folders = vec![repository().join("shared"), repository().join("tests"), repository().join("cli")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push_str(&fs::read_to_string(&path)?);
            }
        }
    }
    let mut named = 0;
    for test in table.split('`').skip(1).step_by(2) {
        let before = sources.split_once(&format!("fn {test}(")).map(|(before, _)| before);
        let before = before.with_context(|| format!("{test} is named in docs/SECURITY.md and is no test"))?;
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        ensure!(!attributes.contains("#[ignore"), "{test} is named in docs/SECURITY.md and not run by `make test`");
        named += 1;
    }
    ensure!(named >= 10, "only {named} tests are named");
    Ok(())
}
