//! What a step does again, against a target that follows a script.

use std::{collections::HashSet, sync::Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use lifeboat_archive::toc::{Compression, CreatedAt, Extra, Format, Header};
use lifeboat_testkit::BackupBuilder;

use super::*;
use crate::{
    cancel::Cancel,
    ids::RunId,
    ports::{Clock, Entropy, Inventory, Ledger, TargetFacts, TargetWorker, Unwatched},
};

/// What one call of pg_restore does.
#[derive(Clone)]
struct Call {
    /// Entries that it makes, of those it is given.
    makes: &'static [i32],
    /// What it says: classification and text.
    says: Vec<(Classification, &'static str)>,
}

const DEADLOCK: (Classification, &str) = (Classification::Data, "ERROR:  deadlock detected");
const NOT_OURS: (Classification, &str) = (Classification::Ownership, "ERROR:  must be owner of event trigger e");

/// Follows the script of its calls; afterwards it has what these made.
struct Scripted {
    script: Mutex<std::vec::IntoIter<Call>>,
    asked: Mutex<Vec<(Vec<i32>, u32)>>,
    made: Mutex<HashSet<i32>>,
    /// Names and sizes of the data files that it was told of.
    staged: Mutex<Vec<(String, u64)>>,
    owner: &'static str,
}

fn entry(dump_id: i32, desc: &str, owner: &str) -> Entry {
    Entry {
        dump_id,
        had_dumper: false,
        table_oid: 0,
        oid: 0,
        tag: format!("entry {dump_id}").into(),
        desc: desc.into(),
        section: Section::PostData,
        defn: None,
        drop_stmt: None,
        copy_stmt: None,
        namespace: None,
        tablespace: None,
        table_am: None,
        relkind: None,
        owner: Some(owner.into()),
        with_oids: None,
        dependencies: Vec::new(),
        extra: Extra::Directory { file: Vec::new() },
    }
}

fn toc(owner: &str, kept: impl Fn(i32) -> bool) -> Toc {
    let all = [entry(1, "INDEX", owner), entry(2, "FK CONSTRAINT", owner), entry(3, "PUBLICATION", owner)];
    let header = Header {
        version: (1, 14, 0),
        int_size: 4,
        off_size: 8,
        format: Format::Directory,
        compression: Compression::Algorithm(0),
    };
    let entries = all.into_iter().filter(|e| kept(e.dump_id)).collect();
    Toc { header, created: CreatedAt::default(), dbname: None, remote_version: None, dump_version: None, entries }
}

#[async_trait]
impl Target for Scripted {
    async fn pg_restore(&self, step: &PgRestoreStep, _: &RunContext) -> Result<Vec<ToolMessage>> {
        self.asked.lock().unwrap().push((step.dump_ids.clone(), step.jobs));
        let call = self.script.lock().unwrap().next().expect("a call more than the script has");
        let made = call.makes.iter().filter(|id| step.dump_ids.contains(id));
        self.made.lock().unwrap().extend(made);
        let message =
            |(classification, text): (_, &str)| ToolMessage { classification, text: text.into(), entry: None };
        Ok(call.says.into_iter().map(message).collect())
    }

    async fn toc(&self) -> Result<Toc> {
        let made = self.made.lock().unwrap().clone();
        Ok(toc(self.owner, |id| made.contains(&id)))
    }

    async fn facts(&self) -> Result<TargetFacts> {
        unreachable!()
    }

    async fn stage(&self, _: Bytes, data_files: &[(String, u64)]) -> Result<()> {
        *self.staged.lock().unwrap() = data_files.to_vec();
        Ok(())
    }

    async fn worker(&self, _: Option<&str>) -> Result<Box<dyn TargetWorker>> {
        unreachable!()
    }

    async fn ledger(&self) -> Result<Arc<dyn Ledger>> {
        unreachable!()
    }

    async fn analyze(&self, _: u32, _: Option<&str>) -> Result<Vec<ToolMessage>> {
        unreachable!()
    }

    async fn inventory(&self) -> Result<Inventory> {
        unreachable!()
    }

    async fn assert(&self, _: &str) -> Result<bool> {
        unreachable!()
    }

    async fn orphans(&self) -> Result<Vec<(String, u64)>> {
        unreachable!()
    }

    async fn invalid_indexes(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn sequences_behind(&self) -> Result<Vec<(String, i64, i64)>> {
        unreachable!()
    }
}

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn monotonic_seconds(&self) -> f64 {
        0.0
    }
}

impl Entropy for Still {
    fn next(&self) -> u64 {
        0
    }
}

type Outcome = (Result<()>, Vec<(Vec<i32>, u32)>, Vec<Classification>);

fn scripted(script: Vec<Call>, owner: &'static str) -> Arc<Scripted> {
    Arc::new(Scripted {
        script: Mutex::new(script.into_iter()),
        asked: Mutex::default(),
        made: Mutex::default(),
        staged: Mutex::default(),
        owner,
    })
}

fn context() -> RunContext {
    RunContext {
        run_id: RunId::new(1),
        clock: Arc::new(Still),
        entropy: Arc::new(Still),
        progress: Arc::new(Unwatched),
        cancel: Cancel::never(),
    }
}

/// Runs the post-data step of three entries in four jobs: how it ended, what pg_restore was asked for, what was kept.
async fn run(script: Vec<Call>, owner: &'static str) -> Outcome {
    let scripted = scripted(script, owner);
    let target: Arc<dyn Target> = scripted.clone();
    let context = context();
    let request = RestoreRequest::default();
    let mut steps = Steps { target: &target, request: &request, context: &context, messages: Vec::new() };
    let outcome = steps.run_in_parallel("post-data", &toc("ann", |_| true), &[1, 2, 3], 4).await;
    let kept = steps.messages.iter().map(|(_, message)| message.classification).collect();
    let asked = scripted.asked.lock().unwrap().clone();
    (outcome, asked, kept)
}

/// By these sizes the work is put in order.
#[tokio::test]
async fn the_staged_data_files_are_as_large_as_their_tables_were_before_compression() {
    let builder = BackupBuilder::new("shop", "2026-11-20T02:00:00Z").table("orders", 1, b"compressed");
    // The testkit was built with another copy of this crate: across the border goes JSON.
    let mut manifest = Manifest::open(&builder.seal().unwrap().1).unwrap();
    let mut tables = toc("ann", |_| false);
    for table in &mut manifest.tables {
        table.raw_bytes = table.stored_bytes * 1000 + u64::from(table.oid);
        let mut rows = entry(table.dump_id, "TABLE DATA", "ann");
        rows.extra = Extra::Directory { file: format!("{}.dat", table.dump_id).into() };
        tables.entries.push(rows);
    }
    // A table whose rows were left out of the backup has no size.
    let mut without = entry(1, "TABLE DATA", "ann");
    without.extra = Extra::Directory { file: b"1.dat".to_vec() };
    tables.entries.insert(0, without);
    let scripted = scripted(Vec::new(), "ann");
    let target: Arc<dyn Target> = scripted.clone();
    let (request, context) = (RestoreRequest::default(), context());
    let steps = Steps { target: &target, request: &request, context: &context, messages: Vec::new() };
    steps.stage(&manifest, &tables).await.unwrap();
    let expected: Vec<(String, u64)> =
        manifest.tables.iter().map(|t| (format!("{}.dat", t.dump_id), t.raw_bytes)).collect();
    assert_eq!(expected.len(), 2);
    assert_eq!(*scripted.staged.lock().unwrap(), expected);
}

#[tokio::test]
async fn what_clashes_left_out_is_made_again_by_one_job_until_it_is_there() {
    let script = vec![
        Call { makes: &[3], says: vec![DEADLOCK, NOT_OURS] },
        Call { makes: &[1], says: vec![DEADLOCK] },
        Call { makes: &[2], says: vec![] },
    ];
    let (outcome, asked, kept) = run(script, "ann").await;
    outcome.unwrap();
    assert_eq!(asked, [(vec![1, 2, 3], 4), (vec![1, 2], 1), (vec![2], 1)]);
    assert_eq!(kept, [Classification::Ownership], "said of what was not made again");
}

#[tokio::test]
async fn repetitions_are_bounded_and_only_clashes_are_repeated() {
    let hopeless = vec![Call { makes: &[], says: vec![DEADLOCK] }; 20];
    let (outcome, asked, _) = run(hopeless, "ann").await;
    assert!(outcome.unwrap_err().to_string().contains("deadlock detected"));
    assert_eq!(asked.len(), 6);

    let broken = (Classification::Data, "ERROR:  could not create unique index");
    let script = vec![Call { makes: &[3], says: vec![DEADLOCK] }, Call { makes: &[2], says: vec![broken] }];
    let (outcome, asked, _) = run(script, "ann").await;
    assert!(outcome.unwrap_err().to_string().contains("could not create unique index"));
    assert_eq!(asked.len(), 2);
}

#[tokio::test]
async fn what_is_there_but_belongs_to_somebody_else_is_not_taken_for_restored() {
    let script = vec![Call { makes: &[1, 2, 3], says: vec![DEADLOCK] }];
    let (outcome, asked, _) = run(script, "restorer").await;
    assert!(outcome.unwrap_err().to_string().contains("deadlock detected"));
    assert_eq!(asked.len(), 1);
}

#[test]
fn locks_that_the_server_has_no_room_for_are_told_with_what_to_set_whatever_the_step() {
    for cleaning in [false, true] {
        assert!(hint("ERROR:  out of shared memory", cleaning).contains("max_locks_per_transaction"));
    }
}
