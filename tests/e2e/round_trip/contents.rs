//! What a database holds, as text that can be compared: definitions, every row, sequences, large objects, settings.

use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command};

use anyhow::{Context, Result, ensure};
use lifeboat_tests::Cluster;

/// Begins the line that names what follows it. No fixture holds such a value.
const MARK: &str = "\u{1}\u{1}section ";

/// Lines of a difference that are shown.
const SHOWN: usize = 60;

/// One statement per thing to look at, each after one that prints its name. Run with `\gexec`.
///
/// A partition below a table hashed by an enum is looked at there: its rows choose their leaf anew in every database,
/// because the hash is of the label's OID.
const LOOK: &str = r"
WITH RECURSIVE by_enum AS (
  SELECT p.partrelid AS oid FROM pg_partitioned_table p
  WHERE p.partstrat = 'h' AND EXISTS (
    SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::int2[]) AND t.typtype = 'e')
), below AS (
  SELECT i.inhrelid AS oid FROM pg_inherits i JOIN by_enum e ON i.inhparent = e.oid
  UNION SELECT i.inhrelid FROM pg_inherits i JOIN below b ON i.inhparent = b.oid
), relations AS (
  SELECT c.oid, c.relkind, c.relispopulated, c.relname, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), looks(label, look) AS (
  SELECT 'rows of ' || name, format('COPY (SELECT * FROM %s %s) TO STDOUT', CASE relkind WHEN 'r' THEN 'ONLY' ELSE '' END, name)
  FROM relations
  WHERE relkind = 'r' AND oid NOT IN (SELECT oid FROM below)
    OR relkind = 'p' AND oid IN (SELECT oid FROM by_enum) AND oid NOT IN (SELECT oid FROM below)
    OR relkind = 'm' AND relispopulated
  UNION ALL SELECT 'not populated ' || name, 'SELECT true' FROM relations WHERE relkind = 'm' AND NOT relispopulated
  UNION ALL SELECT 'sequence ' || name, format('SELECT last_value, is_called FROM %s', name) FROM relations WHERE relkind = 'S'
  UNION ALL SELECT 'large object ' || oid, format(
    'SELECT length(lo_get(%1$s)), md5(lo_get(%1$s)), lomowner::regrole, lomacl, obj_description(oid, ''pg_largeobject'') FROM pg_largeobject_metadata WHERE oid = %1$s', oid)
  FROM pg_largeobject_metadata
  UNION ALL SELECT 'database', $$SELECT datdba::regrole, datacl, shobj_description(oid, 'pg_database'), datconnlimit, encoding, datcollate, datctype FROM pg_database WHERE datname = current_database()$$
  UNION ALL SELECT 'settings of the database', $$SELECT setrole::regrole, setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase WHERE d.datname = current_database()$$
  UNION ALL SELECT 'extensions', 'SELECT extname, extversion, extnamespace::regnamespace FROM pg_extension'
)
SELECT format('SELECT %L', E'\x01\x01section ' || replace(replace(label, E'\n', '\n'), E'\r', '\r')), look FROM looks ORDER BY label
\gexec
";

/// What a database holds: text by section, lines sorted where their order means nothing.
pub(super) struct Contents(BTreeMap<String, Vec<u8>>);

impl Contents {
    /// Looks at a whole database, as its superuser.
    pub(super) fn of(cluster: &Cluster, database: &str) -> Result<Self> {
        let mut sections = BTreeMap::from([("definitions".to_owned(), definitions(cluster, database)?)]);
        let mut psql = cluster.tool("psql", database);
        // A client encoding of SQL_ASCII converts nothing: what is read are the server's own bytes.
        psql.env("PGCLIENTENCODING", "SQL_ASCII").env(
            "PGOPTIONS",
            "-c search_path=pg_catalog -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres \
             -c extra_float_digits=3 -c bytea_output=hex -c lc_monetary=C",
        );
        let script = tempfile::NamedTempFile::new()?;
        fs::write(script.path(), LOOK)?;
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f"]).arg(script.path());
        let text = output(&mut psql)?;
        let mut current: Option<(String, Vec<&[u8]>)> = None;
        for line in text.split_inclusive(|b| *b == b'\n') {
            if let Some(name) = line.strip_prefix(MARK.as_bytes()) {
                sections.extend(current.take().map(finish));
                current = Some((String::from_utf8_lossy(name).trim_end().to_owned(), Vec::new()));
            } else {
                current.as_mut().context("psql printed rows before it named them")?.1.push(line);
            }
        }
        sections.extend(current.take().map(finish));
        Ok(Self(sections))
    }

    /// Keeps what belongs to these relations alone.
    pub(super) fn only_rows_of(mut self, names: &[&str]) -> Self {
        self.0.retain(|section, _| section.strip_prefix("rows of ").is_some_and(|name| names.contains(&name)));
        self
    }

    /// The lines of a section.
    pub(super) fn lines(&self, section: &str) -> Result<Vec<String>> {
        let text = self.0.get(section).with_context(|| format!("there is no section '{section}'"))?;
        Ok(String::from_utf8_lossy(text).lines().map(str::to_owned).collect())
    }

    /// How many sections begin so.
    pub(super) fn count(&self, beginning: &str) -> usize {
        self.0.keys().filter(|section| section.starts_with(beginning)).count()
    }

    /// Fails unless both are the same, with the differences of the first sections that differ.
    pub(super) fn expect_same(&self, what: &str, expected: &Self) -> Result<()> {
        let names: std::collections::BTreeSet<&String> = self.0.keys().chain(expected.0.keys()).collect();
        let mut differences = String::new();
        let mut count = 0;
        for name in names {
            let (found, wanted) = (self.0.get(name), expected.0.get(name));
            if found == wanted {
                continue;
            }
            count += 1;
            if count <= 5 {
                let _ = match (found, wanted) {
                    (None, _) => writeln!(differences, "== {name}: missing"),
                    (_, None) => writeln!(differences, "== {name}: should not be there"),
                    (Some(found), Some(wanted)) => writeln!(differences, "== {name}\n{}", difference(wanted, found)?),
                };
            }
        }
        ensure!(count == 0, "{what}: {count} of {} sections differ\n{differences}", expected.0.len());
        Ok(())
    }
}

fn finish((name, mut lines): (String, Vec<&[u8]>)) -> (String, Vec<u8>) {
    lines.sort_unstable();
    (name, lines.concat())
}

/// `pg_dump --schema-only` without what differs by chance or by the tool: its random tokens, its versions, and the order
/// of a policy's roles, which is that of `pg_authid`'s rows on the disk.
fn definitions(cluster: &Cluster, database: &str) -> Result<Vec<u8>> {
    let text = output(cluster.tool("pg_dump", database).arg("--schema-only"))?;
    let by_chance = |line: &[u8]| {
        let token = line.strip_prefix(b"\\restrict ").or_else(|| line.strip_prefix(b"\\unrestrict "));
        token.is_some_and(|t| t.len() > 40 && t.trim_ascii_end().iter().all(u8::is_ascii_alphanumeric))
            || line.starts_with(b"-- Dumped ")
    };
    let kept: Vec<u8> =
        text.split_inclusive(|b| *b == b'\n').filter(|line| !by_chance(line)).flatten().copied().collect();
    Ok(with_sorted_roles(&kept))
}

/// Sorts the roles of `CREATE POLICY … TO role, role`. A name in double quotes may hold anything.
fn with_sorted_roles(definitions: &[u8]) -> Vec<u8> {
    const CREATE: &[u8] = b"\nCREATE POLICY ";
    let mut sorted = Vec::with_capacity(definitions.len());
    let mut rest = definitions;
    while let Some(at) = rest.windows(CREATE.len()).position(|window| window == CREATE) {
        let (before, statement) = rest.split_at(at + CREATE.len());
        sorted.extend_from_slice(before);
        rest = statement;
        // Expressions follow the roles.
        let end = outside_quotes(rest, &[b" USING (", b" WITH CHECK (", b";\n"]).unwrap_or(rest.len());
        let Some(to) = outside_quotes(&rest[..end], &[b" TO "]) else { continue };
        let (head, mut roles) = rest[..end].split_at(to + 4);
        let mut names = Vec::new();
        while let Some(comma) = outside_quotes(roles, &[b", "]) {
            names.push(&roles[..comma]);
            roles = &roles[comma + 2..];
        }
        names.push(roles);
        names.sort_unstable();
        sorted.extend_from_slice(head);
        sorted.extend_from_slice(&names.join(&b", "[..]));
        rest = &rest[end..];
    }
    sorted.extend_from_slice(rest);
    sorted
}

/// Where the first of these begins that is not inside double quotes.
fn outside_quotes(text: &[u8], marks: &[&[u8]]) -> Option<usize> {
    let mut quoted = false;
    (0..text.len()).find(|&at| {
        quoted ^= text[at] == b'"';
        !quoted && marks.iter().any(|mark| text[at..].starts_with(mark))
    })
}

/// Bytes, not text: not every database is UTF-8.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("start {program}"))?;
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}

/// The difference of two texts, as `diff -u` writes it.
fn difference(expected: &[u8], found: &[u8]) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let (left, right) = (folder.path().join("expected"), folder.path().join("found"));
    fs::write(&left, expected)?;
    fs::write(&right, found)?;
    let mut diff = Command::new("diff");
    diff.args(["-a", "-u", "--label", "expected", "--label", "found"]).args([left, right]);
    let text = diff.output().context("run diff")?.stdout;
    let lines: Vec<String> =
        String::from_utf8_lossy(&text).lines().take(SHOWN).map(|line| line.chars().take(300).collect()).collect();
    Ok(lines.join("\n"))
}

#[test]
fn only_the_order_of_roles_is_evened_out() {
    let even = |text: &str| String::from_utf8(with_sorted_roles(text.as_bytes())).expect("it was text");
    let policy = |to: &str| {
        format!(
            "--\n\nCREATE POLICY \"a TO z, b\" ON s.\"t USING (\" FOR SELECT{to} USING ((x = ' TO b, a'::text));\n\n--\n"
        )
    };
    assert_eq!(even(&policy(" TO b, \"a, z\", a")), policy(" TO \"a, z\", a, b"));
    for same in [policy(""), policy(" TO a"), "\nGRANT SELECT ON t TO b, a;\n".to_owned()] {
        assert_eq!(even(&same), same);
    }
    assert_ne!(even(&policy(" TO a, b")), even(&policy(" TO a, c")));
}
