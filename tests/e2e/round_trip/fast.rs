//! What `--fast-scratch` changes, and that nothing changes without it.

use anyhow::{Result, ensure};
use lifeboat_tests::StoreUnderTest;

use crate::shared::{call, fifteen, no_session_stays_on};

#[test]
fn only_a_restore_with_fast_scratch_loads_rows_by_commits_that_wait_for_no_disk() -> Result<()> {
    let (cluster, store) = (fifteen()?, StoreUnderTest::folder()?);
    cluster.create_database("waiting")?;
    // Takes rows from a session of ours only if that does not wait.
    cluster.sql(
        "waiting",
        "CREATE TABLE public.t (i int, CHECK (current_setting('application_name') NOT LIKE 'lifeboat%'
                                              OR current_setting('synchronous_commit') = 'off'));
         INSERT INTO public.t VALUES (1)",
    )?;
    call(&store, "waiting", &["dump"])?.run()?.expect(0)?;
    for (target, further, code) in [("waiting_too", &[] as &[&str], 4), ("not_waiting", &["--fast-scratch"], 0)] {
        cluster.create_database_with(target, "TEMPLATE template0")?;
        cluster.sql("postgres", &format!("ALTER DATABASE {target} SET synchronous_commit = on"))?;
        let restore =
            call(&store, "waiting", &["restore", "latest", "--to", "env:TARGET_URL"])?.args(further.iter().copied());
        let ended = restore.env("TARGET_URL", cluster.url(target)).run()?.expect(code)?;
        // A check constraint's violation.
        ensure!(ended.stderr.contains("23514") == (code != 0), "{}", ended.stderr);
        let rows = cluster.sql(target, "SELECT count(*), current_setting('synchronous_commit') FROM public.t")?;
        ensure!(rows.trim() == if code == 0 { "1|on" } else { "0|on" }, "{rows}");
        no_session_stays_on(&[target])?;
    }
    Ok(())
}
