//! `make invoke`: one function, on the running stack, with one of the repository's events, through cargo-lambda.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use lifeboat_tests::{
    cluster::repository,
    emulator::{Functions, Invoked},
};

use crate::folder::Folder;

fn events(function: &str) -> PathBuf {
    repository().join("events").join(function)
}

/// Names the cases of a function.
pub(crate) fn list(function: &str) -> Result<()> {
    let cases = cases(function)?;
    println!("Cases of {function}, from {}:", events(function).display());
    for case in cases {
        println!("  make invoke FN={function} CASE={case}");
    }
    Ok(())
}

fn cases(function: &str) -> Result<Vec<String>> {
    let functions = names(&events("."))?;
    let known = || functions.iter().filter(|name| name.as_str() != "schema").map(String::as_str);
    ensure!(
        known().any(|k| k == function),
        "no function '{function}'; known: {}",
        known().collect::<Vec<_>>().join(", ")
    );
    Ok(names(&events(function))?.iter().filter_map(|name| name.strip_suffix(".json").map(str::to_owned)).collect())
}

/// What lies in a folder, sorted.
fn names(folder: &std::path::Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut names =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// Invokes the function, prints its answer, and fails where it does.
pub(crate) fn run(folder: &Folder, function: &str, case: &str) -> Result<()> {
    let known = cases(function)?;
    ensure!(known.iter().any(|k| k == case), "no case '{case}' of {function}; known: {}", known.join(", "));
    let state = if folder.is_served()? { folder.state() } else { None };
    let state = state.context("the stack is not up: `make up` starts it")?;
    let environment = state["environment"].as_object().context("the state has no environment")?;
    let environment =
        environment.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let mut functions = Functions::start(tempfile::tempdir()?, environment)?;
    functions.serve(function, 1, &[])?;
    let invoked = functions.invoke(function, &format!("{case}.json"))?;
    eprint!("{}", functions.log(&format!("{function}-0.log")));
    match invoked {
        Invoked::Answer(answer) => println!("{answer:#}"),
        Invoked::Error(error) => bail!("{function} failed: {error}"),
    }
    Ok(())
}
