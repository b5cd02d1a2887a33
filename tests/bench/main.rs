//! `make bench`: our dump, verify and restore beside PostgreSQL's own tools, on one server in one run.

#![allow(clippy::cast_precision_loss, reason = "bytes and ticks become figures of three digits")]

mod cases;
mod chart;
mod figures;
mod measure;
mod raw;
mod record;
mod results;
mod setting;
mod sweeps;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};

use cases::{CASES, ONCE};
use results::Results;
use setting::Bench;

/// What a run is asked for.
struct Options {
    /// Size of the shop; 6 makes a database of about 1.2 GB.
    scale: f64,
    /// How often each case is measured; medians are told.
    rounds: usize,
    /// Only cases in whose name one of these occurs; all if it is empty.
    only: Vec<String>,
    /// Whether the charts' sweeps are made.
    sweeps: bool,
    /// Where the record goes, and the date that it bears.
    record: Option<(PathBuf, String)>,
}

const KNOWN: &str = "--scale N, --rounds N, --only PART,PART…, --sweeps yes|no, --record FOLDER --date YYYY-MM-DD";

impl Options {
    fn parse() -> Result<Self> {
        let mut options = Self { scale: 6.0, rounds: 3, only: Vec::new(), sweeps: true, record: None };
        let (mut folder, mut date) = (None, None);
        let mut arguments = std::env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--scale" => options.scale = value.parse().context("--scale wants a number")?,
                "--rounds" => options.rounds = value.parse().context("--rounds wants a number")?,
                "--only" => options.only = value.split(',').map(str::to_owned).collect(),
                "--sweeps" => options.sweeps = value == "yes",
                "--record" => folder = Some(PathBuf::from(value)),
                "--date" => date = Some(value),
                other => anyhow::bail!("unknown option {other}; known: {KNOWN}"),
            }
        }
        options.record = match (folder, date) {
            (Some(folder), Some(date)) => Some((folder, date)),
            (None, None) => None,
            _ => anyhow::bail!("--record and --date belong together"),
        };
        Ok(options)
    }

    fn wants(&self, case: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|part| case.contains(part.as_str()))
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the tables are what this program is for")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, streams] = arguments.as_slice()
        && command == raw::COMMAND
    {
        return raw::run(streams.parse()?).await;
    }
    let options = Options::parse()?;
    let long = CASES.iter().any(|(name, _)| options.wants(name) && name.contains("500 MB"));
    let mut bench = Bench::start(options.scale, long).await?;
    let mut results = Results { setting: record::machine(), ..Results::default() };
    results.setting.extend(bench.described()?);
    results.setting.push(("rounds".to_owned(), format!("{}; ratios within a round, medians", options.rounds)));
    for round in 1..=options.rounds {
        for (name, run) in CASES {
            if options.wants(name) && (round == 1 || !ONCE.contains(&name)) {
                let measured = run(&mut bench).with_context(|| name.to_owned())?;
                eprintln!("round {round}: {name}: {:.2} s", measured.wall);
                results.add(name, measured);
            }
        }
    }
    if options.sweeps {
        let raw_bytes = sweeps::raw_bytes(&bench)?;
        results.throughput = sweeps::throughput(&bench, raw_bytes)?;
        results.memory = sweeps::memory(&bench)?;
    }
    println!("{}", table::markdown(&results));
    if let Some((folder, date)) = &options.record {
        record::write(&results, folder, date)?;
        eprintln!("the record is in {}", folder.display());
    }
    Ok(())
}
