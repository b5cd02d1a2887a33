//! `show`: one backup in full.

use lifeboat_core::{
    Result,
    manifest::Encryption,
    report::words::{bytes, count, counted, duration},
};
use serde_json::json;

use super::{dump::ratio, list::age};
use crate::{
    answer::Answer,
    app::App,
    arguments::Show,
    table::{Align, facts, table},
    text::Append,
};

/// Tables shown to people; the document holds all.
const SHOWN: usize = 30;

pub(crate) async fn run(app: &App, arguments: &Show) -> Result<Answer> {
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    let (manifest, state) = (&backup.manifest, &backup.state);
    let totals = &manifest.totals;
    let source = &manifest.source;
    let mut standing = state.standing().to_owned();
    if let Some(at) = state.verified_at() {
        standing.add(format_args!(", verified {at:.0}"));
    }
    if let Some(at) = state.restored_at() {
        standing.add(format_args!(", restored by a drill {at:.0}"));
    }
    let rows = [
        ("backup", state.qualified()),
        ("location", format!("{}/{}", store.url().trim_end_matches('/'), manifest.folder())),
        ("state", standing),
        ("held", state.held.clone().unwrap_or_else(|| "no".to_owned())),
        ("tier", format!("{} ({})", state.tier.name(), manifest.timezone)),
        ("snapshot", format!("{:.0} ({} ago)", source.snapshot_at, age(app.context.clock.now(), source.snapshot_at))),
        (
            "source",
            format!("database '{}' on {}, PostgreSQL {}", source.database_name, source.server, source.server_version),
        ),
        (
            "archive",
            format!("version {}, pg_dump {}, {}", source.archive_version, source.client_version, manifest.compression),
        ),
        ("encrypted", manifest.encryption.as_ref().map_or_else(|| "no".to_owned(), Encryption::in_words)),
        ("rows", format!("{} in {}", count(totals.rows), counted(totals.tables, "table"))),
        ("large objects", count(totals.large_objects)),
        (
            "size",
            format!(
                "{} of data, {} stored in {} ({})",
                bytes(totals.raw_bytes),
                bytes(totals.stored_bytes),
                counted(totals.objects, "object"),
                ratio(totals.raw_bytes, totals.stored_bytes)
            ),
        ),
        (
            "phases",
            manifest
                .phases
                .iter()
                .map(|p| format!("{} {}", p.phase, duration(p.seconds)))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        ("made by", format!("lifeboat {}, run {}", manifest.lifeboat_version, manifest.run_id)),
        ("manifest", manifest.manifest_sha256.clone()),
    ];
    let mut text = facts(rows);
    if !manifest.omitted.is_empty() {
        text.push_str("\nNot in the backup:\n");
        for omitted in &manifest.omitted {
            text.add(format_args!("  {} {}: {}\n", omitted.kind, omitted.object, omitted.reason));
        }
    }
    let mut tables: Vec<_> = manifest.tables.iter().collect();
    tables.sort_by(|a, b| b.raw_bytes.cmp(&a.raw_bytes).then_with(|| a.qualified().cmp(&b.qualified())));
    text.push('\n');
    text.push_str(&table(
        &[
            ("table", Align::Left),
            ("rows", Align::Right),
            ("data", Align::Right),
            ("stored", Align::Right),
            ("chunks", Align::Right),
        ],
        tables.iter().take(SHOWN).map(|t| {
            vec![t.qualified(), count(t.rows), bytes(t.raw_bytes), bytes(t.stored_bytes), count(t.chunks.len() as u64)]
        }),
    ));
    if tables.len() > SHOWN {
        text.add(format_args!("… and {} smaller tables; --output json shows all\n", tables.len() - SHOWN));
    }
    text.add(format_args!("\nTo restore it: lifeboat restore {} --to env:TARGET_URL\n", state.qualified()));
    Answer::new(&json!({ "state": state, "manifest": manifest }), text)
}
