//! Runs that would outlast their function: handed over to one task, which does them by the image's entry point and with the
//! configuration from S3, as a container on Fargate would.

use std::fs;

use anyhow::{Context, Result, anyhow, ensure};
use lifeboat_core::manifest::PhaseDuration;
use lifeboat_testkit::BackupBuilder;
use lifeboat_tests::{
    StoreUnderTest, emulator,
    stack::environment,
    tasks::{Container, TaskPlace, an_hour_after, ended, on_ecs, refuse},
};
use serde_json::{Value, json};

use crate::{
    shared::{Holding, a_dump_is_at_work, blocking, fifteen, no_session_stays_on},
    stores::access::{documents, opened},
};

/// The functions of one test, and the tasks that they may start; both have the same configuration, each from its own place.
struct Place {
    store: StoreUnderTest,
    functions: emulator::Functions,
    /// By the function's name.
    tasks: Vec<(&'static str, TaskPlace)>,
}

impl Place {
    /// Functions on a database, called `orders`, that run where this configuration says.
    fn new(name: &str, database: &str, runner: &str, further: &str) -> Result<Self> {
        let (store, folder) = (StoreUnderTest::minio()?, tempfile::tempdir()?);
        let variables = environment(folder.path(), fifteen()?, database, &store)?;
        let file = folder.path().join("lifeboat.toml");
        let toml = fs::read_to_string(&file)?.replace("rpo =", &format!("runner = \"{runner}\"\nrpo ="));
        fs::write(&file, format!("{toml}\n{further}"))?;
        let mut tasks = Vec::new();
        for function in ["dump", "verify", "restore"] {
            // A container has no folder beside it: what the variable names for a function is an object for a task.
            let url = uploaded(&store, &format!("{name}-{function}.toml"), &fs::read_to_string(&file)?)?;
            let in_container = variables.iter().filter(|(name, _)| name != "LIFEBOAT_CONFIG").cloned();
            let in_container: Vec<_> = in_container.chain([("LIFEBOAT_CONFIG".to_owned(), url)]).collect();
            tasks.push((function, TaskPlace::register(&format!("{name}-{function}"), function, &in_container)?));
        }
        Ok(Self { store, functions: emulator::Functions::start(folder, variables)?, tasks })
    }

    /// Starts processes of a function, which has so much time.
    fn serve(&mut self, function: &str, processes: usize, limit: &str) -> Result<()> {
        let (ecs, told) = (on_ecs()?, self.tasks_of(function)?.told.clone());
        // Nobody is at the bus: what there is to tell is kept in the control store.
        let further = [("LIFEBOAT_TASK", told.as_str()), (&ecs.0, &ecs.1), ("LIFEBOAT_TIME_LIMIT", limit)];
        self.functions.serve(function, processes, &further)
    }

    /// The answer to a delivery under this id.
    fn deliver(&self, function: &str, request_id: &str, event: &Value) -> Result<Value> {
        let (ecs, told) = (on_ecs()?, &self.tasks_of(function)?.told);
        let further = [("LIFEBOAT_TASK", told.as_str()), (&ecs.0, &ecs.1)];
        self.functions.deliver(function, &further, request_id, event)
    }

    fn tasks_of(&self, function: &str) -> Result<&TaskPlace> {
        let found = self.tasks.iter().find(|(name, _)| *name == function);
        found.map(|(_, place)| place).with_context(|| format!("the task of {function}"))
    }

    /// The one task of a function.
    fn task(&self, function: &str) -> Result<Container> {
        let started = self.tasks_of(function)?.started()?;
        let [container] = started.as_slice() else { return Err(anyhow!("not one task: {started:?}")) };
        Ok(container.clone())
    }

    fn backups(&self) -> Result<Vec<Value>> {
        let listed = self.store.lifeboat(["list", "orders"]).json()?;
        ensure!(listed["unfinished"] == json!([]), "{listed:#}");
        Ok(listed["backups"].as_array().cloned().unwrap_or_default())
    }

    /// A backup of the night before, whose manifest says that it took so long.
    fn took_before(&self, seconds: f64) -> Result<()> {
        blocking(async {
            let phases = vec![PhaseDuration { phase: "data".to_owned(), seconds }];
            let builder =
                BackupBuilder::new("orders", "2026-11-19T02:00:00Z").change(|manifest| manifest.phases = phases);
            builder.store_verified(&*opened(&self.store).await?).await?;
            Ok(())
        })
    }

    /// A backup that is made by hand.
    fn dump_by_hand(&self, database: &str) -> Result<Value> {
        self.store.lifeboat(["dump", "orders"]).database(&fifteen()?.url(database)).json()
    }
}

/// Puts a file into the store's bucket, as a deployment puts it into one; its URL.
fn uploaded(store: &StoreUnderTest, name: &str, text: &str) -> Result<String> {
    let context = lifeboat_testkit::context().build();
    blocking(async {
        let key = format!("assets/{name}");
        opened(store).await?.put_new(&key, text.to_owned().into(), &context.run_id).await?;
        Ok(format!("{}/{key}", store.url))
    })
}

/// What was told while nobody was at the bus.
fn undelivered(store: &StoreUnderTest) -> Result<Vec<Value>> {
    let kept = blocking(documents(store, ".control/undelivered/"))?;
    Ok(kept.iter().flat_map(|kept| kept["events"].as_array().into_iter().flatten().cloned()).collect())
}

#[test]
fn a_dump_that_would_outlast_its_function_is_one_task_and_one_backup_however_often_it_is_delivered() -> Result<()> {
    fifteen()?.create_shop("handed_dump", "0.01")?;
    let mut place = Place::new("handed-dump", "handed_dump", "auto", "")?;
    place.took_before(1200.0)?;
    place.serve("dump", 3, "15m")?;

    let answers = place.functions.invoke_at_once("dump", "nightly.json", 3)?;
    let first = &answers[0];
    ensure!(answers.iter().all(|answer| answer == first), "{answers:#?}");
    ensure!(first["status"] == "handed_over" && first["database"] == "orders", "{first:#}");
    ensure!(first["task"].as_str().is_some_and(|arn| arn.starts_with("arn:aws:ecs:")), "{first:#}");
    ensure!(first["why"] == "it is predicted to take 20 min, and the function has 14 min", "{first:#}");
    ensure!(place.backups()?.len() == 1, "the function made one itself");

    let task = place.task("dump")?;
    let request = task.environment.iter().find(|(name, _)| name == "LIFEBOAT_REQUEST").context("a request")?;
    let sent: Value = serde_json::from_str(&request.1)?;
    ensure!(sent == json!({ "database": "orders", "scheduled_at": "2026-11-20T02:00:00Z" }), "{sent:#}");
    ensure!(task.environment.iter().any(|(name, value)| name == "LIFEBOAT_CONFIG" && value.starts_with("s3://")));
    let made = task.answer()?;
    ensure!(made["status"] == "done" && made["verified"]["objects"] == made["objects"], "{made:#}");
    let backups = place.backups()?;
    ensure!(backups.len() == 2 && backups[0]["backup_id"] == made["backup_id"] && backups[0]["good"] == true);

    // Delivered once more, to the function and to a container: the answer that was given is given again.
    let again = place.functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(again["status"] == "already_done" && again["earlier"]["backup_id"] == made["backup_id"], "{again:#}");
    ensure!(place.task("dump")?.answer()?["status"] == "already_done");
    ensure!(place.backups()?.len() == 2);
    no_session_stays_on(&["handed_dump"])
}

#[test]
fn a_dump_that_nothing_foretold_is_handed_over_when_its_functions_time_is_over() -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_shop("handed_late", "0.01")?;
    let mut place = Place::new("handed-late", "handed_late", "auto", "")?;
    place.serve("dump", 1, "1s")?;
    let migration = Holding::start("handed_late", "LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")?;
    let late = place.functions.invoke("dump", "nightly.json")?.answer()?;
    drop(migration);
    ensure!(late["status"] == "handed_over" && late["why"] == "the function's time did not suffice", "{late:#}");
    ensure!(place.backups()?.is_empty());
    let made = place.task("dump")?.answer()?;
    ensure!(made["status"] == "done" && place.backups()?.len() == 1, "{made:#}");
    no_session_stays_on(&["handed_late"])
}

#[test]
fn a_verify_and_a_restore_run_as_tasks_with_the_same_requests() -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_shop("handed_more", "0.01")?;
    cluster.create_database_with("handed_more_copy", "TEMPLATE template0")?;
    let (target, _url) = target("handed_more_copy")?;
    let mut place = Place::new("handed-more", "handed_more", "fargate", &target)?;
    let backup = place.dump_by_hand("handed_more")?;
    place.serve("verify", 1, "15m")?;
    place.serve("restore", 1, "15m")?;

    let handed = place.functions.invoke("verify", "latest.json")?.answer()?;
    ensure!(handed["status"] == "handed_over", "{handed:#}");
    ensure!(handed["why"] == "the configuration says that a task runs it", "{handed:#}");
    let verified = place.task("verify")?.answer()?;
    ensure!(verified["status"] == "done" && verified["backups"][0]["whole"] == true, "{verified:#}");
    ensure!(verified["backups"][0]["backup_id"] == backup["backup_id"], "{verified:#}");

    let wanted = json!({ "database": "orders", "target": "copy", "dry_run": true });
    let dry = place.functions.invoke_made_up("restore", &wanted.to_string())?.answer()?;
    ensure!(dry["status"] == "done" && dry["dry_run"] == true, "a plan is made at once: {dry:#}");
    let wanted = json!({ "database": "orders", "target": "copy" });
    let handed = place.functions.invoke_made_up("restore", &wanted.to_string())?.answer()?;
    ensure!(handed["status"] == "handed_over", "{handed:#}");
    let restored = place.task("restore")?.answer()?;
    ensure!(restored["status"] == "done" && restored["restored"]["rows"] == backup["rows"], "{restored:#}");
    let count = |database| cluster.sql(database, "SELECT count(*) FROM shop.orders");
    ensure!(count("handed_more_copy")? == count("handed_more")?);
    no_session_stays_on(&["handed_more", "handed_more_copy"])
}

/// The configuration of a target whose database may be replaced, and the file that names it.
fn target(database: &str) -> Result<(String, tempfile::NamedTempFile)> {
    let url = tempfile::NamedTempFile::new()?;
    fs::write(url.path(), fifteen()?.url(database))?;
    let target = format!("[restore.targets.copy]\nurl = {{ file = \"{}\" }}\noverwrite = true\n", url.path().display());
    Ok((target, url))
}

#[test]
fn a_restore_that_a_task_does_is_carried_out_once_whenever_its_request_is_delivered_again() -> Result<()> {
    let cluster = fifteen()?;
    cluster.create_shop("handed_once", "0.01")?;
    cluster.create_database_with("handed_once_copy", "TEMPLATE template0")?;
    let (target, _url) = target("handed_once_copy")?;
    let place = Place::new("handed-once", "handed_once", "fargate", &target)?;
    place.dump_by_hand("handed_once")?;
    let deliver = |id: &str| place.deliver("restore", id, &json!({ "database": "orders", "target": "copy" }));

    let handed = deliver("8f0a-1")?;
    ensure!(handed["status"] == "handed_over", "{handed:#}");
    ensure!(deliver("8f0a-1")?["task"] == handed["task"], "until the task begins, it is this one");
    let holding = Holding::start("handed_once_copy", "CREATE SCHEMA shop")?;
    let task = place.task("restore")?.start()?.awaited(holding.holds_somebody_up())?;
    let meanwhile = deliver("8f0a-1")?;
    ensure!(meanwhile["status"] == "already_running", "while the task works: {meanwhile:#}");
    drop(holding);
    let restored = task.end()?;
    ensure!(restored.code == 0, "{}{}", restored.stdout, restored.stderr);

    // What is written since must not be replaced again, although ECS has forgotten by now that there was a task.
    cluster.sql("handed_once_copy", "CREATE TABLE public.written_since ()")?;
    an_hour_after(handed["task"].as_str().context("the task")?)?;
    let again = deliver("8f0a-1")?;
    ensure!(again["status"] == "already_done" && again["earlier"]["restored"].is_object(), "{again:#}");
    ensure!(place.tasks_of("restore")?.started()?.len() == 1);
    // A container that ECS started all the same, of another revision say, finds it done too.
    ensure!(place.task("restore")?.answer()?["status"] == "already_done");
    cluster.sql("handed_once_copy", "SELECT FROM public.written_since")?;
    // Another request is another restore.
    ensure!(deliver("8f0a-2")?["status"] == "handed_over" && place.tasks_of("restore")?.started()?.len() == 2);
    no_session_stays_on(&["handed_once", "handed_once_copy"])
}

#[test]
fn a_task_that_ended_without_having_done_its_work_does_not_stand_in_the_way_of_the_next() -> Result<()> {
    fifteen()?.create_database("handed_ended")?;
    let place = Place::new("handed-ended", "handed_ended", "fargate", "")?;
    let deliver = |id: &str| -> Result<String> {
        let handed = place.deliver("dump", id, &json!({ "database": "orders" }))?;
        ensure!(handed["status"] == "handed_over", "{handed:#}");
        Ok(handed["task"].as_str().context("the task")?.to_owned())
    };
    let first = deliver("7c11-1")?;
    ended(&first, None)?;
    let second = deliver("7c11-1")?;
    ensure!(second != first, "a task that never ran was given again");
    ended(&second, Some(137))?;
    let third = deliver("7c11-1")?;
    ensure!(third != second && third != first, "a task that was killed was given again");
    // What has done its work is not done again.
    ended(&third, Some(0))?;
    ensure!(deliver("7c11-1")? == third && place.tasks_of("dump")?.started()?.len() == 3);
    // An image that is not there: every task ends so.
    let error = loop {
        match deliver("7c11-2") {
            Ok(task) => ended(&task, None)?,
            Err(error) => break error.to_string(),
        }
        ensure!(place.tasks_of("dump")?.started()?.len() < 20, "there is no end to it");
    };
    ensure!(error.contains("have ended without having done their work"), "{error}");
    ensure!(error.contains("CannotPullContainerError") && error.contains("log of the tasks"), "{error}");
    Ok(())
}

#[test]
fn a_task_that_is_stopped_in_mid_run_tells_that_its_backup_failed() -> Result<()> {
    fifteen()?.create_shop("handed_stopped", "0.01")?;
    let mut place = Place::new("handed-stopped", "handed_stopped", "fargate", "")?;
    place.serve("dump", 1, "15m")?;
    ensure!(place.functions.invoke("dump", "nightly.json")?.answer()?["status"] == "handed_over");
    let mut task = place.task("dump")?;
    let bus = [("LIFEBOAT_EVENT_BUS", "lifeboat"), ("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:1")];
    task.environment.extend(bus.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let holding = Holding::start("handed_stopped", "LOCK TABLE shop.orders IN ACCESS EXCLUSIVE MODE")?;
    let running = task.start()?.awaited(a_dump_is_at_work(&place.store))?;
    running.stop()?;
    let stopped = running.end()?;
    drop(holding);
    ensure!(stopped.code == 130, "{}: {}", stopped.code, stopped.stderr);
    let told = undelivered(&place.store)?;
    ensure!(told.len() == 1 && told[0]["type"] == "BackupFailed", "{told:#?}");
    ensure!(told[0].to_string().contains("interrupted"), "{told:#?}");
    // Its claim was given back: the next task makes the backup.
    ensure!(place.functions.invoke("dump", "nightly.json")?.answer()?["status"] == "handed_over");
    let tasks = place.tasks_of("dump")?.started()?;
    ensure!(tasks.len() == 2, "{tasks:?}");
    ensure!(tasks[0].answer()?["status"] == "done");
    no_session_stays_on(&["handed_stopped"])
}

#[test]
fn a_task_that_is_refused_or_finds_no_room_is_a_failed_backup_that_is_told() -> Result<()> {
    fifteen()?.create_database("handed_refused")?;
    let mut place = Place::new("handed-refused", "handed_refused", "fargate", "")?;
    let (ecs, told) = (on_ecs()?, place.tasks_of("dump")?.told.clone());
    let bus = [("LIFEBOAT_EVENT_BUS", "lifeboat"), ("AWS_ENDPOINT_URL_EVENTBRIDGE", "http://127.0.0.1:1")];
    let further = [&[("LIFEBOAT_TASK", told.as_str()), (&ecs.0, &ecs.1)], bus.as_slice()].concat();
    place.functions.serve("dump", 1, &further)?;
    for (status, code) in [(200, "RESOURCE:MEMORY"), (400, "ClusterNotFoundException")] {
        refuse("handed-refused-dump", 1, status, code)?;
        let error = place.functions.invoke("dump", "nightly.json")?.error("store")?;
        ensure!(error.contains("hand the dump of orders over") && error.contains(code), "{error}");
        ensure!(error.contains("ecs:RunTask"), "what to do: {error}");
    }
    let told = undelivered(&place.store)?;
    ensure!(told.len() == 2 && told.iter().all(|event| event["type"] == "BackupFailed"), "{told:#?}");
    // The next delivery finds room, and is a new task.
    let handed = place.functions.invoke("dump", "nightly.json")?.answer()?;
    ensure!(handed["status"] == "handed_over", "{handed:#}");
    Ok(())
}
