//! SQL quoting, in one place: identifiers and literals that mean themselves whatever they contain.

/// A double-quoted identifier. PostgreSQL has no identifier with a NUL, so none can arrive here from a catalog.
pub fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.name`, both quoted.
pub fn qualified(schema: &str, name: &str) -> String {
    format!("{}.{}", identifier(schema), identifier(name))
}

/// A string literal; the `E''` form where a backslash occurs, so that it means the same under any
/// `standard_conforming_strings`.
pub fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
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
        fn unquote_gives_back_what_was_quoted(name in "[^\0]{1,40}") {
            prop_assert_eq!(unquote(identifier(&name).as_bytes()), name.as_bytes());
        }
    }
}
