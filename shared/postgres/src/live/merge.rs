//! The SQL of a comparison, and the statements that bring rows back. All of it is written here.

use lifeboat_core::ports::MergeStatement;

use super::keys::{Common, KeyColumn};
use crate::quote;

/// Keys that are shown.
const SHOWN: usize = 5;

/// A live table and its rescued copy, both quoted, and what they have in common.
pub(super) struct Pair {
    pub(super) live: String,
    pub(super) rescued: String,
    pub(super) common: Common,
}

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Rescued, and not in the live table.
    Missing,
    /// In the live table, and not rescued.
    OnlyLive,
    /// In both, with other values.
    Changed,
}

impl Pair {
    fn columns(&self, of: &str) -> String {
        let all = self.common.columns.iter().map(|c| format!("{of}{}", quote::identifier(&c.name)));
        all.collect::<Vec<_>>().join(", ")
    }

    /// A row as text: types without an operator for equality can be compared so, too.
    fn whole(&self, of: &str) -> String {
        format!("ROW({})::text", self.columns(of))
    }

    fn same_key(&self) -> String {
        let equal = |k: &KeyColumn| {
            let name = quote::identifier(&k.name);
            match (k.equal.0.as_str(), k.equal.1.as_str()) {
                ("pg_catalog", operator) => format!("l.{name} {operator} r.{name}"),
                (schema, operator) => format!("l.{name} OPERATOR({}.{operator}) r.{name}", quote::identifier(schema)),
            }
        };
        self.common.key.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    fn differ(&self) -> String {
        format!("{} IS DISTINCT FROM {}", self.whole("l."), self.whole("r."))
    }

    /// `FROM …` of the rows of a kind, and by what name they are called in it. Needs a key.
    fn from(&self, rows: Rows) -> (String, &'static str) {
        let (live, rescued, same) = (&self.live, &self.rescued, self.same_key());
        match rows {
            Rows::Missing => {
                (format!("FROM {rescued} AS r WHERE NOT EXISTS (SELECT FROM {live} AS l WHERE {same})"), "r")
            }
            Rows::OnlyLive => {
                (format!("FROM {live} AS l WHERE NOT EXISTS (SELECT FROM {rescued} AS r WHERE {same})"), "l")
            }
            Rows::Changed => (format!("FROM {rescued} AS r JOIN {live} AS l ON {same} WHERE {}", self.differ()), "r"),
        }
    }

    /// Counts the rows of a kind; `None` where they cannot be told without a key.
    pub(super) fn count(&self, rows: Rows) -> Option<String> {
        if !self.common.key.is_empty() {
            return Some(format!("SELECT pg_catalog.count(*) {}", self.from(rows).0));
        }
        let text = |table: &str| format!("SELECT {} FROM {table} AS t", self.whole("t."));
        let (these, without) = match rows {
            Rows::Missing => (text(&self.rescued), text(&self.live)),
            Rows::OnlyLive => (text(&self.live), text(&self.rescued)),
            Rows::Changed => return None,
        };
        Some(format!("SELECT pg_catalog.count(*) FROM ({these} EXCEPT ALL {without}) AS d"))
    }

    /// The first keys of the rows of a kind, as JSON texts; `None` without a key.
    pub(super) fn keys(&self, rows: Rows) -> Option<String> {
        if self.common.key.is_empty() {
            return None;
        }
        let (from, called) = self.from(rows);
        let name = |k: &KeyColumn| format!("{called}.{}", quote::identifier(&k.name));
        let order = self.common.key.iter().map(name).collect::<Vec<_>>().join(", ");
        let member = |k: &KeyColumn| format!("{}::text, {}", quote::literal(&k.name), name(k));
        let members = self.common.key.iter().map(member).collect::<Vec<_>>().join(", ");
        Some(format!("SELECT pg_catalog.jsonb_build_object({members})::text {from} ORDER BY {order} LIMIT {SHOWN}"))
    }

    /// Brings back rows that the live table lacks. What is there already stays as it is.
    pub(super) fn insert(&self) -> MergeStatement {
        let (live, rescued, columns) = (&self.live, &self.rescued, self.columns(""));
        let overriding = if self.common.columns.iter().any(|c| c.identity) { "\nOVERRIDING SYSTEM VALUE" } else { "" };
        let begin = format!("INSERT INTO {live} ({columns}){overriding}\n");
        if self.common.key.is_empty() {
            // Rows that are equal are told apart by counting them.
            let whole = self.whole("t.");
            return MergeStatement {
                does: "brings back rows that the live table has fewer of".to_owned(),
                sql: format!(
                    "{begin}SELECT {}\nFROM (SELECT t.*, row_number() OVER (PARTITION BY {whole}) AS lifeboat_number FROM {rescued} AS t) AS r\n\
                     LEFT JOIN (SELECT {whole} AS lifeboat_row, count(*) AS lifeboat_rows FROM {live} AS t GROUP BY 1) AS l ON l.lifeboat_row = {}\n\
                     WHERE r.lifeboat_number > coalesce(l.lifeboat_rows, 0);",
                    self.columns("r."),
                    self.whole("r."),
                ),
            };
        }
        let key = self.common.key.iter().map(|k| quote::identifier(&k.name)).collect::<Vec<_>>().join(", ");
        MergeStatement {
            does: "brings back the rows that are missing; rows that are there stay as they are".to_owned(),
            sql: format!("{begin}SELECT {columns} FROM {rescued}\nON CONFLICT ({key}) DO NOTHING;"),
        }
    }

    /// Gives changed rows their values of the backup back; `None` where nothing but the key could be set.
    pub(super) fn update(&self) -> Option<MergeStatement> {
        let is_key = |name: &str| self.common.key.iter().any(|k| k.name == name);
        let set = self.common.columns.iter().filter(|c| !c.identity && !is_key(&c.name)).map(|c| {
            let name = quote::identifier(&c.name);
            format!("{name} = r.{name}")
        });
        let set = set.collect::<Vec<_>>().join(", ");
        if set.is_empty() || self.common.key.is_empty() {
            return None;
        }
        let (live, rescued, same, differ) = (&self.live, &self.rescued, self.same_key(), self.differ());
        Some(MergeStatement {
            does: "gives the changed rows their values of the backup; changes made since are lost".to_owned(),
            sql: format!("UPDATE {live} AS l SET {set}\nFROM {rescued} AS r\nWHERE {same}\n  AND {differ};"),
        })
    }
}
