//! The recovery kit: `RESTORE.md`, the commands that restore one backup with stock tools alone.

use std::fmt::Write;

use askama::Template;
use lifeboat_archive::names;

use crate::{
    ErrorKind, Result, ResultExt,
    ids::{BackupId, DatabaseSlug},
    manifest::{Encryption, LargeObjectRecord, Omitted, SourceFacts, TableRecord, backup_folder},
    markdown::{grouped, inline},
    shell::shell_quote,
};

/// The name of the kit in a backup's folder.
pub const KIT_NAME: &str = "RESTORE.md";

/// Tables in the kit's table for people; the rest are summed up.
const LISTED: usize = 30;

/// Tables whose rows the kit's commands count, the largest first.
const CHECKED: usize = 1000;

/// All that a dump knows when it writes the kit.
#[derive(Debug, Clone, Copy)]
pub struct KitInput<'a> {
    /// The database.
    pub database: &'a DatabaseSlug,
    /// The backup.
    pub backup_id: &'a BackupId,
    /// The store's URL, `s3://bucket/prefix` or `file:///dir`; holds no secret.
    pub store_url: &'a str,
    /// Lifeboat's version.
    pub lifeboat_version: &'a str,
    /// The source at the snapshot.
    pub source: &'a SourceFacts,
    /// Tables with data.
    pub tables: &'a [TableRecord],
    /// Dump ids of rows that lie in tables of extensions ([`lifeboat_archive::toc::Toc::data_of_extensions`]).
    pub extension_data: &'a [i32],
    /// Large objects.
    pub large_objects: &'a [LargeObjectRecord],
    /// What the backup does not hold.
    pub omitted: &'a [Omitted],
    /// Codec of the data as the manifest names it: `zstd:1`, `gzip:6`, `none`.
    pub compression: &'a str,
    /// How the archive is encrypted, if it is.
    pub encryption: Option<&'a Encryption>,
    /// Whether the backup has a `globals.sql`.
    pub globals: bool,
}

struct CheckedTable {
    schema: String,
    name: String,
    rows: u64,
    at_least: bool,
}

struct ListedTable {
    name: String,
    rows: String,
}

/// Every text here is ready to stand where the template puts it: `*_word`s and options in a command, the rest in prose.
#[derive(Template)]
#[allow(clippy::struct_excessive_bools, reason = "switches of a template")]
#[template(path = "RESTORE.md", escape = "none")]
struct Kit<'a> {
    slug: &'a str,
    backup_id: &'a str,
    lifeboat_version: String,
    location: String,
    database_name: String,
    server: String,
    server_version: String,
    standby: bool,
    snapshot_at: String,
    snapshot_lsn: Option<String>,
    archive_version: String,
    client_version: String,
    compression: String,
    encryption: String,
    recipients: String,
    table_count: String,
    total_rows: String,
    large_object_count: String,
    large_object_number: usize,
    raw_bytes: String,
    stored_bytes: String,
    restore_major: u32,
    s3: bool,
    zstd: bool,
    /// Whether toc.dat names the algorithm in one byte: since archive version 1.15.
    algorithm_byte: bool,
    /// The entry with the fewest data, to try whether they can be read.
    probe: Option<i32>,
    suffix: &'static str,
    decrypt_tool: Option<&'static str>,
    age: bool,
    /// Whether the key lies in the backup, kept by a passphrase.
    passphrase: bool,
    store_word: String,
    source_word: Option<String>,
    target_word: Option<String>,
    create_options: String,
    locale_note: &'static str,
    globals: bool,
    settings: Vec<(String, String)>,
    extension_data: &'a [i32],
    extensions: String,
    /// What psql and the server speak: with no encoding, bytes as they are.
    client_encoding: &'static str,
    lc_monetary: String,
    lc_monetary_word: Option<String>,
    checked: Vec<CheckedTable>,
    check_note: String,
    omitted: Vec<Omitted>,
    largest: Vec<ListedTable>,
    more_tables: usize,
    more_rows: String,
}

/// Writes the recovery kit.
///
/// Its blocks marked `sh` are the restore: executed in order in one POSIX shell they end with the database restored
/// and its rows counted. Names that hold control characters never reach a command; a variable takes their place.
pub fn render(input: &KitInput<'_>) -> Result<String> {
    let source = input.source;
    let folder = backup_folder(input.database, input.backup_id);
    let url =
        format!("{}/{folder}", input.store_url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/'));
    let s3 = url.starts_with("s3://");
    let files = if s3 { url.clone() } else { local_path(url.trim_end_matches('/')) };

    let mut by_rows: Vec<&TableRecord> = input.tables.iter().collect();
    by_rows.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.qualified().cmp(&b.qualified())));
    let checked = checked_tables(&by_rows, input.extension_data);
    let sum = |of: fn(&TableRecord) -> u64| input.tables.iter().map(of).sum::<u64>();
    let large = |of: fn(&LargeObjectRecord) -> u64| input.large_objects.iter().map(of).sum::<u64>();
    let rest = by_rows.get(LISTED..).unwrap_or_default();

    let kit = Kit {
        slug: input.database.as_str(),
        backup_id: input.backup_id.as_str(),
        lifeboat_version: inline(input.lifeboat_version),
        location: inline(&url),
        database_name: inline(&source.database_name),
        server: inline(&source.server),
        server_version: inline(&source.server_version),
        standby: source.standby,
        snapshot_at: source.snapshot_at.to_string(),
        snapshot_lsn: source.snapshot_lsn.as_deref().map(inline),
        archive_version: source.archive_version.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect(),
        client_version: inline(&source.client_version),
        compression: inline(input.compression),
        encryption: input.encryption.map_or_else(
            || "no".to_owned(),
            |e| format!("yes, {}: every object of the archive, and the roles", inline(&e.kind)),
        ),
        recipients: input.encryption.map(|e| inline(&e.recipients.join(", "))).unwrap_or_default(),
        table_count: grouped(input.tables.len() as u64),
        total_rows: grouped(sum(|t| t.rows)),
        large_object_count: grouped(input.large_objects.len() as u64),
        large_object_number: input.large_objects.len(),
        raw_bytes: grouped(sum(|t| t.raw_bytes) + large(|l| l.raw_bytes)),
        stored_bytes: grouped(sum(|t| t.stored_bytes) + large(|l| l.object.size)),
        restore_major: oldest_pg_restore(source),
        s3,
        zstd: input.compression.starts_with("zstd"),
        algorithm_byte: archive_minor(source).is_none_or(|minor| minor >= 15),
        probe: input.tables.iter().min_by_key(|t| t.stored_bytes).map(|t| t.dump_id),
        suffix: match input.compression.split(':').next() {
            Some("zstd") => ".zst",
            Some("gzip") => ".gz",
            _ => "",
        },
        decrypt_tool: input.encryption.map(|e| if e.kind == "age" { "age" } else { "gpg" }),
        age: input.encryption.is_some_and(|e| e.kind == "age"),
        passphrase: input.encryption.is_some_and(|e| e.key.is_some()),
        store_word: word(input.store_url).unwrap_or_else(|| "STORE".to_owned()),
        source_word: word(&files),
        target_word: word(&source.database_name).filter(|_| !source.database_name.is_empty()),
        create_options: create_options(source),
        locale_note: locale_note(source),
        globals: input.globals,
        settings: source.settings.iter().map(|(name, value)| (inline(name), inline(value))).collect(),
        extension_data: input.extension_data,
        extensions: extensions(source),
        client_encoding: if source.encoding == "SQL_ASCII" { "SQL_ASCII" } else { "UTF8" },
        lc_monetary: inline(&source.lc_monetary),
        lc_monetary_word: lc_monetary_word(&source.lc_monetary),
        check_note: check_note(input.tables.len(), &checked),
        checked,
        omitted: input
            .omitted
            .iter()
            .filter(|o| o.kind != "role passwords")
            .map(|o| Omitted { kind: inline(&o.kind), object: inline(&o.object), reason: inline(&o.reason) })
            .collect(),
        largest: by_rows
            .iter()
            .take(LISTED)
            .map(|t| ListedTable { name: inline(&t.qualified()), rows: grouped(t.rows) })
            .collect(),
        more_tables: rest.len(),
        more_rows: grouped(rest.iter().map(|t| t.rows).sum()),
    };
    let mut text = kit.render().or_error(ErrorKind::Unexpected, "write RESTORE.md")?;
    text.push('\n');
    Ok(text)
}

fn archive_minor(source: &SourceFacts) -> Option<u32> {
    source.archive_version.split('.').nth(1)?.parse().ok()
}

/// The oldest major version of `pg_restore` that reads the archive: 1.14 came with 12, 1.15 with 16, 1.16 with 17
/// (`K_VERS_*` in `pg_backup_archiver.h`). An unknown version wants the client that wrote it.
fn oldest_pg_restore(source: &SourceFacts) -> u32 {
    match archive_minor(source) {
        Some(..=14) => 12,
        Some(15) => 16,
        Some(16) => 17,
        _ => source.client_version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(17),
    }
}

/// A word of a command; `None` for text with control characters, which could end a line or a code block.
fn word(text: &str) -> Option<String> {
    (!text.chars().any(char::is_control)).then(|| shell_quote(text))
}

/// The path behind a `file:` URL, its `%XX` decoded; other text is a path already.
fn local_path(url: &str) -> String {
    let Some(path) = url.strip_prefix("file://") else { return url.to_owned() };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|d| first == b'%' && d.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn create_options(source: &SourceFacts) -> String {
    let mut options = String::new();
    let mut option = |name: &str, value: &str| {
        if let Some(value) = word(value).filter(|_| !value.is_empty()) {
            let space = if options.is_empty() { "" } else { " " };
            let _ = write!(options, "{space}--{name}={value}");
        }
    };
    option("encoding", &source.encoding);
    option("lc-collate", &source.collate);
    option("lc-ctype", &source.ctype);
    // `createdb` knows providers since 15, the builtin one since 17; libc is what older ones have.
    match (source.locale_provider.as_str(), &source.locale) {
        ("icu", Some(locale)) => {
            option("locale-provider", "icu");
            option("icu-locale", locale);
        }
        ("builtin", Some(locale)) => {
            option("locale-provider", "builtin");
            option("builtin-locale", locale);
        }
        _ => {}
    }
    options
}

fn locale_note(source: &SourceFacts) -> &'static str {
    match source.locale_provider.as_str() {
        "icu" => {
            "It has the source's encoding and ICU locale, which needs `createdb` and a server of version 15 or newer. \
             Another operating system may name its locales otherwise: change `--lc-collate` and `--lc-ctype` then, \
             never the encoding."
        }
        "builtin" => {
            "It has the source's encoding and builtin locale, which needs `createdb` and a server of version 17 or \
             newer. Another operating system may name its locales otherwise: change `--lc-collate` and `--lc-ctype` \
             then, never the encoding."
        }
        _ => {
            "It has the source's encoding and locale. Another operating system may name its locales otherwise: change \
             `--lc-collate` and `--lc-ctype` then, never the encoding."
        }
    }
}

fn extensions(source: &SourceFacts) -> String {
    let names: Vec<_> = source
        .extensions
        .iter()
        .filter(|e| e.name != "plpgsql")
        .map(|e| format!("{} {}", inline(&e.name), inline(&e.version)))
        .collect();
    names.join(", ")
}

/// `-c lc_monetary=…` for PGOPTIONS, where backslashes escape blanks (libpq's documentation of `options`).
fn lc_monetary_word(lc_monetary: &str) -> Option<String> {
    if lc_monetary.is_empty() {
        return None;
    }
    word(&format!("-c lc_monetary={}", lc_monetary.replace('\\', r"\\").replace(' ', r"\ ")))
}

/// What the kit counts. Tables that load through a partition root are counted at the root, and there other partitions
/// may hold more: the sum is a minimum. So are the rows of an extension's table, which brings rows of its own.
fn checked_tables(by_rows: &[&TableRecord], extension_data: &[i32]) -> Vec<CheckedTable> {
    let mut checked: Vec<CheckedTable> = Vec::new();
    for table in by_rows.iter().take(CHECKED) {
        let (schema, name, at_least) = match &table.loads_into {
            None => (table.schema.as_str(), table.name.as_str(), extension_data.contains(&table.dump_id)),
            Some(root) => match root.split_once('.') {
                Some((schema, name)) if !name.contains('.') => (schema, name, true),
                // Where the schema ends cannot be told.
                _ => continue,
            },
        };
        let (schema, name) = (sql_text(schema), sql_text(name));
        match checked.iter_mut().find(|c| at_least && c.at_least && c.schema == schema && c.name == name) {
            Some(root) => root.rows += table.rows,
            None => checked.push(CheckedTable { schema, name, rows: table.rows, at_least }),
        }
    }
    checked
}

fn check_note(tables: usize, checked: &[CheckedTable]) -> String {
    if checked.iter().any(|c| c.at_least) || checked.len() < tables {
        " Partitions that load through their root are counted there, as a minimum, and so are tables of extensions, which \
         bring rows of their own; beyond the largest 1000 tables, see `manifest.json`."
            .to_owned()
    } else {
        String::new()
    }
}

/// A text constant for psql on one line, whatever the name holds; bytes that are no UTF-8 are the server's own.
fn sql_text(shown: &str) -> String {
    let name = names::bytes(shown);
    match std::str::from_utf8(&name) {
        Ok(text) if !text.chars().any(|c| c.is_control() || c == '\\') => {
            return format!("'{}'", text.replace('\'', "''"));
        }
        _ => {}
    }
    let mut literal = String::from("E'");
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' => literal.push_str("''"),
                '\\' => literal.push_str(r"\\"),
                c if c.is_control() => {
                    let _ = write!(literal, r"\u{:04x}", u32::from(c));
                }
                c => literal.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(literal, r"\x{byte:02x}");
        }
    }
    literal.push('\'');
    literal
}
