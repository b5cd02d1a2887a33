//! `demo`: takes a real database all the way, and tells every step with its figures.

mod shop;
mod story;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt, catalog,
    config::{EncryptionConfig, Origin, Setting, Span},
    drill::{Assertion, DrillOutcome, Selection},
    ids::DrillId,
    manifest::Manifest,
    ports::{RunContext, Scratch, ScratchWish, Severity, Source, Store, Target},
    reading::BackupReader,
    report::words::{bytes, count, duration},
    restore::{self, RestoreOutcome, RestorePorts, RestoreRequest},
};
use lifeboat_postgres::ConnectionTarget;
use lifeboat_runtime::{
    Selected, Setup,
    requests::{DrillAnswer, DumpAnswer, total},
    runs::{self, DrillOptions, DumpOptions},
};
use serde_json::json;
use tempfile::TempDir;

use super::{drill, dump, list, preflight};
use crate::{answer::Answer, app::App, arguments::Demo, text::Append};
use shop::Shop;
use story::Story;

/// What the demo runs on.
struct Stage {
    setup: Setup,
    selected: Selected,
    connection: ConnectionTarget,
    /// The demo's own database, unless it runs on the user's.
    shop: Option<Shop>,
    /// The demo's own store, unless one was named.
    store_folder: Option<TempDir>,
}

pub(crate) async fn run(app: &App, arguments: &Demo) -> Result<Answer> {
    let own = app.named_or_by_url(None)?;
    let title = match &own {
        Some(selected) => format!("Lifeboat demo on your database '{}', which is only read", selected.slug),
        None => "Lifeboat demo: a shop in a throwaway PostgreSQL, from the dump to the proof".to_owned(),
    };
    let mut tale = Story::begin(app, &title);
    let stage = Box::pin(set_up(app, arguments, own, &mut tale)).await?;
    let told = Box::pin(tell(app, arguments, &stage, &mut tale)).await;
    let cleaned = stage.clean_up(app).await;
    let outcome = told?;
    tale.step("clean up", &[cleaned?], &json!({}));
    let report = &outcome.report;
    let html = arguments.dir.join("report.html");
    let mut lines = vec![
        format!("DRILL {}", report.verdict.words().to_uppercase()),
        String::new(),
        drill_rows(&outcome),
        drill_controls(&outcome),
        format!(
            "Recovery took {}; the data were {} old",
            told_seconds(report.rto.actual_seconds.value),
            told_seconds(report.rpo.actual_seconds.value)
        ),
    ];
    lines.extend(report.reasons.iter().map(|r| format!("because: {r}")));
    lines.extend([String::new(), format!("Report: {}", html.display())]);
    tale.block(&lines);
    tale.say(&format!("\nAll of it took {}.\n", tale.elapsed()));
    let document = json!({ "steps": tale.into_steps(), "drill": DrillAnswer::new(&outcome), "report": html });
    Ok(Answer::new(&document, "")?.with_exit(drill::exit(&outcome)))
}

async fn set_up(app: &App, arguments: &Demo, own: Option<Selected>, tale: &mut Story<'_>) -> Result<Stage> {
    let mut setup = app.setup.clone();
    if let Some(selected) = own {
        let connection = setup.connection(&selected).await?;
        // Asked for early: without a store nothing can begin.
        app.store().await?;
        return Ok(Stage { setup, selected, connection, shop: None, store_folder: None });
    }
    let named = setup.config.store.as_ref().is_some_and(|s| matches!(s.origin, Origin::Flag(_)));
    let store_folder = if named {
        None
    } else {
        let folder = tempfile::Builder::new()
            .prefix("lifeboat-demo-")
            .tempdir_in(setup.temporary_folder())
            .or_error(ErrorKind::Config, "make a folder for the demo's store")?;
        setup.config.control_store = None;
        // What happens to the demo's own database is nobody's business.
        setup.config.bus = None;
        setup.config.store = Some(Setting::default_of(folder_url(&folder.path().join("store"))));
        Some(folder)
    };
    let shop = Shop::open(app, arguments.scale).await?;
    let figures = json!({ "server_version": shop.version(), "start_seconds": shop.start_seconds, "load_seconds": shop.load_seconds });
    let lines = [
        format!("PostgreSQL {} started in {}", shop.version(), duration(shop.start_seconds)),
        format!("shop filled and indexed in {}", duration(shop.load_seconds)),
    ];
    tale.step("source", &lines, &figures);
    let mut config = setup.database(&"shop".parse()?);
    // A shop that nobody has to keep secret, in a store that is thrown away.
    config.encryption = EncryptionConfig::default();
    config.rto = Some(Setting::default_of(Span(600)));
    config.rpo = Some(Setting::default_of(Span(3600)));
    config.drill.checks = Setting::default_of(vec![
        check("there are orders", "SELECT count(*) > 0 FROM shop.orders"),
        check(
            "no order without items",
            "SELECT NOT EXISTS (SELECT FROM shop.orders o WHERE NOT EXISTS (SELECT FROM shop.order_items i WHERE i.order_id = o.id))",
        ),
    ]);
    let selected = Selected { slug: "shop".parse()?, config };
    Ok(Stage { setup, selected, connection: shop.connection(), shop: Some(shop), store_folder })
}

fn check(name: &str, sql: &str) -> Assertion {
    Assertion { name: name.to_owned(), sql: sql.to_owned() }
}

fn folder_url(path: &Path) -> String {
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("file://{escaped}")
}

async fn tell(app: &App, arguments: &Demo, stage: &Stage, tale: &mut Story<'_>) -> Result<DrillOutcome> {
    let context = &app.context;
    preflight_step(app, stage, tale).await?;
    let dumped = dump_step(app, stage, tale).await?;
    let store = stage.setup.open_store().await?;
    list_step(app, &*store, stage, tale).await?;
    let backup = context.cancel.race(catalog::open(&*store, &dumped.database, &dumped.backup_id)).await?;
    restore_step(app, stage, &store, Arc::new(backup.manifest), tale).await?;
    let outcome = drill_step(app, stage, tale).await?;
    retention_step(app, &*store, stage, tale).await?;
    copy_report(&*store, &outcome, &arguments.dir, context).await?;
    Ok(outcome)
}

async fn preflight_step(app: &App, stage: &Stage, tale: &mut Story<'_>) -> Result<()> {
    let cancel = &app.context.cancel;
    app.context.progress.phase("preflight", None);
    let source = cancel.race(stage.setup.open_source(stage.connection.clone())).await?;
    let found = cancel.race(source.preflight()).await?;
    let worst = found.findings.iter().any(|f| f.severity == Severity::Error);
    let mut lines = vec![format!(
        "PostgreSQL {}, client tools {}, {} in {} tables",
        found.server_version,
        found.client_version,
        bytes(found.database_bytes),
        count(found.tables)
    )];
    let said = preflight::findings(&found);
    lines.extend(said.lines().map(ToOwned::to_owned));
    tale.step("preflight", &lines, &json!(found));
    if worst {
        return Err(Error::new(ErrorKind::Database, "preflight found what stands in the way of a dump; see above"));
    }
    Ok(())
}

async fn dump_step(app: &App, stage: &Stage, tale: &mut Story<'_>) -> Result<DumpAnswer> {
    let options = DumpOptions::default();
    let dumped = runs::dump_of(&stage.setup, stage.connection.clone(), &stage.selected, &options, &app.context)
        .await?
        .into_result()?;
    let lines = [
        format!("{}/{}", dumped.database, dumped.backup_id),
        dump::rows(&dumped),
        dump::sizes(&dumped),
        format!("took {}", dump::speed(&dumped)),
    ];
    tale.step("dump", &lines, &json!(dumped));
    if let Some(verified) = &dumped.verified {
        let line = format!(
            "{} objects, {} read back, hashed{} in {}: every byte as written",
            count(verified.objects),
            bytes(verified.bytes),
            if verified.decoded { ", decoded and counted" } else { "" },
            duration(verified.seconds)
        );
        tale.step("verify", &[line], &json!(verified));
    }
    Ok(dumped)
}

async fn list_step(app: &App, store: &dyn Store, stage: &Stage, tale: &mut Story<'_>) -> Result<()> {
    let states = app.context.cancel.race(catalog::list(store, Some(&stage.selected.slug))).await?;
    let shown = list::shown(&states, app.context.clock.now());
    let lines: Vec<String> = shown.lines().take(6).map(ToOwned::to_owned).collect();
    tale.step("list", &lines, &json!({ "backups": states.len() }));
    Ok(())
}

/// The restore goes to a second database: beside the shop, or in a throwaway cluster.
async fn restore_step(
    app: &App,
    stage: &Stage,
    store: &Arc<dyn Store>,
    manifest: Arc<Manifest>,
    tale: &mut Story<'_>,
) -> Result<()> {
    let context = &app.context;
    let identities = stage.setup.identities_for(&manifest, None).await?;
    let request = RestoreRequest { jobs: stage.selected.config.jobs.value, ..RestoreRequest::default() };
    let (target, scratch): (Arc<dyn Target>, Option<Box<dyn Scratch>>) = if let Some(shop) = &stage.shop {
        let connection = shop.second(app).await?;
        (Arc::new(context.cancel.race(stage.setup.open_target(connection)).await?), None)
    } else {
        context.progress.phase("start a cluster", None);
        let globals = BackupReader::new(&**store, &manifest, &identities).whole(&manifest.globals).await?;
        let provider = stage.setup.scratch(&stage.selected, Some("local")).await?;
        let drill = DrillId::new(context.clock.now(), context.entropy.next());
        let wish = ScratchWish::of_backup(&drill, &manifest, &globals);
        let scratch = provider.provision(&wish, context).await?;
        (scratch.target(), Some(scratch))
    };
    let ports = RestorePorts { store: Arc::clone(store), identities, target };
    let restored = restore::run(&ports, &manifest, &request, None, context).await;
    if let Some(scratch) = scratch {
        context.progress.phase("tear down", None);
        scratch.tear_down().await?;
    }
    let restored = restored?;
    tale.step("restore", &restored_lines(&restored), &json!(restored));
    Ok(())
}

fn restored_lines(restored: &RestoreOutcome) -> Vec<String> {
    let seconds = total(&restored.phases);
    vec![
        format!("into {}", restored.target),
        format!(
            "{} rows in {} ({} rows/s), indexes, keys and ANALYZE included",
            count(restored.rows),
            duration(seconds),
            count(dump::per_second(restored.rows, seconds))
        ),
        format!("all tables and large objects ({}) compared with the manifest: equal", restored.compared.len()),
    ]
}

async fn drill_step(app: &App, stage: &Stage, tale: &mut Story<'_>) -> Result<DrillOutcome> {
    let options = DrillOptions {
        select: Some(Selection::Latest),
        scratch: Some("local".to_owned()),
        trigger: "command line".to_owned(),
        operator: app.setup.environment().text("USER")?,
        jobs: None,
        ..DrillOptions::default()
    };
    let outcome = runs::drill(&stage.setup, &stage.selected, &options, &app.context).await?;
    let phases: Vec<String> =
        outcome.report.phases.iter().map(|p| format!("{} {}", p.phase, duration(p.seconds))).collect();
    let lines =
        [outcome.report.environment.target.clone(), drill_rows(&outcome), drill_controls(&outcome), phases.join(", ")];
    tale.step("drill", &lines, &json!(DrillAnswer::new(&outcome)));
    Ok(outcome)
}

async fn retention_step(app: &App, store: &dyn Store, stage: &Stage, tale: &mut Story<'_>) -> Result<()> {
    let report = runs::retention_plan(&stage.setup, store, &stage.selected, &app.context).await?;
    let plan = &report.plan;
    let kept = plan.decisions.iter().filter(|d| d.keep).count();
    let mut lines = vec![format!("{kept} kept, {} to expire, {} good", plan.decisions.len() - kept, plan.good)];
    lines.extend(
        plan.decisions
            .iter()
            .take(3)
            .map(|d| format!("{} {}: {}", if d.keep { "keep" } else { "expire" }, d.backup_id, d.reason)),
    );
    tale.step("retention", &lines, &json!(report));
    Ok(())
}

fn drill_rows(outcome: &DrillOutcome) -> String {
    let coverage = &outcome.report.data.coverage;
    format!(
        "{} of {} tables compared, {} equal; {} rows",
        count(coverage.tables_compared),
        count(coverage.tables_expected),
        count(coverage.tables_equal),
        count(coverage.rows_compared)
    )
}

fn drill_controls(outcome: &DrillOutcome) -> String {
    let controls = &outcome.report.proof.negative_controls;
    let rejected = controls.iter().filter(|c| c.rejected).count();
    let checks = &outcome.report.proof.checks;
    let mut text = format!("{rejected} of {} damaged copies rejected", controls.len());
    if !checks.is_empty() {
        text.add(format_args!("; {} of {} checks passed", checks.iter().filter(|c| c.passed).count(), checks.len()));
    }
    text
}

fn told_seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "unknown time".to_owned(), duration)
}

/// The report must survive the demo's store.
async fn copy_report(store: &dyn Store, outcome: &DrillOutcome, folder: &Path, context: &RunContext) -> Result<()> {
    fs::create_dir_all(folder).or_error(ErrorKind::Config, format!("make the folder {}", folder.display()))?;
    for name in ["report.html", "report.json", "report.md"] {
        let key = format!("{}{name}", outcome.folder);
        let (report, _) = context.cancel.race(store.read(&key, 256 << 20)).await?;
        let path: PathBuf = folder.join(name);
        fs::write(&path, &report).or_error(ErrorKind::Config, format!("write {}", path.display()))?;
    }
    Ok(())
}

impl Stage {
    /// Removes what the demo made, and says what.
    async fn clean_up(self, app: &App) -> Result<String> {
        app.context.progress.phase("clean up", None);
        let mut gone = Vec::new();
        if let Some(shop) = self.shop {
            gone.push(shop.close().await?);
        }
        if let Some(folder) = self.store_folder {
            folder.close().or_error(ErrorKind::Unexpected, "remove the demo's store")?;
            gone.push("the demo's store is gone".to_owned());
        }
        if gone.is_empty() {
            gone.push("the backup and the report stay in your store".to_owned());
        }
        Ok(gone.join("; "))
    }
}
