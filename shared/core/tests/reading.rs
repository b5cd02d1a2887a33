//! Reading objects back: blocks stay small, whatever they unfold from.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails here")]

use bytes::Bytes;
use lifeboat_archive::codec::{Codec, Encoder};
use lifeboat_core::{
    manifest::{ObjectRecord, sha256_hex},
    ports::{BlockSource, Removal, Store},
    reading::CheckedReader,
};
use lifeboat_testkit::{MemoryStore, context};

#[tokio::test]
async fn a_gibibyte_of_zeros_is_handed_on_in_blocks_of_a_mebibyte_at_most() {
    const MIB: usize = 1 << 20;
    for codec in [Codec::Zstd { level: 1 }, Codec::Gzip { level: 1 }] {
        let (mut body, zeros) = (Vec::new(), vec![0; MIB]);
        let mut encoder = Encoder::new(&codec).unwrap();
        for _ in 0..1024 {
            encoder.write(&zeros, &mut body).unwrap();
        }
        encoder.finish(&mut body).unwrap();
        let record = ObjectRecord {
            key: "archive/1.dat".to_owned(),
            size: body.len() as u64,
            sha256: sha256_hex(&body),
            version_id: None,
        };
        let store = MemoryStore::new(Removal::Delete);
        store.put_new("folder/archive/1.dat", Bytes::from(body), &context().build().run_id).await.unwrap();

        let mut reader = CheckedReader::open(&store, "folder/", &record, Some(&codec)).await.unwrap();
        let (mut length, mut largest) = (0, 0);
        while let Some(block) = reader.next_block().await.unwrap() {
            length += block.len();
            largest = largest.max(block.len());
        }
        assert_eq!(length, 1 << 30);
        assert!(largest <= MIB, "{codec}: a block of {largest} bytes");
    }
}
