//! A copy of a PostgreSQL installation that has one extension more, without a change to the installation itself.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::cluster::run;

/// A mirror made of links: only the programs are copied, because PostgreSQL finds its files from where they lie.
pub(crate) struct Installation {
    /// Folder of the programs.
    pub(crate) bin: PathBuf,
    _folder: TempDir,
}

impl Installation {
    /// Mirrors the installation of these programs, with all files of `extension` in its folder of extensions.
    pub(crate) fn with_extension(bin: &Path, extension: &Path) -> Result<Self> {
        let share = PathBuf::from(run(Command::new(bin.join("pg_config")).arg("--sharedir"))?.trim_end());
        let share = share.canonicalize().with_context(|| format!("find {}", share.display()))?;
        // The wheel's programs look for their libraries three folders up.
        let root = bin.ancestors().skip(3).find(|above| share.starts_with(above)).context("find the installation")?;
        ensure!(root != Path::new("/"), "{} and {} have nothing in common", bin.display(), share.display());

        let folder = tempfile::Builder::new().prefix("lifeboat-postgresql-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let programs = bin.strip_prefix(root)?;
        mirror(root, folder.path(), programs)?;
        let extensions = share.strip_prefix(root)?.join("extension");
        mirror(root, folder.path(), &extensions)?;
        let own = folder.path().join(programs);
        for entry in fs::read_dir(bin)? {
            let entry = entry?;
            let copy = own.join(entry.file_name());
            fs::remove_file(&copy)
                .and_then(|()| fs::copy(entry.path(), &copy))
                .with_context(|| format!("copy to {}", copy.display()))?;
        }
        for entry in fs::read_dir(extension).with_context(|| format!("read {}", extension.display()))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.path().join(&extensions).join(entry.file_name()))?;
        }
        Ok(Self { bin: own, _folder: folder })
    }
}

/// Makes real folders on the way from `root` to `inner`; all else that lies beside it becomes links.
fn mirror(root: &Path, to: &Path, inner: &Path) -> Result<()> {
    let (mut from, mut to) = (root.to_owned(), to.to_owned());
    let mut steps = inner.components();
    loop {
        if to.is_symlink() {
            fs::remove_file(&to).with_context(|| format!("remove {}", to.display()))?;
        }
        fs::create_dir_all(&to).with_context(|| format!("make {}", to.display()))?;
        for entry in fs::read_dir(&from).with_context(|| format!("read {}", from.display()))? {
            let link = to.join(entry?.file_name());
            if !link.is_symlink() && !link.exists() {
                symlink(from.join(link.file_name().unwrap_or_default()), &link)
                    .with_context(|| format!("link {}", link.display()))?;
            }
        }
        let Some(step) = steps.next() else { return Ok(()) };
        from.push(step);
        to.push(step);
    }
}
