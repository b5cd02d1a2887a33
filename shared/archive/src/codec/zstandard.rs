//! zstd: chunks of one or more frames.

use std::io;

use zstd::{
    bulk::Compressor,
    stream::raw::{CParameter, DParameter, Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe,
};

use super::{CodecError, DECODED_BLOCK, Progress, room};

/// 128 MiB: what every level of the encoder stays below, and what libzstd itself accepts without being asked for more.
const WINDOW_LOG_MAX: u32 = 27;

/// Bytes of content of a frame, but of the last of a chunk. A frame is compressed in one call from one buffer: libzstd's
/// streams look for matches in two places, which is slower (docs/decisions/0018). Levels that look for long find more in more.
const fn frame_size(level: i32) -> usize {
    if level <= 3 { 1 << 20 } else { 4 << 20 }
}

pub(super) struct ZstdEncoder {
    compressor: Compressor<'static>,
    frame_size: usize,
    /// What the next frame will hold.
    content: Vec<u8>,
    /// A frame, as it is made.
    frame: Vec<u8>,
    /// The chunk has a frame.
    begun: bool,
}

impl ZstdEncoder {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        let mut compressor = Compressor::new(level)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.set_parameter(CParameter::ContentSizeFlag(false))?;
        let frame_size = frame_size(level);
        Ok(Self { compressor, frame_size, content: Vec::new(), frame: Vec::new(), begun: false })
    }

    pub(super) fn write(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        while !input.is_empty() {
            let (now, later) = input.split_at(input.len().min(self.frame_size - self.content.len()));
            self.content.extend_from_slice(now);
            if self.content.len() == self.frame_size {
                self.end_frame(out)?;
            }
            input = later;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.content.is_empty() || !self.begun {
            self.end_frame(out)?;
        }
        self.begun = false;
        Ok(())
    }

    fn end_frame(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.frame.clear();
        self.frame.reserve(zstd_safe::compress_bound(self.content.len()));
        self.compressor.compress_to_buffer(&self.content, &mut self.frame)?;
        out.extend_from_slice(&self.frame);
        self.content.clear();
        self.begun = true;
        Ok(())
    }
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
