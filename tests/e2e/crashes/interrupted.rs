//! Ctrl-C and SIGTERM in mid-dump, mid-restore and mid-drill: exit code 130, and nothing stays behind.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::{
    Cluster, StoreUnderTest,
    program::wait_until,
    proxy::{Mode, Proxy},
    stores::minio,
};

use super::running::{AT_ONCE, Running, To, dumps, no_session_within, nothing_listed};

/// More bytes than pg_dump reads of the catalogs and than one upload in one piece has, and less than the table has.
const IN_MID_COPY: u64 = 24 << 20;

async fn cluster(database: &str) -> Result<Cluster> {
    let cluster = Cluster::start(15).await?;
    cluster.create_database(database)?;
    let sql =
        "CREATE TABLE public.a AS SELECT g AS id, repeat(md5(g::text), 40) AS text FROM generate_series(1, 50000) g";
    cluster.sql(database, sql)?;
    Ok(cluster)
}

/// Unfinished uploads that MinIO keeps: a folder each, two levels below this one.
fn unfinished_uploads(data: &Path) -> usize {
    let folders = |of: &Path| -> Vec<std::path::PathBuf> {
        fs::read_dir(of).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect()
    };
    folders(&data.join(".minio.sys/multipart")).iter().map(|object| folders(object).len()).sum()
}

#[tokio::test]
async fn a_dump_that_is_interrupted_ends_with_130_and_aborts_its_uploads() -> Result<()> {
    let cluster = cluster("interrupted").await?;
    for signal in ["INT", "TERM"] {
        let store = StoreUnderTest::minio()?;
        let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(IN_MID_COPY))?;
        let through = proxy.through(&cluster.url("interrupted"), cluster.port());
        let call = store.lifeboat(["dump", "--jobs", "1", "--compress", "none"]).database(&through);
        let mut dump = Running::start(call)?;
        wait_until("the proxy holds the COPY", AT_ONCE, || Ok(proxy.held() > 0)).with_context(|| dump.log())?;
        wait_until("an upload is under way", AT_ONCE, || Ok(unfinished_uploads(minio()?.data()) > 0))?;
        dump.signal(signal, To::Program)?;
        let code = dump.ended(AT_ONCE)?;
        ensure!(code == 130, "SIG{signal}: {code}: {}", dump.log());
        no_session_within(&cluster, AT_ONCE)?;
        ensure!(unfinished_uploads(minio()?.data()) == 0, "SIG{signal}: an upload is left in MinIO");
        nothing_listed(&store)?;
        // The lease was given back: nobody has to wait for it to lapse.
        dumps(&store, &cluster.url("interrupted"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_restore_that_is_interrupted_ends_with_130_and_leaves_no_session() -> Result<()> {
    let cluster = cluster("restored").await?;
    let store = StoreUnderTest::folder()?;
    // One job leaves the table in one chunk, which is loaded whole or not at all.
    store.lifeboat(["dump", "--jobs", "1"]).database(&cluster.url("restored")).run()?.expect(0)?;
    for signal in ["INT", "TERM"] {
        cluster.create_database_with(signal, "TEMPLATE template0")?;
        let proxy = Proxy::start(cluster.port(), Mode::HoldAfter(IN_MID_COPY))?;
        let call = store
            .lifeboat(["restore", "latest", "--to", "env:TARGET_URL", "--jobs", "1"])
            .env("TARGET_URL", proxy.through(&cluster.url(signal), cluster.port()));
        let mut restore = Running::start(call)?;
        wait_until("the proxy holds the COPY", AT_ONCE, || Ok(proxy.held() > 0)).with_context(|| restore.log())?;
        restore.signal(signal, To::Program)?;
        let code = restore.ended(AT_ONCE)?;
        ensure!(code == 130, "SIG{signal}: {code}: {}", restore.log());
        // Now the connection's end reaches the server too.
        proxy.set(Mode::Pass);
        no_session_within(&cluster, AT_ONCE)?;
        ensure!(cluster.sql(signal, "SELECT count(*) FROM public.a")?.trim() == "0", "half a table was committed");
    }
    Ok(())
}

/// Servers whose command line names the folder.
fn servers_in(folder: &Path) -> Vec<String> {
    let name = folder.display().to_string();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&name) && line.contains("postgres"))
        .collect()
}

#[tokio::test]
async fn a_drill_that_is_interrupted_ends_with_130_and_tears_its_scratch_target_down() -> Result<()> {
    let cluster = cluster("drilled").await?;
    let store = StoreUnderTest::folder()?;
    dumps(&store, &cluster.url("drilled"))?;
    let before = cluster.sql("postgres", "SELECT count(*) FROM pg_database")?;
    for (signal, scratch) in [("INT", "local"), ("TERM", "local"), ("INT", "env:SCRATCH_URL")] {
        let temporary = tempfile::tempdir()?;
        // The server's account enters it too.
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755))?;
        let call = store
            .lifeboat(["drill", "drilled", "--scratch", scratch, "--jobs", "1"])
            .env("TMPDIR", temporary.path())
            .env("SCRATCH_URL", cluster.url("postgres"));
        let mut drill = Running::start(call)?;
        drill.until("phase begins phase=\"data\"", 1)?;
        ensure!(scratch != "local" || !servers_in(temporary.path()).is_empty(), "a scratch cluster runs");
        drill.signal(signal, To::Program)?;
        let code = drill.ended(AT_ONCE)?;
        ensure!(code == 130, "SIG{signal}: {code}: {}", drill.log());
        let left: Vec<_> = fs::read_dir(temporary.path())?.flatten().map(|e| e.path()).collect();
        ensure!(left.is_empty(), "SIG{signal}: {left:?} are left");
        ensure!(servers_in(temporary.path()).is_empty(), "a server is left");
        no_session_within(&cluster, AT_ONCE)?;
        ensure!(cluster.sql("postgres", "SELECT count(*) FROM pg_database")? == before, "a database is left");
    }
    Ok(())
}
