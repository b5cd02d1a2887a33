//! SQL quoting, in one place: identifiers and literals that mean themselves whatever they contain. Names may be any bytes;
//! in every encoding of a server the quotes and the backslash are bytes of their own.

/// A double-quoted identifier. PostgreSQL has no identifier with a NUL, so none can arrive here from a catalog.
pub fn identifier(name: &str) -> String {
    text(&identifier_bytes(name.as_bytes()))
}

/// The same of a name in any encoding.
pub fn identifier_bytes(name: &[u8]) -> Vec<u8> {
    [b"\"", &*doubled(name, b'"'), b"\""].concat()
}

/// `schema.name`, both quoted.
pub fn qualified(schema: &str, name: &str) -> String {
    text(&qualified_bytes(schema.as_bytes(), name.as_bytes()))
}

/// The same of names in any encoding.
pub fn qualified_bytes(schema: &[u8], name: &[u8]) -> Vec<u8> {
    [&*identifier_bytes(schema), b".", &*identifier_bytes(name)].concat()
}

/// A string literal; the `E''` form where a backslash occurs, so that it means the same under any
/// `standard_conforming_strings`.
pub fn literal(value: &str) -> String {
    text(&literal_bytes(value.as_bytes()))
}

/// The same of a value in any encoding.
pub fn literal_bytes(value: &[u8]) -> Vec<u8> {
    let quoted = doubled(value, b'\'');
    if value.contains(&b'\\') {
        [b"E'", &*doubled(&quoted, b'\\'), b"'"].concat()
    } else {
        [b"'", &*quoted, b"'"].concat()
    }
}

fn doubled(value: &[u8], mark: u8) -> Vec<u8> {
    let mut doubled = Vec::with_capacity(value.len() + 2);
    for &byte in value {
        doubled.push(byte);
        if byte == mark {
            doubled.push(byte);
        }
    }
    doubled
}

/// What was text stays text: only ASCII is put in between.
fn text(quoted: &[u8]) -> String {
    String::from_utf8_lossy(quoted).into_owned()
}

/// The name behind an identifier as pg_dump writes it, quoted or bare.
pub fn unquote(written: &[u8]) -> Vec<u8> {
    match written {
        [b'"', inner @ .., b'"'] => {
            let mut name = Vec::with_capacity(inner.len());
            let mut bytes = inner.iter();
            while let Some(&byte) = bytes.next() {
                name.push(byte);
                if byte == b'"' {
                    bytes.next();
                }
            }
            name
        }
        bare => bare.to_vec(),
    }
}

/// Where the quoted piece that begins at `at` is over; one that is not closed ends with the text. A doubled quote stays
/// inside, and in a literal after an E whatever follows a backslash.
pub(crate) fn end(sql: &[u8], at: usize) -> usize {
    let quote = sql[at];
    let escapes = quote == b'\'' && at > 0 && sql[at - 1] == b'E';
    let mut at = at + 1;
    while at < sql.len() {
        match sql[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && sql.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    sql.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quotes_are_doubled_and_backslashes_escaped() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
    }

    proptest! {
        #[test]
        fn unquote_gives_back_what_was_quoted(name in proptest::collection::vec(1u8.., 1..40)) {
            prop_assert_eq!(unquote(&identifier_bytes(&name)), name);
        }

        #[test]
        fn text_is_quoted_as_its_bytes_are(name in "[^\0]{0,40}") {
            prop_assert_eq!(identifier(&name).into_bytes(), identifier_bytes(name.as_bytes()));
            prop_assert_eq!(literal(&name).into_bytes(), literal_bytes(name.as_bytes()));
        }
    }
}
