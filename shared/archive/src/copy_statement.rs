//! Splits the `COPY … FROM stdin;` of a table-data entry into its parts, without changing a byte of them.

/// A COPY statement of the archive. All parts are bytes as `pg_dump` wrote and quoted them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyStatement {
    /// The qualified name, quoted: `public."Orders"`. For partitions loaded through their root it names the root.
    pub target: Vec<u8>,
    /// The columns, quoted, in order. Empty where the table has no column with data of its own.
    pub columns: Vec<Vec<u8>>,
    /// The column list with its parentheses, as written: `(id, "Name")`, or empty.
    pub column_list: Vec<u8>,
}

/// The statement is not of the form that `pg_dump` writes.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("COPY statement of the archive is not understood at byte {offset}: expected {expected}")]
pub struct CopyStatementError {
    /// Where in the statement.
    pub offset: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// Splits `COPY schema.table (a, b) FROM stdin;`. A table without columns has no list (`COPY public.t  FROM stdin;`).
pub fn parse(copy_stmt: &[u8]) -> Result<CopyStatement, CopyStatementError> {
    let mut scanner = Scanner { text: copy_stmt, at: 0 };
    scanner.literal(b"COPY ", "COPY")?;
    let start = scanner.at;
    scanner.identifier()?;
    while scanner.skip(b".") {
        scanner.identifier()?;
    }
    let target = scanner.since(start);
    scanner.literal(b" ", "a space")?;
    let start = scanner.at;
    let mut columns = Vec::new();
    if scanner.skip(b"(") {
        loop {
            let column = scanner.at;
            scanner.identifier()?;
            columns.push(scanner.since(column));
            if !scanner.skip(b", ") {
                break;
            }
        }
        scanner.literal(b")", "a comma or the end of the column list")?;
    }
    let column_list = scanner.since(start);
    scanner.literal(b" FROM stdin;", "FROM stdin")?;
    scanner.skip(b"\n");
    if scanner.at == copy_stmt.len() {
        Ok(CopyStatement { target, columns, column_list })
    } else {
        Err(scanner.expected("the end of the statement"))
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// One identifier: quoted with doubled quotes inside, or bare up to a delimiter.
    fn identifier(&mut self) -> Result<(), CopyStatementError> {
        let start = self.at;
        if self.skip(b"\"") {
            loop {
                let rest = self.rest();
                let quote =
                    rest.iter().position(|&byte| byte == b'"').ok_or_else(|| self.expected("a closing quote"))?;
                self.at += quote + 1;
                if !self.skip(b"\"") {
                    break;
                }
            }
            // `""` alone is no identifier.
            if self.at - start > 2 {
                return Ok(());
            }
        } else {
            self.at += self.rest().iter().take_while(|&&byte| is_bare(byte)).count();
            if self.at > start {
                return Ok(());
            }
        }
        self.at = start;
        Err(self.expected("an identifier"))
    }

    fn literal(&mut self, literal: &[u8], expected: &'static str) -> Result<(), CopyStatementError> {
        if self.skip(literal) { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn skip(&mut self, literal: &[u8]) -> bool {
        let found = self.rest().starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    fn rest(&self) -> &[u8] {
        &self.text[self.at..]
    }

    fn since(&self, start: usize) -> Vec<u8> {
        self.text[start..self.at].to_vec()
    }

    fn expected(&self, expected: &'static str) -> CopyStatementError {
        CopyStatementError { offset: self.at, expected }
    }
}

/// What may stand in an identifier without quotes; `pg_dump`'s own rule (`fmtId`) is stricter.
fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, Vec<String>, String) {
        let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let statement = parse(text.as_bytes()).unwrap();
        (
            text_of(statement.target),
            statement.columns.into_iter().map(text_of).collect(),
            text_of(statement.column_list),
        )
    }

    #[test]
    fn a_plain_statement_is_split() {
        assert_eq!(
            parts("COPY public.orders (id, note) FROM stdin;\n"),
            ("public.orders".into(), vec!["id".into(), "note".into()], "(id, note)".into())
        );
    }

    #[test]
    fn quoted_names_may_look_like_syntax() {
        let target = r#""a (b) FROM stdin;"."c"".d, ""#;
        assert_eq!(
            parts(&format!("COPY {target} (\"x, y\", \"z)\"\") FROM stdin;\n\", w) FROM stdin;\n")),
            (
                target.into(),
                vec!["\"x, y\"".into(), "\"z)\"\") FROM stdin;\n\"".into(), "w".into()],
                "(\"x, y\", \"z)\"\") FROM stdin;\n\", w)".into()
            )
        );
    }

    #[test]
    fn a_table_without_columns_has_no_list() {
        assert_eq!(parts("COPY public.t  FROM stdin;\n"), ("public.t".into(), vec![], String::new()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "COPY ",
            "COPY t",
            "COPY t () FROM stdin;\n",
            "COPY \"\" (a) FROM stdin;\n",
            "COPY t (a) FROM stdin;\n DROP TABLE t;",
            "COPY t (a) FROM stdin",
            "COPY t (a b) FROM stdin;\n",
            "COPY \"t (a) FROM stdin;\n",
            "COPY t. (a) FROM stdin;\n",
            "COPY t (a) FROM PROGRAM 'x';\n",
            "INSERT INTO t VALUES (1);\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
