//! Which large objects an archive's BLOBS entries hold, and the files that list them.

use crate::{
    codec::Codec,
    toc::{Entry, Header, Toc},
};

/// Why the large objects of an archive cannot be told.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LargeObjectsError {
    /// The entry that was asked about is no BLOBS entry.
    #[error("entry {dump_id} is no BLOBS entry")]
    NotBlobs {
        /// The entry.
        dump_id: i32,
    },
    /// A BLOBS entry of version 1.16 depends on no BLOB METADATA entry.
    #[error("BLOBS entry {dump_id} depends on no BLOB METADATA entry")]
    NoMetadata {
        /// The BLOBS entry.
        dump_id: i32,
    },
    /// An entry's list of OIDs, or its tag, is not a list of OIDs.
    #[error("entry {dump_id} does not name large objects by OID")]
    Oid {
        /// The BLOB or BLOB METADATA entry.
        dump_id: i32,
    },
    /// A line of a `blobs.toc` file is not of the form `<oid> blob_<oid>.dat`.
    #[error("line {line} of the list of large objects is not understood")]
    Line {
        /// Counted from 1.
        line: usize,
    },
}

/// The OIDs of the large objects whose content a BLOBS entry holds, in the order in which `pg_dump` writes them.
///
/// Version 1.16 has a BLOBS entry per group of at most 1000 large objects with the same owner and ACL. It depends on a
/// BLOB METADATA entry, whose definition lists the OIDs, one per line, also where there is one only. Older versions have
/// a single BLOBS entry for all, and a BLOB entry for each, whose tag is the OID.
pub fn oids_of(toc: &Toc, blobs_entry: &Entry) -> Result<Vec<u32>, LargeObjectsError> {
    if !blobs_entry.is_blobs() {
        return Err(LargeObjectsError::NotBlobs { dump_id: blobs_entry.dump_id });
    }
    if grouped(&toc.header) { grouped_oids(toc, blobs_entry) } else { all_oids(toc) }
}

fn grouped_oids(toc: &Toc, blobs_entry: &Entry) -> Result<Vec<u32>, LargeObjectsError> {
    let metadata = toc
        .entries
        .iter()
        .find(|entry| entry.desc == b"BLOB METADATA" && blobs_entry.dependencies.contains(&entry.dump_id))
        .ok_or(LargeObjectsError::NoMetadata { dump_id: blobs_entry.dump_id })?;
    let error = LargeObjectsError::Oid { dump_id: metadata.dump_id };
    let list = metadata.defn.as_deref().and_then(|defn| defn.strip_suffix(b"\n")).ok_or_else(|| error.clone())?;
    list.split(|&byte| byte == b'\n').map(|line| oid(line).ok_or_else(|| error.clone())).collect()
}

fn all_oids(toc: &Toc) -> Result<Vec<u32>, LargeObjectsError> {
    let mut oids = toc
        .entries
        .iter()
        .filter(|entry| entry.desc == b"BLOB")
        .map(|entry| oid(&entry.tag).ok_or(LargeObjectsError::Oid { dump_id: entry.dump_id }))
        .collect::<Result<Vec<_>, _>>()?;
    // Entries stand in the order of their tags' text; the content is read in the order of the OIDs.
    oids.sort_unstable();
    Ok(oids)
}

/// The file that lists the large objects of a BLOBS entry: `blobs_<dumpId>.toc`, before version 1.16 `blobs.toc`. It is
/// never compressed.
pub fn toc_file_name(header: &Header, dump_id: i32) -> String {
    if grouped(header) { format!("blobs_{dump_id}.toc") } else { "blobs.toc".to_owned() }
}

/// The file with the content of one large object: `blob_<oid>.dat` and the codec's suffix.
pub fn file_name(oid: u32, codec: &Codec) -> String {
    format!("blob_{oid}.dat{}", codec.suffix())
}

/// The content of the file that lists large objects. The names in it are without the codec's suffix.
pub fn blobs_toc(oids: &[u32]) -> Vec<u8> {
    oids.iter().flat_map(|&oid| format!("{oid} {}\n", file_name(oid, &Codec::None)).into_bytes()).collect()
}

/// Reads what [`blobs_toc`] writes.
pub fn parse_blobs_toc(bytes: &[u8]) -> Result<Vec<u32>, LargeObjectsError> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, line)| {
            let end = line.iter().position(|&byte| byte == b' ').unwrap_or(0);
            oid(&line[..end])
                .filter(|&oid| blobs_toc(&[oid]) == line)
                .ok_or(LargeObjectsError::Line { line: index + 1 })
        })
        .collect()
}

fn grouped(header: &Header) -> bool {
    header.version.1 >= 16
}

fn oid(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_back() {
        for oids in [&[][..], &[1], &[16_400, u32::MAX, 5]] {
            assert_eq!(parse_blobs_toc(&blobs_toc(oids)).unwrap(), oids);
        }
        assert_eq!(blobs_toc(&[16_400]), b"16400 blob_16400.dat\n");
    }

    #[test]
    fn a_list_that_is_cut_or_names_other_files_is_refused() {
        for (list, line) in [
            ("16400 blob_16400.dat", 1),
            ("1 blob_1.dat\n2 blob_", 2),
            ("1 blob_2.dat\n", 1),
            ("1 ../blob_1.dat\n", 1),
            ("\n", 1),
            ("x blob_x.dat\n", 1),
        ] {
            assert_eq!(parse_blobs_toc(list.as_bytes()), Err(LargeObjectsError::Line { line }), "{list:?}");
        }
    }
}
