//! Queries as reports may show them: without the values in them, which can be anybody's data.

/// The most characters of a query that are shown.
const LONGEST: usize = 160;

/// The query in one line with every literal replaced by `?`, cut to a length that fits a report. What is cut off in the
/// middle of a literal counts as one.
pub fn without_literals(query: &str) -> String {
    let characters: Vec<char> = query.chars().collect();
    let mut text = String::new();
    let mut at = 0;
    while let Some(&c) = characters.get(at) {
        let before = at.checked_sub(1).and_then(|i| characters.get(i)).copied();
        let in_word = before.is_some_and(|b| b.is_alphanumeric() || b == '_' || b == '$');
        match c {
            '\'' => {
                // E'…' knows backslashes; only a prefix that stands alone makes one.
                let prefixed = matches!(before, Some('e' | 'E'))
                    && !at
                        .checked_sub(2)
                        .and_then(|i| characters.get(i))
                        .is_some_and(|b| b.is_alphanumeric() || *b == '_');
                at = after_quoted(&characters, at, prefixed);
                text.push('?');
            }
            '"' => {
                let end = after_quoted(&characters, at, false);
                text.extend(&characters[at..end]);
                at = end;
            }
            '$' if !in_word => {
                if let Some(tag) = tag(&characters, at) {
                    at = after_dollar_quoted(&characters, at, tag);
                    text.push('?');
                } else {
                    text.push('$');
                    at += 1;
                }
            }
            '-' if characters.get(at + 1) == Some(&'-') => {
                at += characters[at..].iter().position(|c| *c == '\n').unwrap_or(characters.len() - at);
            }
            '/' if characters.get(at + 1) == Some(&'*') => at = after_comment(&characters, at),
            c if c.is_ascii_digit() && !in_word => {
                at += characters[at..]
                    .iter()
                    .position(|c| !(c.is_alphanumeric() || matches!(c, '.' | '_')))
                    .unwrap_or(characters.len() - at);
                text.push('?');
            }
            c if c.is_whitespace() => {
                if !text.ends_with(' ') {
                    text.push(' ');
                }
                at += 1;
            }
            c => {
                text.push(c);
                at += 1;
            }
        }
    }
    let text = text.trim();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", text[..cut].trim_end()),
        None => text.to_owned(),
    }
}

/// The place after a quoted piece that begins at `from`; the end of the text where it is not closed.
fn after_quoted(characters: &[char], from: usize, backslashes: bool) -> usize {
    let quote = characters[from];
    let mut at = from + 1;
    while let Some(&c) = characters.get(at) {
        match c {
            '\\' if backslashes => at += 2,
            c if c == quote && characters.get(at + 1) == Some(&quote) => at += 2,
            c if c == quote => return at + 1,
            _ => at += 1,
        }
    }
    characters.len()
}

/// The length of a `$tag$` that begins here.
fn tag(characters: &[char], from: usize) -> Option<usize> {
    let inner = characters[from + 1..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
    let begins_well = characters.get(from + 1).is_some_and(|c| !c.is_ascii_digit());
    (begins_well && characters.get(from + 1 + inner) == Some(&'$')).then_some(inner + 2)
}

fn after_dollar_quoted(characters: &[char], from: usize, tag: usize) -> usize {
    let mark = &characters[from..from + tag];
    let rest = &characters[from + tag..];
    rest.windows(tag).position(|window| window == mark).map_or(characters.len(), |found| from + tag + found + tag)
}

fn after_comment(characters: &[char], from: usize) -> usize {
    let mut depth = 0_u32;
    let mut at = from;
    while at < characters.len() {
        match (characters[at], characters.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    characters.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_replaced_and_names_stay() {
        for (query, shown) in [
            ("SELECT * FROM t1 WHERE a = 'x''y' AND b=12.5e3", "SELECT * FROM t1 WHERE a = ? AND b=?"),
            ("SELECT E'a\\'b', 'c\\', $$d 'e'$$, $f$ $$ $f$, $1", "SELECT E?, ?, ?, ?, $1"),
            (
                "UPDATE \"o'dd\"\n  SET x = -3 -- secret\n, y = /* of /* a */ b */ 4",
                "UPDATE \"o'dd\" SET x = -? , y = ?",
            ),
            ("INSERT INTO t VALUES ('cut off in the mid", "INSERT INTO t VALUES (?"),
            ("select type'x' from a_1", "select type? from a_1"),
        ] {
            assert_eq!(without_literals(query), shown);
        }
        assert!(without_literals(&"SELECT a, ".repeat(100)).chars().count() <= LONGEST + 1);
    }

    proptest! {
        #[test]
        fn nothing_of_a_literal_is_shown(value in "[a-z' \n]{0,20}", number in 100_000_000_u64.., cut in 0_usize..80) {
            let query = format!("SELECT x FROM t WHERE s = 'SECRET{}' AND n = {number}", value.replace('\'', "''"));
            let query: String = query.chars().take(cut).collect();
            let shown = without_literals(&query);
            prop_assert!(!shown.contains("SEC") && !shown.contains(|c: char| c.is_ascii_digit()), "{}", shown);
        }
    }
}
