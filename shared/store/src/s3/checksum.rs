//! The checksum that goes with every S3 object: CRC-64/NVME over the whole object, which S3 checks before it stores.
//!
//! Chosen because S3 can check it over a whole multipart object (SHA-256 it cannot), because AWS, `MinIO` and `LocalStack`
//! all know it, and because it costs next to nothing. What proves a backup's bytes is the SHA-256 in its manifest.

use base64::{Engine, engine::general_purpose::STANDARD};
use crc_fast::{CrcAlgorithm, Digest};

/// A checksum being computed.
pub(super) struct Checksum(Digest);

impl Checksum {
    pub(super) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }

    /// The text of one block's checksum.
    pub(super) fn of(block: &[u8]) -> String {
        let mut sum = Self::new();
        sum.update(block);
        sum.text()
    }

    pub(super) fn update(&mut self, block: &[u8]) {
        self.0.update(block);
    }

    /// As S3 writes it: base64 of the big-endian bytes.
    pub(super) fn text(&self) -> String {
        STANDARD.encode(self.0.finalize().to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_crc_catalogue_is_met() {
        // CRC-64/NVME of "123456789" is 0xae8b14860a799888.
        assert_eq!(Checksum::of(b"123456789"), STANDARD.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes()));
    }

    #[test]
    fn blocks_make_the_same_checksum_as_the_whole() {
        let mut sum = Checksum::new();
        sum.update(b"1234");
        sum.update(b"");
        sum.update(b"56789");
        assert_eq!(sum.text(), Checksum::of(b"123456789"));
    }
}
