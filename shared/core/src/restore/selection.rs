//! Which TOC entries belong to a restore: all, or some tables with what they need.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use lifeboat_archive::{
    names,
    toc::{Entry, Toc},
};

use crate::{Error, ErrorKind, Result};

/// A table as a person names it: `schema.table` or `table`; quotes as in SQL where a name has odd characters, and `\xe4`
/// for a byte that is no UTF-8, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TableName {
    /// The schema; any if not given.
    pub schema: Option<String>,
    /// The table.
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for TableName {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(ErrorKind::Usage, format!("'{text}' does not name a table"))
                .with_hint("write schema.table, with double quotes around a name with odd characters")
        };
        let mut parts = vec![String::new()];
        let mut quoted = false;
        let mut characters = text.chars().peekable();
        while let Some(c) = characters.next() {
            let last = parts.len() - 1;
            match c {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    parts[last].push('"');
                }
                '"' => quoted = !quoted,
                '.' if !quoted => parts.push(String::new()),
                c => parts[last].push(c),
            }
        }
        if quoted || parts.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let name = parts.pop().ok_or_else(wrong)?;
        match parts.len() {
            0 => Ok(Self { schema: None, name }),
            1 => Ok(Self { schema: parts.pop(), name }),
            _ => Err(wrong()),
        }
    }
}

/// Entries that hang on a table and come along with it.
const ATTACHED: [&str; 21] = [
    "TABLE DATA",
    "DEFAULT",
    "CONSTRAINT",
    "CHECK CONSTRAINT",
    "FK CONSTRAINT",
    "INDEX",
    "INDEX ATTACH",
    "TABLE ATTACH",
    "TRIGGER",
    "RULE",
    "POLICY",
    "ROW SECURITY",
    "SEQUENCE",
    "SEQUENCE OWNED BY",
    "SEQUENCE SET",
    "STATISTICS",
    "COMMENT",
    "SECURITY LABEL",
    "ACL",
    "EXTENDED STATISTICS DATA",
    "STATISTICS DATA",
];

fn text(bytes: Option<&Vec<u8>>) -> &[u8] {
    bytes.map_or(&[][..], Vec::as_slice)
}

fn is_named(entry: &Entry, table: &TableName) -> bool {
    entry.desc_str() == "TABLE"
        && entry.tag == names::bytes(&table.name)
        && table.schema.as_ref().is_none_or(|s| text(entry.namespace.as_ref()) == names::bytes(s))
}

/// Schema and name of the named tables, as bytes.
pub(super) fn named(toc: &Toc, tables: &[TableName]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let found = roots(toc, tables)?;
    let entries = toc.entries.iter().filter(|e| found.contains(&e.dump_id));
    Ok(entries.map(|e| (text(e.namespace.as_ref()).to_vec(), e.tag.clone())).collect())
}

/// The entries of the named tables.
fn roots(toc: &Toc, tables: &[TableName]) -> Result<BTreeSet<i32>> {
    let mut roots = BTreeSet::new();
    for table in tables {
        let found: Vec<&Entry> = toc.entries.iter().filter(|e| is_named(e, table)).collect();
        match found.as_slice() {
            [] => {
                return Err(Error::new(ErrorKind::Usage, format!("the backup holds no table {table}")).with_hint(
                    "`lifeboat show BACKUP` lists its tables; of a view, name the tables that it reads; \
                     a name with odd characters goes in double quotes",
                ));
            }
            [one] => roots.insert(one.dump_id),
            many => {
                let schemas: Vec<_> = many.iter().map(|e| e.namespace_str()).collect();
                return Err(Error::new(ErrorKind::Usage, format!("{table} is in schemas {}", schemas.join(", ")))
                    .with_hint("write schema.table"));
            }
        };
    }
    Ok(roots)
}

/// The dump ids of the named tables, of what hangs on them, and of all that those need.
pub(super) fn select(toc: &Toc, tables: &[TableName]) -> Result<BTreeSet<i32>> {
    if tables.is_empty() {
        return Ok(toc.entries.iter().map(|e| e.dump_id).collect());
    }
    let by_id: BTreeMap<i32, &Entry> = toc.entries.iter().map(|e| (e.dump_id, e)).collect();
    let mut roots = roots(toc, tables)?;
    // Partitions come along with their parents.
    loop {
        let before = roots.len();
        for entry in toc.entries.iter().filter(|e| e.desc_str() == "TABLE ATTACH") {
            if entry.dependencies.iter().any(|d| roots.contains(d)) {
                let partitions =
                    entry.dependencies.iter().filter(|d| by_id.get(d).is_some_and(|e| e.desc_str() == "TABLE"));
                roots.extend(partitions);
            }
        }
        if roots.len() == before {
            break;
        }
    }
    let mut selected = roots.clone();
    // What the tables need must be there before it is known which foreign keys can be.
    needs(&by_id, &mut selected, false);
    loop {
        let before = selected.len();
        for entry in &toc.entries {
            let hangs_on = |e: &Entry| e.dependencies.iter().any(|d| roots.contains(d));
            let owned_sequence = |e: &Entry| {
                e.dependencies.iter().any(|d| {
                    selected.contains(d)
                        && by_id
                            .get(d)
                            .is_some_and(|x| matches!(x.desc_str().as_ref(), "SEQUENCE" | "INDEX" | "CONSTRAINT"))
                })
            };
            let desc = entry.desc_str();
            if !ATTACHED.contains(&desc.as_ref()) || !(hangs_on(entry) || owned_sequence(entry)) {
                continue;
            }
            let complete = desc != "FK CONSTRAINT"
                || entry
                    .dependencies
                    .iter()
                    .all(|d| by_id.get(d).is_none_or(|e| e.desc_str() != "TABLE" || roots.contains(d)));
            if complete {
                selected.insert(entry.dump_id);
            }
        }
        needs(&by_id, &mut selected, true);
        if selected.len() == before {
            break;
        }
    }
    // A table that something only needs is created, but its rows were not asked for.
    selected.retain(|id| {
        by_id.get(id).is_none_or(|e| !e.is_table_data() || e.dependencies.iter().any(|d| roots.contains(d)))
    });
    add_schemas(toc, &mut selected);
    Ok(selected)
}

/// Adds everything that the selected entries depend on.
fn needs(by_id: &BTreeMap<i32, &Entry>, selected: &mut BTreeSet<i32>, data_too: bool) {
    let mut open: Vec<i32> = selected.iter().copied().collect();
    while let Some(id) = open.pop() {
        let Some(entry) = by_id.get(&id) else { continue };
        for dependency in &entry.dependencies {
            let known = by_id.get(dependency).is_some_and(|e| data_too || !e.is_table_data());
            if known && selected.insert(*dependency) {
                open.push(*dependency);
            }
        }
    }
}

fn add_schemas(toc: &Toc, selected: &mut BTreeSet<i32>) {
    let namespaces: BTreeSet<&[u8]> =
        toc.entries.iter().filter(|e| selected.contains(&e.dump_id)).map(|e| text(e.namespace.as_ref())).collect();
    let schemas = toc.entries.iter().filter(|e| e.desc_str() == "SCHEMA" && namespaces.contains(e.tag.as_slice()));
    selected.extend(schemas.map(|e| e.dump_id));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_read_as_sql_reads_them() {
        let plain: TableName = "public.orders".parse().unwrap();
        assert_eq!((plain.schema.as_deref(), plain.name.as_str()), (Some("public"), "orders"));
        let odd: TableName = "\"a.b\".\"c\"\"d\"".parse().unwrap();
        assert_eq!((odd.schema.as_deref(), odd.name.as_str()), (Some("a.b"), "c\"d"));
        for text in ["", ".", "a.", "a.b.c", "\"a"] {
            assert!(text.parse::<TableName>().is_err(), "{text}");
        }
    }
}
