//! Names of the files that hold a table's data: `<dumpId>.dat`, the codec's suffix, the number of the chunk, and, where it
//! is encrypted, the suffix of that.

use crate::{codec::Codec, encryption::Kind};

/// Digits of a chunk's number at least, so that names sort in order: a table never needs more than 10,000 chunks.
const INDEX_DIGITS: usize = 5;

/// The file that stock `pg_restore` looks for: `3421.dat.zst`.
pub fn data_file_name(dump_id: i32, codec: &Codec) -> String {
    format!("{dump_id}.dat{}", codec.suffix())
}

/// The name of one chunk: that of the data file where it is the only one (`None`), else with its number, counted from 1
/// (`3421.dat.zst.00001`).
pub fn chunk_name(dump_id: i32, codec: &Codec, index: Option<u32>) -> String {
    let file = data_file_name(dump_id, codec);
    match index {
        Some(index) => format!("{file}.{index:0INDEX_DIGITS$}"),
        None => file,
    }
}

/// The parts of a chunk's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkName {
    /// The entry that the data belong to.
    pub dump_id: i32,
    /// The codec of the suffix, at its default level (a name does not tell the level).
    pub codec: Codec,
    /// The chunk's number from 1, or `None` where it is the whole file.
    pub index: Option<u32>,
    /// How it is encrypted, if it is.
    pub encryption: Option<Kind>,
}

/// Parses what [`chunk_name`] makes, with the suffix of its encryption behind; `None` for any other name.
pub fn parse(name: &str) -> Option<ChunkName> {
    let (name, encryption) = match Kind::strip(name) {
        Some((name, kind)) => (name, Some(kind)),
        None => (name, None),
    };
    let (dump_id, rest) = name.split_once(".dat")?;
    let dump_id = dump_id.parse().ok().filter(|&id: &i32| id > 0)?;
    let (suffix, index) = match rest.rsplit_once('.') {
        Some((suffix, digits)) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
            (suffix, Some(digits.parse().ok().filter(|&index: &u32| index > 0)?))
        }
        _ => (rest, None),
    };
    let codec = Codec::from_suffix(suffix)?;
    // Other spellings of the same numbers (`+1`, `01`) are other names.
    (chunk_name(dump_id, &codec, index) == name).then_some(ChunkName { dump_id, codec, index, encryption })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_stock_tools_with_a_number_behind() {
        let zstd = Codec::Zstd { level: 3 };
        assert_eq!(chunk_name(3421, &zstd, None), "3421.dat.zst");
        assert_eq!(chunk_name(3421, &zstd, Some(1)), "3421.dat.zst.00001");
        assert_eq!(chunk_name(7, &Codec::Gzip { level: 6 }, Some(10_000)), "7.dat.gz.10000");
        assert_eq!(chunk_name(7, &Codec::None, Some(12)), "7.dat.00012");
    }

    #[test]
    fn a_name_is_parsed_back() {
        for suffix in ["", ".gz", ".zst"] {
            let codec = Codec::from_suffix(suffix).unwrap();
            for index in [None, Some(1), Some(99_999), Some(123_456)] {
                let name = chunk_name(3421, &codec, index);
                let plain = ChunkName { dump_id: 3421, codec, index, encryption: None };
                assert_eq!(parse(&name), Some(plain), "{name}");
                let sealed = ChunkName { encryption: Some(Kind::Age), ..plain };
                assert_eq!(parse(&format!("{name}.age")), Some(sealed), "{name}.age");
            }
        }
    }

    #[test]
    fn other_names_are_no_chunks() {
        for name in [
            "toc.dat",
            "blob_1.dat.zst",
            "1.dat.lz4",
            "1.dat.zst.1",
            "1.dat.zst.00000",
            "01.dat.zst",
            "+1.dat",
            "-1.dat",
            "0.dat",
            "1.dat.",
            "1.dat.zst.",
            "1.dat.zst.00001.age.age",
            "1.dat.zst.age.00001",
            ".age",
            "",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
