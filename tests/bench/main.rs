//! `make bench`: our dump, verify and restore beside PostgreSQL's own tools, on one database in one run.

#![allow(clippy::cast_precision_loss, reason = "bytes and ticks become figures of three digits")]

mod cases;
mod measure;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};

/// What a run is asked for.
struct Options {
    /// Size of the shop; 6 makes a database of about 1.2 GB.
    scale: String,
    /// How often each case is measured; medians are told.
    rounds: usize,
    /// Where the JSON goes.
    json: PathBuf,
}

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self { scale: "6".to_owned(), rounds: 3, json: PathBuf::from("target/bench.json") };
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--scale" => options.scale = value,
                "--rounds" => options.rounds = value.parse().context("--rounds wants a number")?,
                "--json" => options.json = PathBuf::from(value),
                other => anyhow::bail!("unknown option {other}; known: --scale N, --rounds N, --json FILE"),
            }
        }
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse()?;
    let results = cases::run(&options.scale, options.rounds).await?;
    table::print(&results);
    if let Some(folder) = options.json.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.json, serde_json::to_vec_pretty(&table::json(&results))?)?;
    eprintln!("figures as JSON: {}", options.json.display());
    Ok(())
}
