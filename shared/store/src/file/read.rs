//! Reads objects of a file store: small ones whole, large ones in blocks of one mebibyte.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use bytes::Bytes;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{ObjectReader, Stored},
};
use sha2::{Digest, Sha256};

use super::{blocking, failure::failed, root::Root};

const BLOCK: usize = 1024 * 1024;

/// The etag of an object: the SHA-256 of its bytes.
pub(super) fn etag(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// The etag of a file; `None` if there is none.
pub(super) fn etag_of_file(path: &Path) -> Result<Option<String>> {
    let hash = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block)? {
                0 => return Ok(hex::encode(hash.finalize())),
                n => hash.update(&block[..n]),
            }
        }
    };
    match hash() {
        Ok(etag) => Ok(Some(etag)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path, &e).error()),
    }
}

/// An object being read. Only objects of up to one block have an etag: those are what swaps are for, and a larger one
/// would have to be read twice.
pub(super) struct FileReader {
    key: String,
    path: PathBuf,
    stored: Stored,
    position: u64,
    rest: Rest,
}

enum Rest {
    /// Read already.
    Whole(Bytes),
    /// To be read.
    Open(File),
    /// At its end, or lost to an error.
    Nothing,
}

impl FileReader {
    pub(super) fn open(root: &Root, key: &str) -> Result<Self> {
        let path = root.path_of(key)?;
        root.existing()?;
        let missing = || Error::new(ErrorKind::NotFound, format!("there is no {key} in {}", root.path().display()));
        let doing = format!("open {key}");
        let mut file = match OpenOptions::new().read(true).open(&path) {
            Ok(file) => file,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(missing());
            }
            Err(e) => return Err(failed(&doing, &path, &e).error()),
        };
        let facts = file.metadata().map_err(|e| failed(&doing, &path, &e).error())?;
        if !facts.is_file() {
            return Err(missing());
        }
        let mut stored = Stored { size: facts.len(), version_id: None, etag: None };
        let rest = if stored.size <= BLOCK as u64 {
            let mut body = Vec::with_capacity(usize::try_from(stored.size).unwrap_or(0));
            file.read_to_end(&mut body).map_err(|e| failed(&doing, &path, &e).error())?;
            stored.size = body.len() as u64;
            stored.etag = Some(etag(&body));
            Rest::Whole(Bytes::from(body))
        } else {
            Rest::Open(file)
        };
        Ok(Self { key: key.to_owned(), path, stored, position: 0, rest })
    }
}

fn next_block(file: &mut File, wanted: usize) -> io::Result<Bytes> {
    let mut block = Vec::with_capacity(wanted);
    file.take(wanted as u64).read_to_end(&mut block)?;
    Ok(Bytes::from(block))
}

#[async_trait]
impl ObjectReader for FileReader {
    fn stored(&self) -> &Stored {
        &self.stored
    }

    async fn next_block(&mut self) -> Result<Option<Bytes>> {
        let mut file = match std::mem::replace(&mut self.rest, Rest::Nothing) {
            Rest::Nothing => return Ok(None),
            Rest::Whole(body) => {
                let block = body.slice(..body.len().min(BLOCK));
                if body.len() > BLOCK {
                    self.rest = Rest::Whole(body.slice(BLOCK..));
                }
                return Ok((!block.is_empty()).then_some(block));
            }
            Rest::Open(file) => file,
        };
        let left = self.stored.size - self.position;
        let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let (file, block) = blocking(move || {
            let block = next_block(&mut file, wanted);
            Ok((file, block))
        })
        .await?;
        let block = block.map_err(|e| failed(&format!("read {}", self.key), &self.path, &e).error())?;
        if block.len() < wanted {
            return Err(Error::new(
                ErrorKind::Store,
                format!(
                    "{} ended after {} of {} bytes: it was cut while being read",
                    self.path.display(),
                    self.position + block.len() as u64,
                    self.stored.size
                ),
            ));
        }
        self.position += block.len() as u64;
        if self.position < self.stored.size {
            self.rest = Rest::Open(file);
        }
        Ok(Some(block))
    }
}
