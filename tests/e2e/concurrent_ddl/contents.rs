//! What a backup says, in a form in which two backups can be compared: definitions, columns and rows, by name.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, ensure};
use lifeboat_core::{
    catalog,
    manifest::Manifest,
    ports::{BlockSource, RunContext, Store},
    reading::BackupReader,
    verify,
};

/// Everything a backup says of a database but numbers that the server gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    /// Kind, schema, name, definition and COPY statement of every entry of the table of contents.
    definitions: Vec<String>,
    /// Columns and sorted rows of every table.
    rows: BTreeMap<String, (Vec<String>, Vec<String>)>,
}

impl Contents {
    /// Verifies a backup and reads it.
    pub(super) async fn of(store: &Arc<dyn Store>, manifest: &Manifest, context: &RunContext) -> Result<Self> {
        let backup = catalog::open(&**store, &manifest.database, &manifest.backup_id).await?;
        verify::run(store, &backup, &Arc::default(), 1, context).await?.into_result()?;
        let identities = Arc::default();
        let backup = BackupReader::new(&**store, manifest, &identities);
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut definitions: Vec<String> = backup
            .toc()
            .await?
            .entries
            .iter()
            .map(|e| {
                let (schema, defn) = (text(e.namespace.as_deref()), text(e.defn.as_deref()));
                format!("{} {schema} {}: {defn}{}", e.desc_str(), e.tag_str(), text(e.copy_stmt.as_deref()))
            })
            .collect();
        definitions.sort();
        let mut rows = BTreeMap::new();
        for table in &manifest.tables {
            let mut text = Vec::new();
            for chunk in 0..table.chunks.len() {
                let mut reader = backup.rows(table, chunk).await?;
                while let Some(block) = reader.next_block().await? {
                    text.extend_from_slice(&block);
                }
            }
            let mut lines: Vec<String> =
                String::from_utf8(text).context("rows are UTF-8")?.lines().map(str::to_owned).collect();
            ensure!(lines.len() as u64 == table.rows, "{} has other rows than it says", table.qualified());
            lines.sort();
            rows.insert(table.qualified(), (table.columns.clone(), lines));
        }
        Ok(Self { definitions, rows })
    }

    /// Where two differ, briefly; for messages.
    pub(super) fn difference(&self, other: &Self) -> String {
        let mut found = Vec::new();
        for (name, (columns, rows)) in &self.rows {
            match other.rows.get(name) {
                None => found.push(format!("{name} is not in the other")),
                Some((there, _)) if there != columns => found.push(format!("{name} has {columns:?}, not {there:?}")),
                Some((_, there)) if there != rows => found.push(format!(
                    "{name} has {} rows such as {:?}, not {} such as {:?}",
                    rows.len(),
                    rows.first(),
                    there.len(),
                    there.first()
                )),
                Some(_) => {}
            }
        }
        let here = self.definitions.iter().filter(|d| !other.definitions.contains(d));
        found.extend(here.map(|d| format!("only here: {}", d.trim())));
        let there = other.definitions.iter().filter(|d| !self.definitions.contains(d));
        found.extend(there.map(|d| format!("only there: {}", d.trim())));
        found.join("\n  ")
    }
}
