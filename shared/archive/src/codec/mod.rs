//! Compression of chunks: which codec, and streaming encoders and decoders in bounded memory.

mod decoder;
mod encoder;
mod gzip;
mod zstandard;

use std::{fmt, io, str::FromStr};

pub use decoder::Decoder;
pub use encoder::Encoder;

/// How chunks are compressed. Its text form is `zstd:3`, `gzip:6` or `none`; the level may be left out when parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Zstandard: `pg_restore` 16 and newer, where built with it.
    Zstd {
        /// 1 to 19.
        level: i32,
    },
    /// gzip: every `pg_restore`.
    Gzip {
        /// 1 to 9.
        level: u32,
    },
    /// No compression.
    None,
}

impl Codec {
    const ZSTD: Self = Self::Zstd { level: 3 };
    const GZIP: Self = Self::Gzip { level: 6 };

    /// What stands behind a file's name: `.zst`, `.gz` or nothing.
    pub const fn suffix(&self) -> &'static str {
        match self {
            Self::Zstd { .. } => ".zst",
            Self::Gzip { .. } => ".gz",
            Self::None => "",
        }
    }

    /// The codec with this suffix, at its default level. Decoders do not need the level.
    pub fn from_suffix(suffix: &str) -> Option<Self> {
        [Self::ZSTD, Self::GZIP, Self::None].into_iter().find(|codec| codec.suffix() == suffix)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd { level } => write!(f, "zstd:{level}"),
            Self::Gzip { level } => write!(f, "gzip:{level}"),
            Self::None => f.write_str("none"),
        }
    }
}

/// The text names no codec.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("\"{0}\" is no compression: use zstd, zstd:1 to zstd:19, gzip, gzip:1 to gzip:9 or none")]
pub struct ParseCodecError(pub String);

impl FromStr for Codec {
    type Err = ParseCodecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let level = |digits: &str, most: u8| {
            // `u8::from_str` alone would take `+3` and `03` too.
            digits.parse().ok().filter(|level| (1..=most).contains(level) && level.to_string() == digits)
        };
        match text.split_once(':') {
            None if text == "zstd" => Some(Self::ZSTD),
            None if text == "gzip" => Some(Self::GZIP),
            None if text == "none" => Some(Self::None),
            Some(("zstd", digits)) => level(digits, 19).map(|level| Self::Zstd { level: level.into() }),
            Some(("gzip", digits)) => level(digits, 9).map(|level| Self::Gzip { level: level.into() }),
            _ => None,
        }
        .ok_or_else(|| ParseCodecError(text.to_owned()))
    }
}

/// Why a compressed file cannot be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The decoder could not be set up.
    #[error("set up the decoder")]
    Setup(#[source] io::Error),
    /// The bytes are damaged, are no file of this codec, or something that is none follows its end.
    #[error("compressed data are damaged")]
    Corrupt(#[source] io::Error),
    /// The input ended inside a frame or member.
    #[error("compressed data end in the middle")]
    Truncated,
    /// The input is empty, which no file of this codec is.
    #[error("compressed data are missing: the file is empty")]
    Empty,
}

/// Why a decoder came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It has taken all of the input and holds nothing back.
    NeedsInput,
    /// It has yielded as much as it was allowed to: call it again with what is left of the input, even if that is nothing.
    LimitReached,
}

/// Bytes that a decoder unfolds at once.
const DECODED_BLOCK: usize = 128 * 1024;

/// What of its limit a decoder may still yield in one step; `None` where it has reached it.
fn room(begun: usize, out: &[u8], limit: usize) -> Option<usize> {
    let room = limit.max(1).saturating_sub(out.len() - begun).min(DECODED_BLOCK);
    (room > 0).then_some(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_parsed_back() {
        for text in ["zstd:1", "zstd:19", "gzip:1", "gzip:9", "none"] {
            assert_eq!(text.parse::<Codec>().unwrap().to_string(), text);
        }
        assert_eq!("zstd".parse(), Ok(Codec::Zstd { level: 3 }));
        assert_eq!("gzip".parse(), Ok(Codec::Gzip { level: 6 }));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "", "zstd:", "zstd:0", "zstd:20", "zstd:-1", "zstd:+3", "zstd:03", "gzip:10", "none:0", "lz4", "ZSTD",
            "zstd:3 ",
        ] {
            assert_eq!(text.parse::<Codec>(), Err(ParseCodecError(text.to_owned())));
        }
    }
}
