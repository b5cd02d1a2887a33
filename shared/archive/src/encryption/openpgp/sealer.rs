//! Seals a stream as an OpenPGP message (RFC 4880, 5.13): what every `gpg` since 2003 opens, in bounded memory.

use std::io;

use aes::Aes256;
use cfb_mode::{BufEncryptor, cipher::KeyIvInit};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use rand08::RngCore;
use sha1::{Digest, Sha1};

use super::public::Recipient;

/// Partial lengths are powers of two: 64 KiB, and the octet that says so.
const PIECE: usize = 1 << 16;
const PIECE_LENGTH: u8 = 224 + 16;

/// Heads of packets in the new format: encrypted data with integrity protection, literal data, the hash at the end.
const ENCRYPTED: u8 = 0xC0 | 0x12;
const LITERAL: u8 = 0xC0 | 0x0B;
const HASH: [u8; 2] = [0xC0 | 0x13, 20];

/// What stands before the content of literal data: binary, no name, no time.
const LITERAL_HEAD: [u8; 6] = [b'b', 0, 0, 0, 0, 0];

/// AES's block, and the two octets of it that are repeated before the content.
const BLOCK: usize = 16;
const PREFIX: usize = BLOCK + 2;

/// One object being sealed.
pub(in crate::encryption) struct Sealer {
    cipher: BufEncryptor<Aes256>,
    hash: Sha1,
    /// The literal packet's body, not sealed yet: less than a piece.
    literal: Vec<u8>,
    /// The encrypted packet's body, not written yet: less than two pieces.
    sealed: Vec<u8>,
    /// Keys of the object, sealed to each recipient: what is written first.
    head: Vec<u8>,
}

impl Sealer {
    /// Begins an object that each of the recipients can open.
    pub(in crate::encryption) fn new(recipients: &[Recipient]) -> io::Result<Self> {
        let mut rng = rand08::thread_rng();
        let session = SymmetricKeyAlgorithm::AES256.new_session_key(&mut rng);
        let mut head = Vec::new();
        for recipient in recipients {
            recipient.seal(&session, &mut head).map_err(io::Error::other)?;
        }
        head.push(ENCRYPTED);
        let cipher = BufEncryptor::new_from_slices(session.as_ref(), &[0; BLOCK]).map_err(io::Error::other)?;
        let mut begun = Self {
            cipher,
            hash: Sha1::new(),
            literal: Vec::with_capacity(PIECE),
            sealed: Vec::with_capacity(3 * PIECE),
            head,
        };
        begun.sealed.push(1);
        let mut prefix = [0; PREFIX];
        rng.fill_bytes(&mut prefix[..BLOCK]);
        prefix.copy_within(BLOCK - 2..BLOCK, BLOCK);
        begun.seal(&prefix);
        begun.seal(&[LITERAL]);
        begun.literal.extend_from_slice(&LITERAL_HEAD);
        Ok(begun)
    }

    /// Seals some bytes; what is ready of the object is appended to `out`.
    pub(in crate::encryption) fn write(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(PIECE - self.literal.len()));
            self.literal.extend_from_slice(now);
            bytes = later;
            if self.literal.len() == PIECE {
                self.seal(&[PIECE_LENGTH]);
                self.seal_literal();
                self.give(out);
            }
        }
    }

    /// Ends the object; its last bytes are appended to `out`.
    pub(in crate::encryption) fn finish(mut self, out: &mut Vec<u8>) {
        let length = length(self.literal.len());
        self.seal(&length);
        self.seal_literal();
        self.seal(&HASH);
        let hash = self.hash.clone().finalize();
        self.seal(&hash);
        self.give(out);
        out.append(&mut self.head);
        out.extend_from_slice(&self::length(self.sealed.len()));
        out.append(&mut self.sealed);
    }

    /// Encrypts what comes next of the packet's body.
    fn seal(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        let begin = self.sealed.len();
        self.sealed.extend_from_slice(bytes);
        self.cipher.encrypt(&mut self.sealed[begin..]);
    }

    fn seal_literal(&mut self) {
        let literal = std::mem::take(&mut self.literal);
        self.seal(&literal);
        self.literal = literal;
        self.literal.clear();
    }

    /// Whole pieces are ready.
    fn give(&mut self, out: &mut Vec<u8>) {
        while self.sealed.len() >= PIECE {
            out.append(&mut self.head);
            out.push(PIECE_LENGTH);
            out.extend(self.sealed.drain(..PIECE));
        }
    }
}

/// A length below 2^32 as the new format writes it.
fn length(bytes: usize) -> Vec<u8> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    let [.., low] = bytes.to_be_bytes();
    match bytes {
        0..192 => vec![low],
        192..8384 => {
            let [.., high, low] = (bytes - 192).to_be_bytes();
            vec![high + 192, low]
        }
        _ => [&[255], &bytes.to_be_bytes()[..]].concat(),
    }
}
