//! Text inside Markdown: the one place where names become part of a document without becoming markup.

use std::fmt::Write;

/// Text as one line of Markdown prose or one cell of a table, shown as it is: markup and HTML are escaped, control
/// characters shown as `\u{…}`.
pub(crate) fn inline(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut previous = ' ';
    while let Some(c) = characters.next() {
        match c {
            '<' => line.push_str("&lt;"),
            '>' => line.push_str("&gt;"),
            '&' => line.push_str("&amp;"),
            // Inside a word an underscore is no markup, and names are easier to read without backslashes.
            '_' if previous.is_alphanumeric() && characters.peek().is_some_and(|n| n.is_alphanumeric()) => line.push(c),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' => {
                line.push('\\');
                line.push(c);
            }
            c if c.is_control() => {
                let _ = write!(line, "\\\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
        previous = c;
    }
    line
}

/// A count in groups of three digits, `1,234,567`, so that a person can read it.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_become_markup() {
        assert_eq!(inline("a|b<script>`x`\n```sh"), "a\\|b&lt;script&gt;\\`x\\`\\\\u{a}\\`\\`\\`sh");
        assert_eq!(inline("public.order_items"), "public.order_items");
        assert_eq!(inline("_a_"), "\\_a\\_");
    }

    #[test]
    fn counts_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
