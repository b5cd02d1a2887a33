//! zstd frames, streamed.

use std::io;

use zstd::{
    stream::raw::{CParameter, DParameter, Decoder, Encoder, InBuffer, Operation, OutBuffer},
    zstd_safe,
};

use super::{CodecError, DECODED_BLOCK, Progress, room};

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

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
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
    /// The last step filled its room: more may come without more input.
    flushing: bool,
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
        Ok(Self { decoder, block: vec![0; DECODED_BLOCK], state: State::Empty, flushing: false })
    }

    pub(super) fn write(&mut self, input: &mut &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Progress, CodecError> {
        let begun = out.len();
        // libzstd must not be called without input once a frame has ended: it would take that for the next frame.
        while !input.is_empty() || self.flushing {
            let Some(room) = room(begun, out, limit) else { return Ok(Progress::LimitReached) };
            self.state = State::InFrame;
            let mut from = InBuffer::around(input);
            let mut to = OutBuffer::around(&mut self.block[..room]);
            let expected = self.decoder.run(&mut from, &mut to).map_err(CodecError::Corrupt)?;
            out.extend_from_slice(to.as_slice());
            self.flushing = expected != 0 && to.pos() == room;
            *input = &input[from.pos()..];
            if expected == 0 {
                self.state = State::FrameEnded;
            }
        }
        Ok(Progress::NeedsInput)
    }

    pub(super) fn finish(self) -> Result<(), CodecError> {
        match self.state {
            State::FrameEnded => Ok(()),
            State::InFrame => Err(CodecError::Truncated),
            State::Empty => Err(CodecError::Empty),
        }
    }
}
