//! Two sweeps, for the charts: throughput against workers, memory against the size of a row.

use anyhow::Result;
use lifeboat_tests::StoreUnderTest;

use crate::{
    results::Line,
    setting::{Bench, SHOP, create_rows},
};

const WORKERS: [u32; 6] = [1, 2, 3, 4, 6, 8];

/// Sizes of a row, MB.
const ROWS: [u32; 5] = [1, 10, 50, 200, 500];

/// MB of COPY text a second, for each number of workers.
pub(crate) fn throughput(bench: &Bench, raw_bytes: u64) -> Result<Vec<Line>> {
    let rate = |wall: f64| raw_bytes as f64 / 1e6 / wall;
    let mut lines: Vec<Line> = Vec::new();
    let mut add = |name, workers: u32, wall| {
        let point = (f64::from(workers), rate(wall));
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name, points: vec![point] }),
        }
    };
    for workers in WORKERS {
        eprintln!("throughput with {workers} workers …");
        let jobs = workers.to_string();
        let dump = |codec| -> Result<f64> {
            let store = StoreUnderTest::folder()?;
            Ok(bench.dump(&store, SHOP, &["--compress", codec, "--jobs", &jobs])?.wall)
        };
        add("lifeboat zstd:1", workers, dump("zstd:1")?);
        add("lifeboat zstd:3", workers, dump("zstd:3")?);
        add("pg_dump 17 -Fd zstd:3", workers, bench.newest(SHOP, workers)?.wall);
        add("raw COPY", workers, bench.raw(SHOP, workers)?.wall);
    }
    Ok(lines)
}

/// Peak MiB with 4 workers, for each size of a row.
pub(crate) fn memory(bench: &Bench) -> Result<Vec<Line>> {
    let (mut folder, mut minio) = (Vec::new(), Vec::new());
    for megabytes in ROWS {
        eprintln!("memory with a row of {megabytes} MB …");
        let database = format!("rows_of_{megabytes}");
        bench.cluster.create_database(&database)?;
        create_rows(&bench.cluster, &database, megabytes * 1_000_000)?;
        for (store, points) in [(StoreUnderTest::folder()?, &mut folder), (StoreUnderTest::minio()?, &mut minio)] {
            let measured = bench.dump(&store, &database, &["--compress", "zstd:1", "--jobs", "4"])?;
            points.push((f64::from(megabytes), measured.peak_mib));
        }
        bench.drop_database(&database)?;
    }
    Ok(vec![Line { name: "to a folder", points: folder }, Line { name: "to MinIO", points: minio }])
}

/// Bytes of COPY text in the shop, as a backup's manifest has it.
pub(crate) fn raw_bytes(bench: &Bench) -> Result<u64> {
    let store = StoreUnderTest::folder()?;
    bench.dump(&store, SHOP, &["--compress", "zstd:1", "--jobs", "2"])?;
    let shown = store.lifeboat(["show", "latest"]).database(&bench.cluster.url(SHOP)).json()?;
    Ok(find(&shown, "raw_bytes").unwrap_or(0))
}

/// The largest number of this name in a document: the sum of the parts is larger than any part.
fn find(document: &serde_json::Value, name: &str) -> Option<u64> {
    let own = document.get(name).and_then(serde_json::Value::as_u64);
    let children: Vec<&serde_json::Value> = match document {
        serde_json::Value::Array(items) => items.iter().collect(),
        serde_json::Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    children.into_iter().filter_map(|child| find(child, name)).chain(own).max()
}
