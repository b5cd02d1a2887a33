//! Which crate may know which (DESIGN §4), read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use lifeboat_tests::cluster::{repository, run};
use serde_json::Value;

/// For each crate, the crates of the workspace that it may depend on outside its tests.
const ALLOWED: [(&str, &[&str]); 11] = [
    ("lifeboat-archive", &[]),
    ("lifeboat-aws", &["lifeboat-core"]),
    ("lifeboat-channels", &["lifeboat-core"]),
    ("lifeboat-core", &["lifeboat-archive"]),
    ("lifeboat-postgres", &["lifeboat-archive", "lifeboat-core"]),
    ("lifeboat-store", &["lifeboat-archive", "lifeboat-core"]),
    ("lifeboat-testkit", &["lifeboat-archive", "lifeboat-core"]),
    (
        "lifeboat-runtime",
        &[
            "lifeboat-archive",
            "lifeboat-aws",
            "lifeboat-channels",
            "lifeboat-core",
            "lifeboat-postgres",
            "lifeboat-store",
        ],
    ),
    (
        "lifeboat-functions",
        &["lifeboat-archive", "lifeboat-core", "lifeboat-postgres", "lifeboat-store", "lifeboat-runtime"],
    ),
    ("lifeboat-cli", &["lifeboat-archive", "lifeboat-core", "lifeboat-postgres", "lifeboat-store", "lifeboat-runtime"]),
    (
        "lifeboat-tests",
        &[
            "lifeboat-archive",
            "lifeboat-core",
            "lifeboat-postgres",
            "lifeboat-runtime",
            "lifeboat-store",
            "lifeboat-testkit",
        ],
    ),
];

/// Crates by which something from outside would come into the domain.
const NOT_IN_CORE: [&str; 7] =
    ["aws-config", "aws-sdk-s3", "lambda_runtime", "tokio-postgres", "clap", "rand", "tracing-subscriber"];

/// Direct dependencies of each workspace crate, without those of its tests.
fn dependencies() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.current_dir(repository()).args(["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&run(&mut command)?)?;
    let packages = metadata["packages"].as_array().context("packages")?;
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    Ok(packages
        .iter()
        .map(|package| {
            let direct = package["dependencies"].as_array().into_iter().flatten();
            (name(package), direct.filter(|d| d["kind"] != "dev").map(name).collect())
        })
        .collect())
}

#[test]
fn crates_depend_only_on_what_the_design_allows() -> Result<()> {
    let dependencies = dependencies()?;
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    let found: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(found, known, "a crate was added or removed: say here what it may depend on");
    for (name, allowed) in ALLOWED {
        for dependency in dependencies[name].iter().filter(|d| d.starts_with("lifeboat-")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not depend on {dependency}");
        }
    }
    Ok(())
}

#[test]
fn the_domain_knows_no_cloud_no_sql_and_no_environment() -> Result<()> {
    let dependencies = dependencies()?;
    for foreign in NOT_IN_CORE {
        assert!(!dependencies["lifeboat-core"].contains(foreign), "lifeboat-core must not depend on {foreign}");
    }
    for (name, _) in
        ALLOWED.iter().filter(|(name, _)| !matches!(*name, "lifeboat-runtime" | "lifeboat-tests" | "lifeboat-testkit"))
    {
        let folder = match *name {
            "lifeboat-functions" => "functions".to_owned(),
            "lifeboat-cli" => "cli/src".to_owned(),
            other => format!("shared/{}/src", other.trim_start_matches("lifeboat-")),
        };
        let mut command = std::process::Command::new("grep");
        command.current_dir(repository()).args([
            "-rnE",
            r"env::(var|vars|var_os|vars_os)\b",
            "--include=*.rs",
            &folder,
        ]);
        let output = command.output()?;
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(found.is_empty(), "only lifeboat-runtime reads the environment:\n{found}");
    }
    Ok(())
}
