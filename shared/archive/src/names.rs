//! Names as text: in a database without a declared encoding (SQL_ASCII) a name is any bytes, but people, JSON and command
//! lines want UTF-8.

use std::{borrow::Cow, fmt::Write};

/// UTF-8 as it is, other bytes as `\xe4`. Different names stay different, and [`bytes`] gives back what they are: a
/// backslash that would be read so is written as `\x5c` itself.
pub fn text(name: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name)
        && !text.contains(r"\x")
    {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if escaped(rest).is_some() {
                text.push_str(r"\x5c");
            } else {
                text.push(character);
            }
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
        }
        for byte in chunk.invalid() {
            let _ = write!(text, r"\x{byte:02x}");
        }
        rest = rest.get(chunk.invalid().len()..).unwrap_or_default();
    }
    Cow::Owned(text)
}

/// The name behind a [`text`].
pub fn bytes(text: &str) -> Vec<u8> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if let Some(byte) = escaped(rest) {
            name.push(byte);
            rest = &rest[4..];
        } else {
            name.push(first);
            rest = behind;
        }
    }
    name
}

/// The byte that `\x` and two digits at the beginning stand for.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn ordinary_names_are_what_they_are_and_other_bytes_are_readable() {
        assert_eq!(text("größe C:\\x".as_bytes()), "größe C:\\x");
        assert_eq!(text(b"gr\xf6\xdfe"), r"gr\xf6\xdfe");
        assert_eq!(text(br"gr\xf6"), r"gr\x5cxf6");
        assert_eq!(bytes(r"gr\xF6"), b"gr\xf6");
    }

    proptest! {
        #[test]
        fn every_name_comes_back_so_no_two_have_the_same_text(
            name in vec(prop_oneof![4 => prop::sample::select(&b"\\x5cef\xc3\xa4"[..]), 1 => any::<u8>()], 0..24)
        ) {
            prop_assert_eq!(bytes(&text(&name)), name);
        }

        #[test]
        fn any_text_can_be_read(text in ".*") {
            bytes(&text);
        }
    }
}
