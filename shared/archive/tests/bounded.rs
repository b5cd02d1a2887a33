//! Hostile input does not make a reader allocate: in a process of its own, because it measures the process.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::fs;

use lifeboat_archive::{
    codec::{Codec, Decoder, Encoder, Progress},
    toc,
};

/// The most address space that this process has had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn lengths_and_counts_that_lie_cost_no_memory() {
    const MIB: u64 = 1 << 20;
    let before = peak();

    // The highest length at every place of a real table of contents where an integer could be.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/18/ascii/toc.dat");
    let real = fs::read(path).unwrap();
    for at in 12..real.len() - 5 {
        let mut bytes = real.clone();
        bytes[at..at + 5].copy_from_slice(&[0, 0xff, 0xff, 0xff, 0x7f]);
        let _ = toc::read(&bytes);
    }
    assert!(peak() - before < 16 * MIB, "{} MiB", (peak() - before) / MIB);

    // A gigabyte of zeros, compressed: decoded in blocks.
    let block = vec![0; 1 << 20];
    for codec in [Codec::Gzip { level: 1 }, Codec::Zstd { level: 1 }] {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&codec).unwrap();
        for _ in 0..1024 {
            encoder.write(&block, &mut file).unwrap();
        }
        encoder.finish(&mut file).unwrap();
        let (mut length, mut rest) = (0, &file[..]);
        let mut decoder = Decoder::new(&codec).unwrap();
        let mut block = Vec::with_capacity(1 << 20);
        let before = peak();
        loop {
            block.clear();
            let progress = decoder.write(&mut rest, &mut block, 1 << 20).unwrap();
            assert!(block.len() <= 1 << 20);
            length += block.len();
            if progress == Progress::NeedsInput {
                break;
            }
        }
        decoder.finish().unwrap();
        assert_eq!(length, 1 << 30);
        assert!(peak() - before < 8 * MIB, "{codec}: {} MiB", (peak() - before) / MIB);
    }
    assert!(peak() - before < 64 * MIB, "{} MiB", (peak() - before) / MIB);
}
