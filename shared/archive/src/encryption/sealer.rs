//! Seals a stream of bytes to recipients as it is pushed through.

use std::io;

use super::{Recipients, age, keys::To, openpgp};

/// One object being sealed. What is not finished cannot be opened.
pub struct Sealer(Kinds);

enum Kinds {
    Age(age::Sealer),
    OpenPgp(Box<openpgp::Sealer>),
}

impl Sealer {
    /// Begins an object that any of the recipients can open.
    pub fn new(recipients: &Recipients) -> io::Result<Self> {
        Ok(Self(match &recipients.0 {
            To::Age(recipients) => Kinds::Age(age::Sealer::new(recipients)?),
            To::OpenPgp(recipients) => Kinds::OpenPgp(Box::new(openpgp::Sealer::new(recipients)?)),
        }))
    }

    /// Seals some bytes; what is ready of the object is appended to `out`.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.0 {
            Kinds::Age(sealer) => sealer.write(bytes, out),
            Kinds::OpenPgp(sealer) => {
                sealer.write(bytes, out);
                Ok(())
            }
        }
    }

    /// Ends the object; its last bytes are appended to `out`.
    pub fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        match self.0 {
            Kinds::Age(sealer) => sealer.finish(out),
            Kinds::OpenPgp(sealer) => {
                sealer.finish(out);
                Ok(())
            }
        }
    }

    /// Seals an object at once.
    pub fn seal(recipients: &Recipients, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        let mut sealer = Self::new(recipients)?;
        sealer.write(bytes, &mut out)?;
        sealer.finish(&mut out)?;
        Ok(out)
    }
}
