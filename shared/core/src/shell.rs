//! Quotes words for the shell: the one place where text becomes part of a command.

/// One word for a POSIX shell, whatever the text holds: the shell passes on exactly these bytes.
///
/// Words of letters, digits and `_ - . / : = @ % + ,` stay as they are, all others go between single quotes. A NUL
/// cannot be passed to any command; the text is cut before it, as the system would.
pub fn shell_quote(text: &str) -> String {
    let text = text.split('\0').next().unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&b);
    // A leading '=' or '~' and an inner '=' mean something to some shells only in front; '~' is never plain.
    if !text.is_empty() && !text.starts_with('=') && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn through_the_shell(quoted: &str) -> Vec<u8> {
        let output = Command::new("sh").arg("-c").arg(format!("printf %s {quoted}")).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{quoted}: {output:?}");
        output.stdout
    }

    #[test]
    fn words_that_would_do_harm_stay_words() {
        for text in
            ["", "~", "=ls", "a b", "it's", "$(id)", "`id`", "\\", "!!", "-n", "a\nb\n", "*", "{a,b}", "#", "ä€"]
        {
            assert_eq!(through_the_shell(&shell_quote(text)), text.as_bytes(), "{text:?}");
        }
        assert_eq!(shell_quote("s3://bucket/prefix"), "s3://bucket/prefix");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn every_text_comes_out_of_the_shell_as_it_went_in(text in "(?s)[^\0]{0,40}") {
            prop_assert_eq!(through_the_shell(&shell_quote(&text)), text.as_bytes());
        }

        #[test]
        fn every_text_of_special_characters_comes_out_as_it_went_in(text in "[ '\"$`\\\\!*?~#&|;<>()\\[\\]{}=\n\t-]{0,20}") {
            prop_assert_eq!(through_the_shell(&shell_quote(&text)), text.as_bytes());
        }
    }
}
