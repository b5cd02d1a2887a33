//! The streaming decoder of whole files, strict where stock tools are not: a file that is cut is an error.

use std::io;

use super::{Codec, CodecError, gzip::GzipDecoder, zstandard::ZstdDecoder};

/// Decodes a file of one or more frames or members, pushed in blocks of any size. Memory is bounded whatever the input:
/// a zstd window above 128 MiB is refused.
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

    /// Decodes `input` and hands what it yields to `sink`, in blocks. After an error the decoder must not be used again.
    pub fn write(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), CodecError> {
        match &mut self.0 {
            Kind::Zstd(decoder) => decoder.write(input, sink),
            Kind::Gzip(decoder) => decoder.write(input, sink),
            Kind::None if input.is_empty() => Ok(()),
            Kind::None => sink(input).map_err(CodecError::Sink),
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
