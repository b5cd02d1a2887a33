//! The row reader equals a naive one, whatever the blocks.

use lifeboat_archive::{
    checksum::{RowReader, RowsError, TableChecksum},
    data_file,
};
use proptest::{collection::vec, prelude::*};

type Outcome = Result<(TableChecksum, bool), RowsError>;

/// All at once, in the words of the format.
fn naive(bytes: &[u8]) -> Outcome {
    let mut checksum = TableChecksum::default();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let (row, behind) = (&rest[..end], &rest[end + 1..]);
        rest = behind;
        if row == data_file::END_LINE {
            return if rest.iter().all(|&byte| byte == b'\n') {
                Ok((checksum, true))
            } else {
                Err(RowsError::AfterEnd { rows: checksum.rows })
            };
        }
        checksum.add_row(row);
    }
    if rest.is_empty() { Ok((checksum, false)) } else { Err(RowsError::UnterminatedRow { row: checksum.rows + 1 }) }
}

fn read<'a>(blocks: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = RowReader::new();
    blocks.into_iter().for_each(|block| reader.push(block));
    reader.finish()
}

/// Text rich in newlines, backslashes, dots and ends.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => vec(prop::sample::select(&b"\n\n\\.ab"[..]), 0..6),
        2 => vec(any::<u8>(), 0..400),
        1 => Just(b"\\.\n".to_vec()),
        1 => Just(data_file::END.to_vec()),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rows_are_the_same_in_any_split(bytes in text(), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        prop_assert_eq!(read(places.windows(2).map(|pair| &bytes[pair[0]..pair[1]])), naive(&bytes));
        prop_assert_eq!(read(bytes.chunks(1)), naive(&bytes));
    }
}

#[test]
fn the_end_of_a_data_file_is_no_row() {
    let (checksum, ended) = read([b"1\ta\n2\tb\n", data_file::END]).unwrap();
    assert_eq!((checksum.rows, ended), (2, true));
    assert_eq!(read([data_file::END]), Ok((TableChecksum::default(), true)));
    assert_eq!(read([]), Ok((TableChecksum::default(), false)));
}

#[test]
fn a_row_in_many_blocks_has_the_hash_of_the_whole_row() {
    let row: Vec<u8> = (0..1_000_000_u32).map(|i| b'a' + (i % 26) as u8).collect();
    let mut expected = TableChecksum::default();
    expected.add_row(&row);
    let line = [&row[..], b"\n"].concat();
    for size in [1, 1021, 65_536] {
        assert_eq!(read(line.chunks(size)), Ok((expected, false)));
    }
}

#[test]
fn data_that_are_cut_or_go_on_are_refused() {
    assert_eq!(read([&b"1\n2"[..]]), Err(RowsError::UnterminatedRow { row: 2 }));
    assert_eq!(read([&b"1\n\\."[..]]), Err(RowsError::UnterminatedRow { row: 2 }));
    assert_eq!(read([&b"1\n\\.\n\n2\n"[..]]), Err(RowsError::AfterEnd { rows: 1 }));
}
