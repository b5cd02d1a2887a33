//! zstd frames, streamed.

use std::io;

use zstd::{
    stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer},
    zstd_safe,
};

use super::{CodecError, DECODED_BLOCK, Sink};

/// 128 MiB: what every level of the encoder stays below, and what libzstd itself accepts without being asked for more.
const WINDOW_LOG_MAX: u32 = 27;

pub(super) struct ZstdEncoder(Encoder<'static>);

impl ZstdEncoder {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let mut encoder = Encoder::new(level)?;
        encoder.set_parameter(CParameter::ChecksumFlag(true))?;
        encoder.set_parameter(CParameter::ContentSizeFlag(false))?;
        Ok(Self(encoder))
    }

    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(input);
        while input.pos() < input.src.len() {
            self.0.run(&mut input, &mut spare(out))?;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.0.finish(&mut spare(out), true)? > 0 {}
        Ok(())
    }
}

/// The room behind what `out` holds, enough for a whole block.
fn spare(out: &mut Vec<u8>) -> OutBuffer<'_, Vec<u8>> {
    out.reserve(zstd_safe::CCtx::out_size());
    let length = out.len();
    OutBuffer::around_pos(out, length)
}

pub(super) struct ZstdDecoder {
    decoder: Decoder<'static>,
    block: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    InFrame,
    FrameEnded,
}

impl ZstdDecoder {
    pub(super) fn new() -> Result<Self, CodecError> {
        let mut decoder = Decoder::new().map_err(CodecError::Setup)?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(CodecError::Setup)?;
        Ok(Self { decoder, block: Vec::with_capacity(DECODED_BLOCK), state: State::Empty })
    }

    pub(super) fn write(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), CodecError> {
        let mut input = InBuffer::around(input);
        let mut flushing = false;
        // libzstd must not be called without input once a frame has ended: it would take that for the next frame.
        while input.pos() < input.src.len() || flushing {
            self.state = State::InFrame;
            self.block.clear();
            let expected =
                self.decoder.run(&mut input, &mut OutBuffer::around(&mut self.block)).map_err(CodecError::Corrupt)?;
            if !self.block.is_empty() {
                sink(&self.block).map_err(CodecError::Sink)?;
            }
            if expected == 0 {
                self.state = State::FrameEnded;
            }
            flushing = expected != 0 && self.block.len() == self.block.capacity();
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<(), CodecError> {
        match self.state {
            State::FrameEnded => Ok(()),
            State::InFrame => Err(CodecError::Truncated),
            State::Empty => Err(CodecError::Empty),
        }
    }
}
