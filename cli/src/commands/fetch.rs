//! `fetch`: a backup as a plain pg_dump directory archive on disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt, fetch,
    ports::Store,
    reading::BackupReader,
    report::words::{bytes, count},
    shell::shell_quote,
};
use lifeboat_store::FileStore;
use serde_json::json;

use crate::{answer::Answer, app::App, arguments::Fetch};

/// Where a file store keeps unfinished writes.
const SCRATCH: &str = ".control";

pub(crate) async fn run(app: &App, arguments: &Fetch) -> Result<Answer> {
    let store = app.store().await?;
    let backup = app.find(&*store, &arguments.backup).await?;
    let identities = app.setup.identities_for(&backup.manifest, arguments.identity.as_deref()).await?;
    let reader = BackupReader::new(&*store, &backup.manifest, &identities);
    let folder = empty_folder(&arguments.folder)?;
    let shown = arguments.folder.display().to_string();
    let destination: Arc<dyn Store> = Arc::new(FileStore::new(&shown, folder.clone()));
    let result = fetch::run(reader, &destination, arguments.plain, &app.context).await;
    let tidied = remove_scratch(&folder);
    let outcome = result?;
    tidied?;
    let quoted = shell_quote(&shown);
    let text = format!(
        "fetched {}/{}: {} files, {} in {shown}\nrestore it with: pg_restore -j{} -d TARGET {quoted}\nroles: {quoted}/globals.sql, \
         and all the rest: {quoted}/RESTORE.md\n",
        outcome.database,
        outcome.backup_id,
        count(outcome.files),
        bytes(outcome.bytes),
        app.jobs(&outcome.database, None),
    );
    Answer::new(&json!({ "fetched": outcome, "folder": folder }), text)
}

/// The absolute path of a folder that is new, or there and empty.
fn empty_folder(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).or_error(ErrorKind::Usage, format!("find {}", path.display()))?;
    match fs::read_dir(&absolute).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(absolute),
        Ok(false) => Err(Error::new(ErrorKind::Refused, format!("{} is not empty", path.display()))
            .with_hint("name a new folder; nothing is ever overwritten")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(absolute),
        Err(e) => Err(Error::new(ErrorKind::Usage, format!("open {}: {e}", path.display())).with_source(e)),
    }
}

fn remove_scratch(folder: &Path) -> Result<()> {
    let scratch = folder.join(SCRATCH);
    match fs::remove_dir_all(&scratch) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::new(ErrorKind::Unexpected, format!("remove {}: {e}", scratch.display())).with_source(e))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_or_empty_folder_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        assert!(empty_folder(folder.path()).is_ok());
        assert!(empty_folder(&folder.path().join("new")).is_ok());
        fs::write(folder.path().join("file"), "x").unwrap();
        assert_eq!(empty_folder(folder.path()).unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(empty_folder(&folder.path().join("file")).unwrap_err().kind(), ErrorKind::Usage);
    }
}
