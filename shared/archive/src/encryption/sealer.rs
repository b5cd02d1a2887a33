//! Seals a stream of bytes to recipients as it is pushed through.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use age::{Encryptor, stream::StreamWriter};

use super::Recipients;

/// What has been sealed and not been taken yet. The writer of `age` keeps one end of it.
#[derive(Clone, Default)]
struct Sealed(Arc<Mutex<Vec<u8>>>);

impl Sealed {
    fn take_into(&self, out: &mut Vec<u8>) {
        out.append(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Sealed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One object being sealed. What is not finished cannot be opened.
pub struct Sealer {
    writer: StreamWriter<Sealed>,
    sealed: Sealed,
}

impl Sealer {
    /// Begins an object that any of the recipients can open.
    pub fn new(recipients: &Recipients) -> io::Result<Self> {
        let all = recipients.0.iter().map(|recipient| recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(all).map_err(io::Error::other)?;
        let sealed = Sealed::default();
        Ok(Self { writer: encryptor.wrap_output(sealed.clone())?, sealed })
    }

    /// Seals some bytes; what is ready of the object is appended to `out`.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.sealed.take_into(out);
        Ok(())
    }

    /// Ends the object; its last bytes are appended to `out`.
    pub fn finish(self, out: &mut Vec<u8>) -> io::Result<()> {
        self.writer.finish()?;
        self.sealed.take_into(out);
        Ok(())
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
