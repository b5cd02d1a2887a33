//! The folder that pg_restore believes to be an archive: the real TOC, and data files that have nothing but a size.

use std::{collections::HashSet, fs, path::Path};

use lifeboat_archive::toc;
use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use tempfile::TempDir;

/// A staged archive; its folder goes when it is dropped.
pub(super) struct Stage {
    folder: TempDir,
    client_major: u32,
    indexes: HashSet<i32>,
    attachments: HashSet<i32>,
}

impl Stage {
    /// `data_files` are names and sizes: `pg_restore -j` reads nothing else of them, to begin with the biggest table.
    pub(super) fn new(work_folder: &Path, toc_dat: &[u8], data_files: &[(String, u64)]) -> Result<Self> {
        let parsed = toc::read(toc_dat)
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("read toc.dat: {e}")).with_source(e))?;
        let doing = || format!("stage the archive in {}", work_folder.display());
        let folder = tempfile::Builder::new()
            .prefix("lifeboat-restore-")
            .tempdir_in(work_folder)
            .or_error(ErrorKind::Config, doing())?;
        fs::write(folder.path().join("toc.dat"), toc_dat).or_error(ErrorKind::Config, doing())?;
        for (name, size) in data_files {
            if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_')) || name.starts_with('.') {
                return Err(Error::new(ErrorKind::Corrupt, format!("toc.dat names a data file {name:?}")));
            }
            // A hole: it takes no room. Where a file system has no holes that large, only the order of work suffers.
            let file = fs::File::create(folder.path().join(name)).or_error(ErrorKind::Config, doing())?;
            drop(file.set_len(*size));
        }
        let of_kinds = |kinds: &[&str]| -> HashSet<i32> {
            let entries = parsed.entries.iter().filter(|e| kinds.contains(&e.desc_str().as_ref()));
            entries.map(|e| e.dump_id).collect()
        };
        Ok(Self {
            folder,
            client_major: major(parsed.dump_version.as_deref().unwrap_or_default()),
            indexes: of_kinds(&["INDEX", "CONSTRAINT"]),
            attachments: of_kinds(&["INDEX ATTACH"]),
        })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Whether an entry makes an index.
    pub(super) fn makes_index(&self, dump_id: i32) -> bool {
        self.indexes.contains(&dump_id)
    }

    /// Whether an entry attaches a partition's index to that of its parent.
    pub(super) fn attaches_index(&self, dump_id: i32) -> bool {
        self.attachments.contains(&dump_id)
    }

    /// The major version of the pg_dump that wrote the TOC: no older pg_restore may read it.
    pub(super) fn client_major(&self) -> u32 {
        self.client_major
    }
}

/// `15.18 (Debian …)` → 15.
fn major(version: &[u8]) -> u32 {
    version.iter().take_while(|b| b.is_ascii_digit()).fold(0_u32, |n, b| n.saturating_mul(10) + u32::from(b - b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOC: &[u8] = include_bytes!("../../../archive/tests/fixtures/15/utf8/toc.dat");

    #[test]
    fn data_files_have_their_size_and_take_no_room() {
        let work = tempfile::tempdir().unwrap();
        let stage = Stage::new(work.path(), TOC, &[("3392.dat".to_owned(), 1 << 33)]).unwrap();
        assert_eq!(fs::metadata(stage.path().join("3392.dat")).unwrap().len(), 1 << 33);
        assert_eq!(stage.client_major(), 15);
        let folder = stage.path().to_owned();
        drop(stage);
        assert!(!folder.exists());
    }

    #[test]
    fn a_file_name_that_leads_elsewhere_is_refused() {
        let work = tempfile::tempdir().unwrap();
        for name in ["../x.dat", "a/b", ".hidden", "/etc/passwd"] {
            let error = Stage::new(work.path(), TOC, &[(name.to_owned(), 1)]).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{name}");
        }
        assert_eq!(Stage::new(work.path(), b"no toc", &[]).err().unwrap().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn the_major_version_is_read_from_what_pg_dump_writes() {
        assert_eq!((major(b"15.18 (Debian 15.18-0+deb12u1)"), major(b"18beta1"), major(b"")), (15, 18, 0));
    }
}
