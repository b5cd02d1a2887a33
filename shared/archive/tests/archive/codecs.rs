//! Properties of encoders and decoders: whatever the split into blocks, and whatever the damage.

use std::io::{Read, Write};

use lifeboat_archive::codec::{Codec, CodecError, Decoder, Encoder, Progress};
use proptest::{collection::vec, prelude::*};

const CODECS: [Codec; 5] = [
    Codec::Zstd { level: 1 },
    Codec::Zstd { level: 19 },
    Codec::Gzip { level: 1 },
    Codec::Gzip { level: 9 },
    Codec::None,
];
const COMPRESSED: [Codec; 2] = [Codec::Zstd { level: 3 }, Codec::Gzip { level: 6 }];

fn encode<'a>(codec: Codec, blocks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&codec).unwrap();
    for block in blocks {
        encoder.write(block, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

fn decode<'a>(codec: Codec, blocks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, CodecError> {
    decode_by(codec, blocks, usize::MAX)
}

/// Decodes in calls that yield at most `limit` bytes each.
fn decode_by<'a>(
    codec: Codec,
    blocks: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    let mut decoder = Decoder::new(&codec)?;
    for mut block in blocks {
        loop {
            let before = out.len();
            let progress = decoder.write(&mut block, &mut out, limit)?;
            assert!(out.len() - before <= limit);
            match progress {
                Progress::NeedsInput => break,
                Progress::LimitReached => assert_eq!(out.len() - before, limit),
            }
        }
        assert!(block.is_empty());
    }
    decoder.finish()?;
    Ok(out)
}

/// Cuts bytes into blocks at arbitrary places, empty blocks included.
fn blocks<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

/// Compressible and incompressible stretches.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        vec(any::<u8>(), 0..2000),
        (any::<u8>(), 0_usize..300_000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    vec(stretch, 0..4).prop_map(|stretches| stretches.concat())
}

fn cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    vec(any::<prop::sample::Index>(), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_encoded_in_whatever_blocks_and_chunks_is_decoded(
        codec in prop::sample::select(&CODECS),
        chunks in vec((content(), cuts()), 1..4),
        encoded_cuts in cuts(),
        limit in prop_oneof![1_usize..50, 1000_usize..1_000_000],
    ) {
        let encoded: Vec<u8> = chunks.iter().flat_map(|(bytes, cuts)| encode(codec, blocks(bytes, cuts))).collect();
        let expected: Vec<u8> = chunks.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        prop_assert!(decode(codec, blocks(&encoded, &encoded_cuts)).unwrap() == expected);
        prop_assert!(decode_by(codec, blocks(&encoded, &encoded_cuts), limit).unwrap() == expected);
    }

    #[test]
    fn a_flipped_bit_never_yields_other_data_in_silence(
        codec in prop::sample::select(&COMPRESSED),
        content in vec(any::<u8>(), 0..3000),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut encoded = encode(codec, [&content[..]]);
        let at = at.index(encoded.len());
        encoded[at] ^= 1 << bit;
        if let Ok(decoded) = decode(codec, [&encoded[..]]) {
            // Bits of the header that mean nothing, such as the operating system of gzip.
            prop_assert!(decoded == content);
        }
    }

    #[test]
    fn arbitrary_bytes_never_break_a_decoder(codec in prop::sample::select(&CODECS), bytes in vec(any::<u8>(), 0..500)) {
        let _ = decode(codec, [&bytes[..]]);
        let encoded = encode(codec, [&b"first frame"[..]]);
        let _ = decode(codec, [&encoded, &bytes[..]]);
        let _ = decode(codec, [&encoded[..encoded.len() / 2], &bytes[..]]);
    }
}

#[test]
fn a_cut_at_any_byte_of_the_first_or_the_last_chunk_is_found() {
    let content: Vec<u8> =
        (0..200_u32).flat_map(|row| format!("{row}\tsome row {}\n", row * 7919).into_bytes()).collect();
    for codec in COMPRESSED {
        let first = encode(codec, [&content[..]]);
        let both = [first.clone(), first.clone()].concat();
        for length in 0..both.len() {
            for piece in [1, 7, usize::MAX] {
                let result = decode(codec, both[..length].chunks(piece.min(length).max(1)));
                match length {
                    0 => assert!(matches!(result, Err(CodecError::Empty)), "{codec} {length}"),
                    _ if length == first.len() => assert_eq!(result.unwrap(), content),
                    _ => assert!(matches!(result, Err(CodecError::Truncated)), "{codec} {length}: {result:?}"),
                }
            }
        }
    }
}

#[test]
fn an_empty_table_is_still_a_frame() {
    for codec in COMPRESSED {
        for blocks in [&[][..], &[&b""[..], b""]] {
            let encoded = encode(codec, blocks.iter().copied());
            assert!(!encoded.is_empty());
            assert_eq!(decode(codec, [&encoded[..]]).unwrap(), b"");
        }
        assert!(matches!(decode(codec, [&b""[..]]), Err(CodecError::Empty)));
    }
    assert_eq!(decode(Codec::None, []).unwrap(), b"");
}

#[test]
fn a_long_chunk_is_frames_that_together_are_all_of_it() {
    const MIB: usize = 1 << 20;
    let row = |number: u32| format!("{number}\tsome row {}\n", number.wrapping_mul(2_654_435_761)).into_bytes();
    let content: Vec<u8> = (0..400_000).flat_map(row).take(9 * MIB).collect();
    for level in [1, 3, 4] {
        let codec = Codec::Zstd { level };
        let frame = if level < 4 { MIB } else { 4 * MIB };
        for length in [frame - 1, frame, frame + 1, 2 * frame, 2 * frame + 7] {
            let content = &content[..length];
            let encoded = encode(codec, content.chunks(100_000));
            let frames = length.div_ceil(frame);
            // What zstd frames begin with (RFC 8878, 3.1.1); rows of text compress to nothing like it.
            assert_eq!(
                memchr::memmem::find_iter(&encoded, &[0x28, 0xb5, 0x2f, 0xfd]).count(),
                frames,
                "{codec} {length}"
            );
            assert!(decode(codec, encoded.chunks(4096)).unwrap() == content, "{codec} {length}");
            assert!(zstd::decode_all(&encoded[..]).unwrap() == content, "{codec} {length}");
            let cut = &encoded[..encoded.len() - 1];
            assert!(matches!(decode(codec, [cut]), Err(CodecError::Truncated)), "{codec} {length}");
        }
    }
}

#[test]
fn an_encoder_begins_every_chunk_anew_wherever_the_one_before_ended() {
    for codec in CODECS {
        let mut encoder = Encoder::new(&codec).unwrap();
        for length in [1 << 20, 0, 7, 0, 2 << 20, 0] {
            let (content, mut chunk) = (vec![b'x'; length], Vec::new());
            encoder.write(&content, &mut chunk).unwrap();
            encoder.finish(&mut chunk).unwrap();
            assert!(decode(codec, [&chunk[..]]).unwrap() == content, "{codec} {length}");
        }
    }
}

#[test]
fn what_follows_the_last_chunk_is_refused() {
    for codec in COMPRESSED {
        let encoded = encode(codec, [&b"row\n"[..]]);
        for garbage in [&b"\0"[..], b"\n", b"garbage", &[0; 512], b"\x1f", b"\x28"] {
            assert!(decode(codec, [&encoded, garbage]).is_err(), "{codec} {garbage:?}");
        }
    }
}

#[test]
fn frames_carry_a_checksum_and_no_content_size() {
    for content in [&b""[..], b"some rows\n"] {
        let encoded = encode(Codec::Zstd { level: 3 }, [content]);
        // RFC 8878, 3.1.1.1.1: content size flag in bits 7-6, single segment in 5, checksum in 2.
        assert_eq!(encoded[4] & 0b1110_0100, 0b0000_0100);
    }
}

#[test]
fn a_window_too_large_for_bounded_memory_is_refused() {
    // A frame header that asks for a window of 2^30 bytes, and a raw last block of one byte.
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3, 9, 0, 0, b'x'];
    assert!(matches!(decode(Codec::Zstd { level: 3 }, [&frame[..]]), Err(CodecError::Corrupt(_))));
    let acceptable = [0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 9, 0, 0, b'x'];
    assert_eq!(decode(Codec::Zstd { level: 3 }, [&acceptable[..]]).unwrap(), b"x");
}

#[test]
fn other_implementations_understand_our_frames_and_we_theirs() {
    let content: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    let ours = encode(Codec::Gzip { level: 6 }, [&content[..]]);
    let mut decoded = Vec::new();
    flate2::read::MultiGzDecoder::new(&[ours.clone(), ours].concat()[..]).read_to_end(&mut decoded).unwrap();
    assert!(decoded == [&content[..], &content].concat());

    let builder = flate2::GzBuilder::new().filename("a name").comment("a comment").extra(&b"extra"[..]).mtime(7);
    let mut theirs = builder.write(Vec::new(), flate2::Compression::fast());
    theirs.write_all(&content).unwrap();
    let theirs = theirs.finish().unwrap();
    for piece in [1, 5, 4096] {
        assert!(decode(Codec::Gzip { level: 6 }, theirs.chunks(piece)).unwrap() == content);
    }

    let ours = encode(Codec::Zstd { level: 3 }, [&content[..]]);
    assert!(zstd::decode_all(&ours[..]).unwrap() == content);
    let theirs = zstd::encode_all(&content[..], 5).unwrap();
    assert!(decode(Codec::Zstd { level: 3 }, theirs.chunks(5)).unwrap() == content);
}

#[test]
fn a_checksum_or_length_that_does_not_fit_is_found() {
    for (codec, trailer) in [(Codec::Zstd { level: 3 }, 4), (Codec::Gzip { level: 6 }, 8)] {
        let encoded = encode(codec, [&b"rows\n"[..]]);
        for from_end in 1..=trailer {
            let mut damaged = encoded.clone();
            let at = damaged.len() - from_end;
            damaged[at] ^= 1;
            assert!(matches!(decode(codec, [&damaged[..]]), Err(CodecError::Corrupt(_))), "{codec} {from_end}");
        }
    }
}
