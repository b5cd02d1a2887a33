//! The middle of an object's way to the store, on a thread of its own: what is read is compressed, encrypted if asked, hashed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use lifeboat_archive::{
    codec::{Codec, Encoder},
    encryption::{Recipients, Sealer},
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{Receiver, Sender};

/// Compressed bytes are handed on in pieces of at most this size.
const PIECE: usize = 256 * 1024;

/// The encoders that no object uses at the moment: an encoder's memory is large enough to be worth keeping.
#[derive(Clone)]
pub(super) struct Encoders {
    codec: Codec,
    idle: Arc<Mutex<Vec<Encoder>>>,
}

impl Encoders {
    pub(super) fn new(codec: Codec) -> Self {
        Self { codec, idle: Arc::default() }
    }

    fn take(&self) -> io::Result<Encoder> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Encoder::new(&self.codec), Ok)
    }

    fn give_back(&self, encoder: Encoder) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(encoder);
    }
}

/// What an object is made of.
pub(super) enum Read {
    /// Bytes of the source.
    Block(Vec<u8>),
    /// Bytes that are none of the source's: the end marker.
    Marker(&'static [u8]),
    /// All was read. Without it the object is given up.
    End,
}

/// What becomes of it.
pub(super) enum Squeezed {
    Piece(Bytes),
    End(Sums),
}

/// What is known of an object at its end.
pub(super) struct Sums {
    pub(super) size: u64,
    pub(super) sha256: String,
    /// Of the bytes of the source.
    pub(super) content_sha256: Option<String>,
}

/// One object being squeezed.
pub(super) struct Squeezing {
    encoder: Encoder,
    sealer: Option<Sealer>,
    hash: Sha256,
    content: Option<Sha256>,
    size: u64,
    buffer: Vec<u8>,
    out: Sender<io::Result<Squeezed>>,
}

impl Squeezing {
    pub(super) fn new(
        encoders: &Encoders,
        recipients: Option<&Recipients>,
        hash_content: bool,
        out: Sender<io::Result<Squeezed>>,
    ) -> io::Result<Self> {
        Ok(Self {
            encoder: encoders.take()?,
            sealer: recipients.map(Sealer::new).transpose()?,
            hash: Sha256::new(),
            content: hash_content.then(Sha256::new),
            size: 0,
            buffer: Vec::new(),
            out,
        })
    }

    /// Works until the end of what is read; buffers that were read go back through `spent`. Whoever takes what is squeezed
    /// and has gone knows why.
    pub(super) fn run(mut self, mut read: Receiver<Read>, spent: &Sender<Vec<u8>>, encoders: &Encoders) {
        let mut ended = false;
        while !ended && let Some(next) = read.blocking_recv() {
            let squeezed = match next {
                Read::Block(block) => {
                    if let Some(content) = &mut self.content {
                        content.update(&block);
                    }
                    let squeezed = self.encoder.write(&block, &mut self.buffer);
                    // A full queue of buffers is enough of them.
                    drop(spent.try_send(block));
                    squeezed
                }
                Read::Marker(marker) => self.encoder.write(marker, &mut self.buffer),
                Read::End => {
                    ended = true;
                    self.encoder.finish(&mut self.buffer)
                }
            };
            let handed_on = match squeezed {
                Ok(()) if ended || self.buffer.len() >= PIECE => self.hand_on(ended),
                other => other,
            };
            if let Err(error) = handed_on {
                drop(self.out.blocking_send(Err(error)));
                return;
            }
        }
        if ended {
            let content_sha256 = self.content.map(|content| hex::encode(content.finalize()));
            let sums = Sums { size: self.size, sha256: hex::encode(self.hash.finalize()), content_sha256 };
            drop(self.out.blocking_send(Ok(Squeezed::End(sums))));
            encoders.give_back(self.encoder);
        }
    }

    /// Encrypts and hashes what is compressed, and sends it on.
    fn hand_on(&mut self, last: bool) -> io::Result<()> {
        let mut squeezed = std::mem::take(&mut self.buffer);
        if let Some(sealer) = &mut self.sealer {
            let mut sealed = Vec::with_capacity(squeezed.len() + (64 << 10));
            sealer.write(&squeezed, &mut sealed)?;
            squeezed.clear();
            self.buffer = std::mem::replace(&mut squeezed, sealed);
        }
        if last && let Some(sealer) = self.sealer.take() {
            sealer.finish(&mut squeezed)?;
        }
        self.hash.update(&squeezed);
        self.size += squeezed.len() as u64;
        let mut squeezed = Bytes::from(squeezed);
        while !squeezed.is_empty() {
            let piece = squeezed.split_to(squeezed.len().min(PIECE));
            self.out
                .blocking_send(Ok(Squeezed::Piece(piece)))
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    /// Squeezes blocks as one object and gives what it is made of.
    fn squeezed(encoders: &Encoders, blocks: &[&[u8]]) -> (Vec<u8>, Sums) {
        let ((read, reading), (out, mut squeezed), (spent, _buffers)) = (channel(64), channel(64), channel(1));
        for block in blocks {
            assert!(read.try_send(Read::Block(block.to_vec())).is_ok());
        }
        assert!(read.try_send(Read::Marker(b"\\.\n")).is_ok() && read.try_send(Read::End).is_ok());
        Squeezing::new(encoders, None, true, out).unwrap().run(reading, &spent, encoders);
        let mut bytes = Vec::new();
        loop {
            match squeezed.try_recv().unwrap().unwrap() {
                Squeezed::Piece(piece) => bytes.extend_from_slice(&piece),
                Squeezed::End(sums) => return (bytes, sums),
            }
        }
    }

    #[test]
    fn an_encoder_used_again_makes_the_same_object_as_a_new_one() {
        let long = vec![b'x'; 3_000_000];
        for codec in ["zstd:1", "zstd:19", "gzip:6", "none"] {
            let encoders = Encoders::new(codec.parse().unwrap());
            let first = squeezed(&encoders, &[b"1\ta\n", &long]).0;
            squeezed(&encoders, &[b"something else"]);
            let (again, sums) = squeezed(&encoders, &[b"1\ta\n", &long]);
            assert_eq!(encoders.idle.lock().unwrap().len(), 1, "{codec}");
            assert_eq!(first, again, "{codec}");
            assert_eq!(sums.sha256, crate::manifest::sha256_hex(&again));
            assert_eq!(sums.size, again.len() as u64);
            let content = [b"1\ta\n".as_slice(), long.as_slice()].concat();
            assert_eq!(sums.content_sha256, Some(crate::manifest::sha256_hex(&content)));
        }
    }

    #[test]
    fn what_is_not_read_to_its_end_has_none() {
        let encoders = Encoders::new(Codec::None);
        let ((read, reading), (out, mut squeezed), (spent, _buffers)) = (channel(64), channel(64), channel(1));
        assert!(read.try_send(Read::Block(vec![7; 10])).is_ok());
        drop(read);
        Squeezing::new(&encoders, None, false, out).unwrap().run(reading, &spent, &encoders);
        assert!(squeezed.try_recv().is_err());
    }
}
