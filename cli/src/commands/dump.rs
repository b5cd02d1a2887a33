//! `dump`: one backup, or one of every configured database.

use lifeboat_core::{
    Error, ErrorKind, Result,
    config::default_codec,
    ids::RunId,
    manifest::Encryption,
    ports::{RunContext, Severity},
    report::words::{bytes, count, counted, duration},
};
use lifeboat_runtime::{
    Selected, error_document,
    requests::DumpAnswer,
    runs::{self, DumpOptions},
};
use serde_json::json;

use crate::{
    answer::Answer,
    app::App,
    arguments::Dump,
    table::{Align, facts, table},
    text::Append,
};

pub(crate) async fn run(app: &App, arguments: &Dump) -> Result<Answer> {
    let options = options(app, arguments)?;
    let _alarm = app.end_by(arguments.deadline)?;
    if arguments.all {
        return all(app, &options).await;
    }
    let selected = app.one(arguments.database.as_ref())?;
    let done = runs::dump(&app.setup, &selected, &options, &app.context).await?.into_result()?;
    let remarks = remarks(&done);
    Ok(Answer::new(&done, format!("{}\n", done.backup_id))?.with_remarks(remarks))
}

fn options(app: &App, arguments: &Dump) -> Result<DumpOptions> {
    let restorer = app.setup.config.restorer.as_ref().map(|r| r.value);
    if let (Some(codec), Some(old @ ..=15)) = (arguments.compress, restorer)
        && codec.suffix() == ".zst"
    {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("--compress {codec} contradicts restorer = {old}: pg_restore reads zstd from 16 on"),
        )
        .with_hint(format!("use {}, or raise restorer", default_codec(restorer).value)));
    }
    Ok(DumpOptions {
        jobs: arguments.jobs,
        compress: arguments.compress,
        encrypt_to: arguments.encrypt_to.clone(),
        no_verify: arguments.no_verify,
        ..DumpOptions::default()
    })
}

/// Goes on after a failure, but begins nothing after Ctrl-C or the deadline; what was made until then is told all the same.
async fn all(app: &App, options: &DumpOptions) -> Result<Answer> {
    let databases = app.setup.all(app.database_url.as_deref())?;
    let mut results: Vec<(Selected, Result<DumpAnswer>)> = Vec::new();
    let mut stopped = None;
    for selected in databases {
        let result = match app.context.cancel.check() {
            Ok(()) => {
                // A run id names one execution of one operation.
                let context = RunContext { run_id: RunId::new(app.context.entropy.next()), ..app.context.clone() };
                runs::dump(&app.setup, &selected, options, &context).await.and_then(runs::Dumped::into_result)
            }
            Err(reason) => Err(reason.context("not begun")),
        };
        if result.is_err() {
            stopped = app.context.cancel.check().err().map(|reason| reason.kind());
        }
        results.push((selected, result));
    }
    let failed = results.iter().filter(|(_, r)| r.is_err()).count();
    let rows = results.iter().map(|(selected, result)| match result {
        Ok(done) => vec![
            selected.slug.to_string(),
            done.backup_id.to_string(),
            count(done.rows),
            bytes(done.stored_bytes),
            duration(done.seconds),
            if done.verified.is_some() { "verified" } else { "uploaded" }.to_owned(),
        ],
        Err(error) => {
            let dash = || "–".to_owned();
            vec![selected.slug.to_string(), dash(), dash(), dash(), dash(), format!("failed: {error}")]
        }
    });
    let text = table(
        &[
            ("database", Align::Left),
            ("backup", Align::Left),
            ("rows", Align::Right),
            ("stored", Align::Right),
            ("took", Align::Right),
            ("result", Align::Left),
        ],
        rows,
    );
    let documents: Vec<_> = results
        .iter()
        .map(|(selected, result)| match result {
            Ok(done) => json!({ "database": selected.slug, "backup": done }),
            Err(error) => json!({ "database": selected.slug, "error": error_document(error)["error"] }),
        })
        .collect();
    let document = json!({ "databases": documents, "done": results.len() - failed, "failed": failed });
    let mut remarks = String::new();
    for (selected, result) in &results {
        if let Err(error) = result {
            remarks.add(format_args!("{}: {error}\n  hint: {}\n", selected.slug, error.hint()));
        }
    }
    let exit = stopped.or((failed > 0).then_some(ErrorKind::FleetPartial));
    Ok(Answer::new(&document, text)?.with_remarks(remarks).with_exit(exit))
}

/// The figures of one backup.
pub(crate) fn remarks(done: &DumpAnswer) -> String {
    let mut text = facts([
        ("backup", format!("{}/{} ({})", done.database, done.backup_id, done.tier.name())),
        ("location", done.location.clone()),
        ("data", rows(done)),
        ("size", sizes(done)),
        ("encrypted", encrypted(done)),
        ("took", speed(done)),
        ("verified", verified(done)),
    ]);
    for finding in done.findings.iter().filter(|f| f.severity != Severity::Info) {
        text.add(format_args!("warning: {}\n  remedy: {}\n", finding.message, finding.remedy));
    }
    for omitted in done.omitted.iter().filter(|o| o.kind != "role passwords") {
        text.add(format_args!("omitted: {} {}: {}\n", omitted.kind, omitted.object, omitted.reason));
    }
    text
}

pub(crate) fn rows(done: &DumpAnswer) -> String {
    let mut text = format!("{} in {}", counted(done.rows, "row"), counted(done.tables, "table"));
    if done.large_objects > 0 {
        text.add(format_args!(", {}", counted(done.large_objects, "large object")));
    }
    text
}

pub(crate) fn sizes(done: &DumpAnswer) -> String {
    format!(
        "{} of data stored as {} ({}, {})",
        bytes(done.raw_bytes),
        bytes(done.stored_bytes),
        ratio(done.raw_bytes, done.stored_bytes),
        done.compression
    )
}

pub(crate) fn speed(done: &DumpAnswer) -> String {
    format!("{} ({}/s)", duration(done.seconds), bytes(per_second(done.raw_bytes, done.seconds)))
}

fn encrypted(done: &DumpAnswer) -> String {
    done.encryption.as_ref().map_or_else(|| "no".to_owned(), Encryption::in_words)
}

fn verified(done: &DumpAnswer) -> String {
    done.verified.as_ref().map_or_else(
        || "not yet; run `lifeboat verify`".to_owned(),
        |v| {
            let how = if v.decoded { "" } else { " and hashed" };
            format!("{}, {} read back{how} in {}", counted(v.objects, "object"), bytes(v.bytes), duration(v.seconds))
        },
    )
}

/// `5.3 : 1`
pub(crate) fn ratio(raw: u64, stored: u64) -> String {
    let tenths = raw.saturating_mul(10) / stored.max(1);
    format!("{}.{} : 1", tenths / 10, tenths % 10)
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
pub(crate) fn per_second(amount: u64, seconds: f64) -> u64 {
    (amount as f64 / seconds.max(0.001)) as u64
}
