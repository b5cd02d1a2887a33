//! The folder that pg_restore believes to be an archive: the real TOC, and data files that have nothing but a size.

use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
};

use lifeboat_archive::toc::{self, Entry, Toc};
use lifeboat_core::{Error, ErrorKind, Result, ResultExt};
use tempfile::TempDir;

/// A staged archive; its folder goes when it is dropped.
pub(super) struct Stage {
    folder: TempDir,
    client_major: u32,
    indexes: HashSet<i32>,
    attachments: HashSet<i32>,
    renumbered: HashMap<i32, i32>,
}

impl Stage {
    /// `data_files` are names and sizes; the files are there because `pg_restore` looks whether they are.
    pub(super) fn new(work_folder: &Path, toc_dat: &[u8], data_files: &[(String, u64)]) -> Result<Self> {
        let mut parsed = toc::read(toc_dat)
            .map_err(|e| Error::new(ErrorKind::Corrupt, format!("read toc.dat: {e}")).with_source(e))?;
        let doing = || format!("stage the archive in {}", work_folder.display());
        let folder = tempfile::Builder::new()
            .prefix("lifeboat-restore-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(work_folder)
            .or_error(ErrorKind::Config, doing())?;
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
        let (indexes, attachments) = (of_kinds(&["INDEX", "CONSTRAINT"]), of_kinds(&["INDEX ATTACH"]));
        let renumbered = biggest_first(&mut parsed, data_files);
        fs::write(folder.path().join("toc.dat"), parsed.write()).or_error(ErrorKind::Config, doing())?;
        let client_major = major(parsed.dump_version.as_deref().unwrap_or_default());
        Ok(Self { folder, client_major, indexes, attachments, renumbered })
    }

    /// The number that an entry has in the staged archive.
    pub(super) fn number(&self, dump_id: i32) -> i32 {
        self.renumbered.get(&dump_id).copied().unwrap_or(dump_id)
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

/// Exchanges the numbers of tables' data among themselves, and those of what is made of tables after these, so that the
/// biggest table's have the lowest; gives the numbers that changed.
///
/// `pg_restore -j` begins with the biggest table where it loads the data itself. Where it does not, all are of the same size
/// to it, and it goes by number: it passes over the data of one table after the other, and only then may make what waited for
/// them.
fn biggest_first(toc: &mut Toc, data_files: &[(String, u64)]) -> HashMap<i32, i32> {
    let sizes: HashMap<&[u8], u64> = data_files.iter().map(|(name, size)| (name.as_bytes(), *size)).collect();
    let mut tables: HashMap<i32, u64> = HashMap::new();
    for data in toc.entries.iter().filter(|e| e.is_table_data()) {
        let size = data.file().and_then(|file| sizes.get(file)).copied().unwrap_or(0);
        for table in &data.dependencies {
            *tables.entry(*table).or_default() += size;
        }
    }
    let size = |e: &Entry| e.dependencies.iter().filter_map(|id| tables.get(id)).copied().max().unwrap_or(0);
    let exchanged = |chosen: &dyn Fn(&Entry) -> bool| {
        let entries = toc.entries.iter().filter(|e| chosen(e));
        let mut by_size: Vec<(u64, i32)> = entries.map(|e| (size(e), e.dump_id)).collect();
        let mut numbers: Vec<i32> = by_size.iter().map(|(_, id)| *id).collect();
        numbers.sort_unstable();
        by_size.sort_by(|(a, first), (b, second)| b.cmp(a).then(first.cmp(second)));
        by_size.into_iter().map(|(_, id)| id).zip(numbers).filter(|(from, to)| from != to).collect::<Vec<_>>()
    };
    let made = |e: &Entry| matches!(e.desc.as_slice(), b"INDEX" | b"CONSTRAINT" | b"FK CONSTRAINT");
    let renumbered: HashMap<i32, i32> =
        [exchanged(&Entry::is_table_data), exchanged(&made)].into_iter().flatten().collect();
    for id in toc.entries.iter_mut().flat_map(|e| std::iter::once(&mut e.dump_id).chain(&mut e.dependencies)) {
        *id = renumbered.get(id).copied().unwrap_or(*id);
    }
    renumbered
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
    fn data_and_what_is_made_of_the_biggest_table_have_the_lowest_numbers_and_all_else_stays_as_it_was() {
        let before = toc::read(TOC).unwrap();
        let made_of = |toc: &Toc, table: i32| -> Vec<(i32, Vec<u8>)> {
            let made = |e: &&toc::Entry| e.desc == b"CONSTRAINT" && e.dependencies.contains(&table);
            toc.entries.iter().filter(made).map(|e| (e.dump_id, e.tag.clone())).collect()
        };
        let all: Vec<toc::Entry> = before.entries.iter().filter(|e| e.is_table_data()).cloned().collect();
        let last = all.iter().rfind(|d| !made_of(&before, d.dependencies[0]).is_empty()).unwrap();
        let files: Vec<(String, u64)> = all
            .iter()
            .map(|d| (String::from_utf8(d.file().unwrap().to_vec()).unwrap(), if d == last { 1 << 30 } else { 100 }))
            .collect();
        let mut after = before.clone();
        let renumbered = biggest_first(&mut after, &files);
        let table = last.dependencies[0];
        let (old, new) = (made_of(&before, table), made_of(&after, table));
        let tags = |made: &[(i32, Vec<u8>)]| made.iter().map(|(_, tag)| tag.clone()).collect::<Vec<_>>();
        assert_eq!(tags(&old), tags(&new));
        let kinds: [&[u8]; 3] = [b"INDEX", b"CONSTRAINT", b"FK CONSTRAINT"];
        let lowest = after.entries.iter().filter(|e| kinds.contains(&e.desc.as_slice())).map(|e| e.dump_id).min();
        assert!(new.iter().any(|(id, _)| Some(*id) == lowest), "{new:?}, {lowest:?}");
        let first = after.entries.iter().filter(|e| e.is_table_data()).min_by_key(|e| e.dump_id).unwrap();
        assert_eq!(first.file(), last.file());
        // Only data change places with data, and what is made of tables with its like.
        let class = |id: &i32| {
            let entry = before.entries.iter().find(|e| e.dump_id == *id).unwrap();
            (entry.is_table_data(), kinds.contains(&entry.desc.as_slice()))
        };
        assert!(renumbered.iter().all(|(from, to)| class(from) == class(to) && class(from) != (false, false)));
        for (one, other) in before.entries.iter().zip(&after.entries) {
            let number = |id: &i32| renumbered.get(id).copied().unwrap_or(*id);
            assert_eq!(number(&one.dump_id), other.dump_id);
            assert_eq!(one.dependencies.iter().map(number).collect::<Vec<_>>(), other.dependencies);
            assert_eq!((&one.defn, &one.tag, &one.owner), (&other.defn, &other.tag, &other.owner));
        }
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
    fn nobody_else_reads_what_a_backup_defines() {
        let work = tempfile::tempdir().unwrap();
        let stage = Stage::new(work.path(), TOC, &[]).unwrap();
        assert_eq!(fs::metadata(stage.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_major_version_is_read_from_what_pg_dump_writes() {
        assert_eq!((major(b"15.18 (Debian 15.18-0+deb12u1)"), major(b"18beta1"), major(b"")), (15, 18, 0));
    }
}
