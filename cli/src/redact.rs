//! Keeps what may hold a password out of usage errors: the parser quotes the words that it does not understand.

/// What stands in the place of a URL.
const REDACTED: &str = "postgres://…";

/// The parser's `text` without any URL that could name a user, and so a password, whether `words` of the command line or
/// parts of them are quoted.
pub(crate) fn without_urls(text: &str, words: &[String]) -> String {
    // A URL may hold blanks: the words are looked for first, and what follows the `=` of a flag.
    let values = words.iter().filter_map(|word| word.split_once('=').map(|(_, value)| value));
    let mut urls: Vec<&str> = words.iter().map(String::as_str).chain(values).filter(|word| may_tell(word)).collect();
    urls.sort_by_key(|url| std::cmp::Reverse(url.len()));
    let text = urls.into_iter().fold(text.to_owned(), |text, url| text.replace(url, REDACTED));
    text.split_inclusive(char::is_whitespace).map(word).collect()
}

fn may_tell(word: &str) -> bool {
    word.contains("://") && word.contains('@')
}

/// One word, with the blank that ends it.
fn word(word: &str) -> String {
    if !may_tell(word) {
        return word.to_owned();
    }
    let blank = word.len() - word.trim_end().len();
    format!("{REDACTED}{}", &word[word.len() - blank..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_replaced_wherever_they_are_quoted_and_all_else_stays() {
        let words: Vec<String> =
            ["dump", "postgres://ann:hun ter2@h/d", "--jobs=postgres://bob:s e@h/d"].map(str::to_owned).into();
        let text = "error: 'postgres://ann:hun ter2@h/d' is wrong\n\nfor '--jobs': 'postgres://bob:s e@h/d'\n\
                    tip: 'x://y:z@h/p?a=b' or https://example.org";
        let told = without_urls(text, &words);
        assert_eq!(
            told,
            "error: 'postgres://…' is wrong\n\nfor '--jobs': 'postgres://…'\ntip: postgres://… or https://example.org"
        );
    }
}
