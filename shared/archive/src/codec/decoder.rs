//! The streaming decoder of whole files, strict where stock tools are not: a file that is cut is an error.

use super::{Codec, CodecError, Progress, gzip::GzipDecoder, zstandard::ZstdDecoder};

/// Decodes a file of one or more frames or members, pushed in blocks of any size. Memory is bounded whatever the input:
/// a zstd window above 128 MiB is refused, and the caller says how much may unfold at once. (8 KiB of zstd can be 256 MiB.)
///
/// `pg_restore` takes a file that ends inside a zstd frame, or that is empty, for complete. This decoder does not. A file
/// cut exactly between two frames is whole to any decoder: lengths, hashes and the end of the data file tell.
pub struct Decoder(Kind);

enum Kind {
    Zstd(ZstdDecoder),
    Gzip(Box<GzipDecoder>),
    None,
}

impl Decoder {
    /// A decoder for one file. The codec's level does not matter.
    pub fn new(codec: &Codec) -> Result<Self, CodecError> {
        Ok(Self(match codec {
            Codec::Zstd { .. } => Kind::Zstd(ZstdDecoder::new()?),
            Codec::Gzip { .. } => Kind::Gzip(Box::new(GzipDecoder::new())),
            Codec::None => Kind::None,
        }))
    }

    /// Decodes from the front of `input`, which it shortens, and appends what that yields to `out`: at most `limit` bytes
    /// (and at least one, if there is any). After an error the decoder must not be used again.
    pub fn write(&mut self, input: &mut &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Progress, CodecError> {
        match &mut self.0 {
            Kind::Zstd(decoder) => decoder.write(input, out, limit),
            Kind::Gzip(decoder) => decoder.write(input, out, limit),
            Kind::None => {
                let (now, later) = input.split_at(input.len().min(limit.max(1)));
                out.extend_from_slice(now);
                *input = later;
                Ok(if later.is_empty() { Progress::NeedsInput } else { Progress::LimitReached })
            }
        }
    }

    /// Checks that the input ended where a frame or member ended, and that there was one.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.0 {
            Kind::Zstd(decoder) => decoder.finish(),
            Kind::Gzip(decoder) => decoder.finish(),
            Kind::None => Ok(()),
        }
    }
}
