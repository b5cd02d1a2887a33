//! What the tests start: clusters, databases with one object of every kind, and stock dumps of them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use lifeboat_archive::{
    codec::Codec,
    data_file::END,
    toc::{self, Entry, Section, Toc},
};
use lifeboat_core::{
    Result,
    ports::{BlockSource, Classification, LoadStatement, PgRestoreStep, Target, ToolMessage},
};
use lifeboat_postgres::{
    ConnectionTarget,
    cluster::{ClusterOptions, ThrowawayCluster},
    target::PgTarget,
    tools::ToolSearch,
};
use tempfile::TempDir;

/// The oldest and the newest major version that the project installs.
pub(crate) const MAJORS: [u32; 2] = [15, 18];

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The PostgreSQL installations that `make` prepares; a missing one is an error of the search.
pub(crate) fn search() -> ToolSearch {
    ToolSearch {
        configured: Some(repository().join(".tools/postgresql")),
        path: std::env::var_os("PATH"),
        ..ToolSearch::default()
    }
}

pub(crate) fn options(major: u32) -> ClusterOptions {
    ClusterOptions {
        search: search(),
        major,
        work_folder: std::env::temp_dir(),
        password: "correct horse".to_owned().into(),
        settings: Vec::new(),
        account: None,
    }
}

pub(crate) async fn cluster(major: u32) -> ThrowawayCluster {
    let cluster = ThrowawayCluster::start(&options(major)).await.unwrap();
    assert!(cluster.version().starts_with(&major.to_string()), "PostgreSQL {major} is not installed");
    cluster
}

pub(crate) async fn create_database(cluster: &ThrowawayCluster, name: &str, options: &str) -> ConnectionTarget {
    let session = cluster.target("postgres").connect("test").await.unwrap();
    let name_quoted = lifeboat_postgres::quote::identifier(name);
    session.batch_execute(&format!("CREATE DATABASE {name_quoted} TEMPLATE template0 {options}")).await.unwrap();
    cluster.target(name)
}

/// A tool of the version, connected through its environment.
pub(crate) async fn tool(major: u32, program: &str, target: &ConnectionTarget) -> Command {
    let tools = search().find_for(major * 10_000).await.unwrap();
    let mut command = Command::new(tools.folder().join(program));
    command.envs(target.tool_environment("test").await.unwrap()).env("LC_ALL", "C");
    command
}

pub(crate) fn run(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) async fn load_fixture(major: u32, target: &ConnectionTarget, files: &[&str]) {
    let mut command = tool(major, "psql", target).await;
    command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null"]);
    for file in files {
        command.arg("-f").arg(repository().join("tests/fixtures").join(file));
    }
    run(command);
}

/// A database with one object of every kind.
pub(crate) async fn every_kind(major: u32, cluster: &ThrowawayCluster, name: &str) -> ConnectionTarget {
    let target = create_database(cluster, name, "").await;
    let mut files = vec!["roles.sql", "every-kind.sql"];
    files.extend([(17, "every-kind-17.sql"), (18, "every-kind-18.sql")].iter().filter(|f| major >= f.0).map(|f| f.1));
    load_fixture(major, &target, &files).await;
    target
}

/// A stock archive in directory format, not compressed.
pub(crate) struct Dump {
    folder: TempDir,
    pub(crate) toc: Toc,
    encoding: String,
}

impl Dump {
    pub(crate) async fn of(major: u32, target: &ConnectionTarget, encoding: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = tool(major, "pg_dump", target).await;
        command.args(["-Fd", "-Z0", "-f"]).arg(folder.path().join("archive"));
        run(command);
        let toc = toc::read(&std::fs::read(folder.path().join("archive/toc.dat")).unwrap()).unwrap();
        Self { folder, toc, encoding: encoding.to_owned() }
    }

    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join("archive").join(name)).unwrap()
    }

    pub(crate) fn statement(&self, copy_stmt: &[u8]) -> LoadStatement {
        LoadStatement {
            copy_stmt: copy_stmt.to_vec(),
            encoding: self.encoding.clone(),
            lc_monetary: "C".to_owned(),
            disable_triggers: false,
        }
    }

    /// Statements and data of all tables with data.
    pub(crate) fn tables(&self) -> Vec<(LoadStatement, Vec<u8>)> {
        self.toc
            .entries
            .iter()
            .filter(|entry| entry.is_table_data())
            .map(|entry| {
                let data = self.file(std::str::from_utf8(entry.file().unwrap()).unwrap());
                let rows = data.strip_suffix(END).unwrap().to_vec();
                (self.statement(entry.copy_stmt.as_deref().unwrap()), rows)
            })
            .collect()
    }

    /// OIDs and contents of all large objects.
    pub(crate) fn large_objects(&self) -> Vec<(u32, Vec<u8>)> {
        let archive = self.folder.path().join("archive");
        let mut found = Vec::new();
        for file in std::fs::read_dir(archive).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if let Some(oid) = name.strip_prefix("blob_").and_then(|n| n.strip_suffix(".dat")) {
                found.push((oid.parse().unwrap(), std::fs::read(&path).unwrap()));
            }
        }
        found
    }

    /// Hands over the table of contents and the sizes of the data files before compression, as the domain does.
    pub(crate) async fn stage(&self, target: &PgTarget) {
        let name = |entry: &Entry| Some(String::from_utf8(entry.file()?.to_vec()).unwrap());
        let tables = self.toc.entries.iter().filter(|entry| entry.is_table_data());
        let sizes: Vec<(String, u64)> =
            tables.filter_map(name).map(|name| (name.clone(), self.file(&name).len() as u64)).collect();
        target.stage(Bytes::from(self.toc.to_directory(&Codec::None).write()), &sizes).await.unwrap();
    }

    /// Ids of the entries of a part that carry no data. Entries without a section belong to the part they stand in;
    /// privileges come last, as pg_restore orders them.
    pub(crate) fn ids(&self, section: Section) -> Vec<i32> {
        let mut current = Section::PreData;
        let mut ids = Vec::new();
        for entry in &self.toc.entries {
            if entry.section != Section::None {
                current = entry.section;
            }
            let late = entry.desc == b"ACL" || entry.desc == b"DEFAULT ACL";
            let part = if late && !entry.is_remark_on("LARGE OBJECT") { Section::PostData } else { current };
            let of_database = entry.desc.starts_with(b"DATABASE") || entry.is_remark_on("DATABASE");
            if part == section && !entry.is_table_data() && !entry.is_blobs() && !of_database {
                ids.push(entry.dump_id);
            }
        }
        ids
    }

    /// The whole restore, as the domain does it; returns what pg_restore said.
    pub(crate) async fn restore(&self, target: &PgTarget) -> Vec<ToolMessage> {
        self.stage(target).await;
        let context = lifeboat_testkit::context().build();
        let mut messages = target.pg_restore(&step(self.ids(Section::PreData), 1), &context).await.unwrap();
        messages.extend(target.pg_restore(&step(self.ids(Section::Data), 1), &context).await.unwrap());
        let mut worker = target.worker(None).await.unwrap();
        for (statement, rows) in self.tables() {
            let expected = rows.iter().filter(|b| **b == b'\n').count() as u64;
            let loaded = worker.copy_in(&statement, &mut Blocks::of(&rows), None).await.unwrap();
            assert_eq!(loaded, expected, "{}", String::from_utf8_lossy(&statement.copy_stmt));
        }
        for (oid, content) in self.large_objects() {
            let bytes = worker.load_large_object(oid, &mut Blocks::of(&content), None).await.unwrap();
            assert_eq!(bytes, content.len() as u64);
        }
        messages.extend(target.pg_restore(&step(self.ids(Section::PostData), 2), &context).await.unwrap());
        messages
    }
}

pub(crate) fn step(dump_ids: Vec<i32>, jobs: u32) -> PgRestoreStep {
    PgRestoreStep {
        name: "test".to_owned(),
        dump_ids,
        jobs,
        no_owner: false,
        no_acl: false,
        role: None,
        clean: false,
        single_transaction: false,
    }
}

pub(crate) async fn target(connection: &ConnectionTarget) -> PgTarget {
    PgTarget::new(connection.clone(), search(), std::env::temp_dir()).await.unwrap()
}

pub(crate) fn fatal(messages: &[ToolMessage]) -> Vec<&ToolMessage> {
    messages.iter().filter(|m| m.classification.is_fatal()).collect()
}

pub(crate) fn count(messages: &[ToolMessage], classification: Classification) -> usize {
    messages.iter().filter(|m| m.classification == classification).count()
}

/// Blocks of any bytes, then the end or an error.
pub(crate) struct Blocks {
    blocks: Vec<Bytes>,
    error: Option<lifeboat_core::Error>,
}

impl Blocks {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut blocks: Vec<Bytes> = bytes.chunks(70_000).map(Bytes::copy_from_slice).collect();
        blocks.reverse();
        Self { blocks, error: None }
    }

    pub(crate) fn then_fail(bytes: &[u8], error: lifeboat_core::Error) -> Self {
        Self { error: Some(error), ..Self::of(bytes) }
    }
}

#[async_trait::async_trait]
impl BlockSource for Blocks {
    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        match (self.blocks.pop(), self.error.take()) {
            (Some(block), error) => {
                self.error = error;
                Ok(Some(block))
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}
