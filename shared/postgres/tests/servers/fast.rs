//! Restores into scratch targets: by which settings they are faster, and that no other session has these.

use lifeboat_archive::toc::Section;
use lifeboat_core::ports::Target;
use lifeboat_postgres::{
    ConnectionTarget,
    cluster::{ClusterOptions, ThrowawayCluster},
};

use crate::setting::{Blocks, Dump, create_database, fatal, options, step, target};

/// What a session is asked for.
const SETTINGS: &str =
    "pg_catalog.current_setting('synchronous_commit') || ' ' || pg_catalog.current_setting('maintenance_work_mem')";

/// A server that waits for its disk, and gives whoever makes an index less memory than it has for its buffers.
async fn careful_cluster() -> ThrowawayCluster {
    let settings = [("synchronous_commit", "on"), ("maintenance_work_mem", "8MB"), ("shared_buffers", "64MB")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    ThrowawayCluster::start(&ClusterOptions { settings, ..options(15) }).await.unwrap()
}

/// Restores the dump, its definitions in one job and its index in two; gives the settings of the sessions that made the
/// table, loaded its rows and made the index, and of one that comes afterwards.
async fn settings_in_a_restore(dump: &Dump, database: &ConnectionTarget, fast: bool) -> [String; 4] {
    let watch = format!(
        "CREATE SCHEMA watch; CREATE TABLE watch.noted (tag text, settings text);
         CREATE FUNCTION watch.note() RETURNS event_trigger LANGUAGE plpgsql AS
           $$BEGIN INSERT INTO watch.noted VALUES (tg_tag, {SETTINGS}); END$$;
         CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch.note()"
    );
    database.connect("test").await.unwrap().batch_execute(&watch).await.unwrap();
    let (restored, context) = (target(database).await.fast_scratch(fast), lifeboat_testkit::context().build());
    dump.stage(&restored).await;
    let mut messages = restored.pg_restore(&step(dump.ids(Section::PreData), 1), &context).await.unwrap();
    let mut worker = restored.worker(None).await.unwrap();
    // The other column's default is what the loading session has.
    let load = dump.statement(b"COPY public.t (i) FROM stdin;\n");
    assert_eq!(worker.copy_in(&load, &mut Blocks::of(b"1\n"), None).await.unwrap(), 1);
    messages.extend(restored.pg_restore(&step(dump.ids(Section::PostData), 2), &context).await.unwrap());
    assert_eq!(fatal(&messages), Vec::<&_>::new());
    let noted = |tag: &str| format!("(SELECT settings FROM watch.noted WHERE tag = '{tag}')");
    let (table, index) = (noted("CREATE TABLE"), noted("CREATE INDEX"));
    let all = format!("SELECT {table}, (SELECT settings FROM public.t), {index}, {SETTINGS}");
    let row = database.connect("test").await.unwrap().query_one(&all, &[]).await.unwrap();
    [0_usize, 1, 2, 3].map(|column| row.get(column))
}

#[tokio::test]
async fn only_a_fast_restore_waits_for_no_disk_and_takes_the_memory_of_the_buffers_and_it_leaves_nothing_changed() {
    let cluster = careful_cluster().await;
    let source = create_database(&cluster, "source", "").await;
    let sql =
        format!("CREATE TABLE public.t (i int, settings text DEFAULT {SETTINGS}); CREATE INDEX x ON public.t (i)");
    source.connect("test").await.unwrap().batch_execute(&sql).await.unwrap();
    let dump = Dump::of(15, &source, "UTF8").await;

    let careful = create_database(&cluster, "careful", "").await;
    assert_eq!(settings_in_a_restore(&dump, &careful, false).await, ["on 8MB"; 4]);

    // Jobs share the memory.
    let fast = create_database(&cluster, "fast", "").await;
    assert_eq!(settings_in_a_restore(&dump, &fast, true).await, ["off 64MB", "off 8MB", "off 32MB", "on 8MB"]);

    // Who has set more than that knows why.
    let generous = create_database(&cluster, "generous", "").await;
    let more = "ALTER DATABASE generous SET maintenance_work_mem = '100MB'";
    generous.connect("test").await.unwrap().batch_execute(more).await.unwrap();
    assert_eq!(
        settings_in_a_restore(&dump, &generous, true).await,
        ["off 100MB", "off 100MB", "off 100MB", "on 100MB"]
    );
}
