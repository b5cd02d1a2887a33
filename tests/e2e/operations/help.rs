//! What every command owes whoever has never used it: examples in its help, and one document for programs.

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{Lifeboat, StoreUnderTest};
use serde_json::Value;

fn help(command: &[String]) -> Result<String> {
    let call = Lifeboat::new(command).args(["--help"]);
    let ended = call.run()?.expect(0)?;
    ensure!(ended.stderr.is_empty(), "{ended:?}");
    Ok(ended.stdout)
}

/// The commands that a help text names.
fn commands_in(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_help_has_an_example_of_its_own_command() -> Result<()> {
    let mut to_see: Vec<Vec<String>> = vec![Vec::new()];
    let mut seen = 0;
    while let Some(command) = to_see.pop() {
        let text = help(&command)?;
        let name = ["lifeboat".to_owned()].iter().chain(&command).cloned().collect::<Vec<_>>().join(" ");
        let (_, examples) = text.split_once("\nExample").with_context(|| format!("{name} has no example: {text}"))?;
        ensure!(examples.contains(&name), "{name}: no example of it in {examples}");
        for inner in commands_in(&text) {
            to_see.push(command.iter().cloned().chain([inner]).collect());
        }
        seen += 1;
    }
    ensure!(seen >= 20, "only {seen} commands were seen");
    Ok(())
}

#[test]
fn programs_get_one_document_even_where_there_is_nothing_to_tell() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = StoreUnderTest::folder()?;
    std::fs::create_dir(store.path().context("a folder")?)?;
    let commands: [&[&str]; 9] = [
        &["list"],
        &["status"],
        &["status", "--format", "text"],
        &["verify", "all"],
        &["retention", "plan"],
        &["retention", "apply"],
        &["config", "check"],
        &["completions", "bash"],
        &["completions", "zsh"],
    ];
    for arguments in commands {
        let document = store.lifeboat(arguments).json().with_context(|| arguments.join(" "))?;
        ensure!(document.is_object() && document.get("error").is_none(), "{arguments:?}: {document:#}");
    }
    let lint = store.lifeboat(["retention", "lint", "orders"]).json()?;
    ensure!(lint["databases"][0]["findings"] == Value::Array(Vec::new()), "{lint:#}");
    // `json` may stand anywhere, and logs do not mix with it.
    let first = Lifeboat::new(["--output", "json", "-vv", "list", "--store", &store.url]).env("TMPDIR", folder.path());
    let ended = first.run()?.expect(0)?;
    serde_json::from_str::<Value>(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    Ok(())
}
