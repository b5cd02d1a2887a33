//! gzip members (RFC 1952), streamed: the framing is done here so that the end of every member is checked.

use std::io;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{CodecError, DECODED_BLOCK, Progress, room};

/// Magic, deflate, no flags, no time, no hints, unknown operating system: the same bytes for the same input anywhere.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
const OUT_BLOCK: usize = 64 * 1024;

/// Header flags (RFC 1952, 2.3.1) and the parts of the header that they announce.
const HEADER_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

pub(super) struct GzipEncoder {
    compress: Compress,
    crc: Crc,
    begun: bool,
}

impl GzipEncoder {
    pub(super) fn new(level: u32) -> Self {
        Self { compress: Compress::new(Compression::new(level), false), crc: Crc::new(), begun: false }
    }

    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.crc.update(input);
        let mut rest = input;
        while !rest.is_empty() {
            let (consumed, _) = self.step(rest, out, FlushCompress::None)?;
            rest = &rest[consumed..];
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        while self.step(&[], out, FlushCompress::Finish)?.1 != Status::StreamEnd {}
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        self.compress.reset();
        self.crc.reset();
        self.begun = false;
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begun = true;
            out.extend_from_slice(&HEADER);
        }
    }

    fn step(&mut self, input: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> io::Result<(usize, Status)> {
        out.reserve(OUT_BLOCK);
        let before = self.compress.total_in();
        let status = self.compress.compress_vec(input, out, flush).map_err(io::Error::other)?;
        Ok((advance(before, self.compress.total_in()), status))
    }
}

pub(super) struct GzipDecoder {
    decompress: Decompress,
    crc: Crc,
    block: Vec<u8>,
    state: State,
    /// Header flags whose parts are still to come.
    flags: u8,
    members: u64,
    /// The last step filled its room: more may come without more input.
    flushing: bool,
}

/// The part of a member that the next byte belongs to.
#[derive(Clone, Copy)]
enum State {
    Fixed { bytes: [u8; 10], length: usize },
    ExtraLength { bytes: [u8; 2], length: usize },
    Skip { bytes: usize },
    Text,
    Body,
    Trailer { bytes: [u8; 8], length: usize },
}

const START: State = State::Fixed { bytes: [0; 10], length: 0 };

impl GzipDecoder {
    pub(super) fn new() -> Self {
        Self {
            decompress: Decompress::new(false),
            crc: Crc::new(),
            block: vec![0; DECODED_BLOCK],
            state: START,
            flags: 0,
            members: 0,
            flushing: false,
        }
    }

    pub(super) fn write(&mut self, input: &mut &[u8], out: &mut Vec<u8>, limit: usize) -> Result<Progress, CodecError> {
        let begun = out.len();
        while !input.is_empty() || self.flushing {
            let consumed = match self.state {
                State::Body => match room(begun, out, limit) {
                    Some(room) => self.body(input, out, room)?,
                    None => return Ok(Progress::LimitReached),
                },
                _ => self.framing(input)?,
            };
            *input = &input[consumed..];
        }
        Ok(Progress::NeedsInput)
    }

    pub(super) fn finish(self) -> Result<(), CodecError> {
        match self.state {
            State::Fixed { length: 0, .. } if self.members > 0 => Ok(()),
            State::Fixed { length: 0, .. } => Err(CodecError::Empty),
            _ => Err(CodecError::Truncated),
        }
    }

    /// Takes bytes of a header or trailer, at least one; `input` is not empty.
    fn framing(&mut self, input: &[u8]) -> Result<usize, CodecError> {
        let consumed;
        match &mut self.state {
            State::Fixed { bytes, length } => {
                consumed = take(bytes, length, input);
                // A wrong beginning is known for wrong at once: what follows the last member must be nothing.
                let known = (*length).min(3);
                if bytes[..known] != HEADER[..known] || (*length > 3 && bytes[3] & RESERVED != 0) {
                    return Err(corrupt("no gzip member"));
                }
                if *length == bytes.len() {
                    self.flags = bytes[3];
                    self.next_header_part();
                }
            }
            State::ExtraLength { bytes, length } => {
                consumed = take(bytes, length, input);
                if *length == bytes.len() {
                    let bytes = u16::from_le_bytes(*bytes).into();
                    self.state = State::Skip { bytes };
                    self.end_skip();
                }
            }
            State::Skip { bytes } => {
                consumed = input.len().min(*bytes);
                *bytes -= consumed;
                self.end_skip();
            }
            State::Text => match input.iter().position(|&byte| byte == 0) {
                Some(end) => {
                    consumed = end + 1;
                    self.next_header_part();
                }
                None => consumed = input.len(),
            },
            State::Trailer { bytes, length } => {
                consumed = take(bytes, length, input);
                if *length == bytes.len() {
                    let mut expected = [0; 8];
                    expected[..4].copy_from_slice(&self.crc.sum().to_le_bytes());
                    expected[4..].copy_from_slice(&self.crc.amount().to_le_bytes());
                    if *bytes != expected {
                        return Err(corrupt("gzip checksum or length differs"));
                    }
                    self.members += 1;
                    self.decompress.reset(false);
                    self.crc.reset();
                    self.state = START;
                }
            }
            State::Body => consumed = 0,
        }
        Ok(consumed)
    }

    fn end_skip(&mut self) {
        if let State::Skip { bytes: 0 } = self.state {
            self.next_header_part();
        }
    }

    fn next_header_part(&mut self) {
        let parts = [
            (EXTRA, State::ExtraLength { bytes: [0; 2], length: 0 }),
            (NAME, State::Text),
            (COMMENT, State::Text),
            (HEADER_CRC, State::Skip { bytes: 2 }),
        ];
        self.state = State::Body;
        for (flag, state) in parts {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                self.state = state;
                break;
            }
        }
    }

    /// One step of inflation, into at most `room` bytes.
    fn body(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<usize, CodecError> {
        let (total_in, total_out) = (self.decompress.total_in(), self.decompress.total_out());
        let status = self
            .decompress
            .decompress(input, &mut self.block[..room], FlushDecompress::None)
            .map_err(|error| CodecError::Corrupt(io::Error::other(error)))?;
        let consumed = advance(total_in, self.decompress.total_in());
        let decoded = &self.block[..advance(total_out, self.decompress.total_out())];
        self.crc.update(decoded);
        out.extend_from_slice(decoded);
        let ended = status == Status::StreamEnd;
        if ended {
            self.state = State::Trailer { bytes: [0; 8], length: 0 };
        } else if consumed == 0 && decoded.is_empty() && !input.is_empty() {
            return Err(corrupt("deflate makes no progress"));
        }
        self.flushing = !ended && decoded.len() == room;
        Ok(consumed)
    }
}

/// How far a counter moved in one step.
#[expect(clippy::cast_possible_truncation, reason = "a step moves by no more than the length of a slice")]
fn advance(before: u64, after: u64) -> usize {
    (after - before) as usize
}

/// Fills `bytes` from `length` on; says how much of `input` that took.
fn take(bytes: &mut [u8], length: &mut usize, input: &[u8]) -> usize {
    let count = input.len().min(bytes.len() - *length);
    bytes[*length..*length + count].copy_from_slice(&input[..count]);
    *length += count;
    count
}

fn corrupt(message: &'static str) -> CodecError {
    CodecError::Corrupt(io::Error::new(io::ErrorKind::InvalidData, message))
}
