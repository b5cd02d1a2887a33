//! The streaming encoder: one or more frames, or one member, per chunk, one encoder for many chunks.

use std::io;

use super::{Codec, gzip::GzipEncoder, zstandard::ZstdEncoder};

/// Compresses chunks, each to zstd frames (with a checksum, without a content size) or a gzip member. Chunks one after
/// another are again a valid file. Works in the calling thread, in memory bounded by the level, which is kept from chunk to
/// chunk.
pub struct Encoder(Kind);

enum Kind {
    Zstd(ZstdEncoder),
    Gzip(GzipEncoder),
    None,
}

impl Encoder {
    /// An encoder that stands before a chunk.
    pub fn new(codec: &Codec) -> io::Result<Self> {
        Ok(Self(match *codec {
            Codec::Zstd { level } => Kind::Zstd(ZstdEncoder::new(level)?),
            Codec::Gzip { level } => Kind::Gzip(GzipEncoder::new(level)),
            Codec::None => Kind::None,
        }))
    }

    /// Compresses `input` and appends what is ready to `out`.
    pub fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            Kind::Zstd(encoder) => encoder.write(input, out),
            Kind::Gzip(encoder) => encoder.write(input, out),
            Kind::None => {
                out.extend_from_slice(input);
                Ok(())
            }
        }
    }

    /// Ends the chunk and appends the rest of it to `out`; what is written afterwards begins the next one. After an
    /// error the encoder must not be used again.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            Kind::Zstd(encoder) => encoder.finish(out),
            Kind::Gzip(encoder) => encoder.finish(out),
            Kind::None => Ok(()),
        }
    }
}
