//! Backups under pgbench's full load: what is restored is one moment of it, for its four sums agree.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use lifeboat_testkit::standby::{OF_A_PRIMARY, Standby};
use lifeboat_tests::{Cluster, StoreUnderTest, cluster::run, program::wait_until};

use super::backup::Backup;

const DATABASE: &str = "bench";

const AT_ONCE: Duration = Duration::from_mins(1);

/// Each transaction adds the same to an account, a teller, a branch and the history.
const SUMS: &str = "
SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(tbalance) FROM pgbench_tellers),
       (SELECT sum(bbalance) FROM pgbench_branches), (SELECT sum(delta) FROM pgbench_history),
       (SELECT count(*) FROM pgbench_history)";

/// pgbench's clients; they end with this value.
struct Load(std::process::Child);

impl Load {
    /// As many as there are branches, for as long as it is let.
    fn on(cluster: &Cluster, clients: &str) -> Result<Self> {
        let mut command = cluster.tool("pgbench", DATABASE);
        command.args(["-n", "-c", clients, "-j", "2", "-T", "600"]).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn().context("start pgbench")?))
    }

    fn still_runs(&mut self) -> Result<()> {
        ensure!(self.0.try_wait()?.is_none(), "pgbench ended while the dump ran");
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn transactions(cluster: &Cluster) -> Result<u64> {
    Ok(cluster.sql(DATABASE, "SELECT count(*) FROM pgbench_history")?.trim().parse()?)
}

/// Takes backups while the load runs, from `url`, and restores each. The second one must be of a later moment.
fn backups_of_one_moment(cluster: &Cluster, url: &str, target: &Cluster, clients: &str) -> Result<()> {
    let mut load = Load::on(cluster, clients)?;
    wait_until("pgbench works", AT_ONCE, || Ok(transactions(cluster)? > 100))?;
    let mut before = 0_u64;
    for name in ["first", "second"] {
        let begun_at = transactions(cluster)?;
        let backup = Backup::of_url(url, &cluster.bin, StoreUnderTest::folder()?, &["--jobs", "2"])?;
        load.still_runs()?;
        ensure!(transactions(cluster)? > begun_at, "nothing was written while the dump ran");
        target.create_database_with(name, "TEMPLATE template0")?;
        backup.restore(target, name, &["--jobs", "2"]).run()?.expect(0)?;
        let sums = target.sql(name, SUMS)?;
        let fields: Vec<&str> = sums.trim().split('|').collect();
        ensure!(fields.len() == 5 && fields[..4].iter().all(|sum| *sum == fields[0]), "not of one moment: {sums}");
        let history: u64 = fields[4].parse()?;
        ensure!(history > before, "a moment later there is nothing new: {sums}");
        before = history;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_full_load_is_of_one_moment() -> Result<()> {
    let (cluster, target) = (Cluster::start(18).await?, Cluster::start(18).await?);
    cluster.create_database(DATABASE)?;
    run(cluster.tool("pgbench", DATABASE).args(["-i", "-q", "-s", "2"]))?;
    backups_of_one_moment(&cluster, &cluster.url(DATABASE), &target, "4")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a larger database on each major version: run by `make soak`"]
async fn backups_under_full_load_are_of_one_moment_on_every_major_version() -> Result<()> {
    for major in [15, 16, 17, 18] {
        let (cluster, target) = (Cluster::start(major).await?, Cluster::start(major).await?);
        cluster.create_database(DATABASE)?;
        run(cluster.tool("pgbench", DATABASE).args(["-i", "-q", "-s", "10"]))?;
        let taken = backups_of_one_moment(&cluster, &cluster.url(DATABASE), &target, "8");
        taken.with_context(|| format!("PostgreSQL {major}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "standbys that replay minutes of full load: run by `make soak`"]
async fn backups_of_a_standby_under_full_load_are_of_one_moment_on_every_major_version() -> Result<()> {
    // A standby that lets queries wait for a conflict with recovery cancels them: it is told to keep what they read.
    let settings = [&OF_A_PRIMARY[..], &[("hot_standby_feedback", "on")]].concat();
    for major in [15, 16, 17, 18] {
        let (primary, target) = (Cluster::start_with(major, &settings).await?, Cluster::start(major).await?);
        primary.create_database(DATABASE)?;
        run(primary.tool("pgbench", DATABASE).args(["-i", "-q", "-s", "5"]))?;
        let standby = Standby::of(primary.tool("pg_basebackup", ""), &primary.bin).context("start a standby")?;
        let url = primary.url(DATABASE).replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()));
        let taken = backups_of_one_moment(&primary, &url, &target, "4");
        taken.with_context(|| format!("PostgreSQL {major}"))?;
    }
    Ok(())
}
