//! `keys`: makes a key for encrypted backups, and tries whether keys open them.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use lifeboat_archive::encryption::Identities;
use lifeboat_core::{
    Error, ErrorKind, Result,
    catalog::{self, BackupState},
    ids::DatabaseSlug,
    keys::{self, KeyCheck},
    ports::Store,
    report::words::counted,
};
use lifeboat_runtime::Selected;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use crate::{
    answer::Answer,
    app::App,
    arguments::{Keys, KeysCheck, KeysNew},
    table::{Align, table},
    text::Append,
};

pub(crate) async fn run(app: &App, command: &Keys) -> Result<Answer> {
    match command {
        Keys::New(arguments) => new(app, arguments),
        Keys::Check(arguments) => check(app, arguments).await,
    }
}

fn new(app: &App, arguments: &KeysNew) -> Result<Answer> {
    let (_, public, secret) = Identities::generate();
    let path = &arguments.file;
    let shown = path.display();
    // As age-keygen writes it, so that nobody has to know which of the two made a file.
    let content: SecretString =
        format!("# created: {:.0}\n# public key: {public}\n{}\n", app.context.clock.now(), secret.expose_secret())
            .into();
    write(path, &content).map_err(|e| {
        let error = Error::new(ErrorKind::Usage, format!("write the key to {shown}: {e}"));
        match e.kind() {
            io::ErrorKind::AlreadyExists => {
                error.with_hint("name a new file: a key that is overwritten takes its backups with it")
            }
            _ => error.with_hint("name a file in a folder that is there and can be written to"),
        }
    })?;
    let remarks = format!(
        "{shown} holds the secret key. Take it off this machine, to two places: without it nobody can open the backups.\n\
         In lifeboat.toml, under the database: encrypt_to = [\"{public}\"]\n"
    );
    Ok(Answer::new(&json!({ "public_key": public, "file": path }), format!("{public}\n"))?.with_remarks(remarks))
}

/// Writes a file that was not there, and that nobody else can read, to the disk.
fn write(path: &Path, content: &SecretString) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content.expose_secret().as_bytes())?;
    file.sync_all()
}

async fn check(app: &App, arguments: &KeysCheck) -> Result<Answer> {
    let store = app.store().await?;
    let mut tried = Tried::default();
    for selected in app.readable(&*store, arguments.database.as_ref()).await? {
        let Some(sealed) = Sealed::of(app, &*store, &selected).await? else { continue };
        let identities = app.setup.identities(&selected.config, arguments.identity.as_deref()).await?;
        if identities.is_empty() {
            let message = format!("there is no key to try on the backups of {}", selected.slug);
            return Err(Error::new(ErrorKind::Keys, message)
                .with_hint(format!("give --identity FILE, or set databases.{}.identity", selected.slug)));
        }
        tried.add(app, &*store, &sealed, &identities).await?;
    }
    if tried.is_empty() {
        let text = format!("Nothing in {} is encrypted, and nothing will be.\n", store.url());
        return Answer::new(&tried, text);
    }
    Ok(Answer::new(&tried, tried.words())?.with_exit(tried.exit()))
}

/// A database that has encrypted backups, or will have.
struct Sealed {
    slug: DatabaseSlug,
    states: Vec<BackupState>,
    to: Vec<String>,
}

impl Sealed {
    async fn of(app: &App, store: &dyn Store, selected: &Selected) -> Result<Option<Self>> {
        let states = app.context.cancel.race(catalog::list(store, Some(&selected.slug))).await?;
        let to = selected.config.encryption.encrypt_to.value.clone();
        let encrypted = states.iter().filter_map(|s| s.summary.as_ref()).any(|s| s.encrypted);
        Ok((encrypted || !to.is_empty()).then(|| Self { slug: selected.slug.clone(), states, to }))
    }
}

/// Whether keys will open the dumps to come.
#[derive(Debug, Serialize)]
struct ToCome {
    database: DatabaseSlug,
    recipients: Vec<String>,
    opened: bool,
}

/// What came of keys.
#[derive(Debug, Default, Serialize)]
struct Tried {
    backups: Vec<KeyCheck>,
    to_come: Vec<ToCome>,
}

impl Tried {
    async fn add(&mut self, app: &App, store: &dyn Store, sealed: &Sealed, identities: &Arc<Identities>) -> Result<()> {
        self.backups.extend(keys::check(store, &sealed.states, identities, &app.context).await?);
        if !sealed.to.is_empty() {
            let held = identities.recipients();
            let opened = sealed.to.iter().any(|key| held.contains(key));
            self.to_come.push(ToCome { database: sealed.slug.clone(), recipients: sealed.to.clone(), opened });
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.backups.is_empty() && self.to_come.is_empty()
    }

    fn words(&self) -> String {
        let mut text = shown(&self.backups);
        for ToCome { database, recipients, opened } in &self.to_come {
            let recipients = recipients.join(", ");
            if *opened {
                text.add(format_args!("dumps of {database} from now on: will be opened\n"));
            } else {
                text.add(format_args!(
                    "dumps of {database} from now on: will NOT be opened, they go to {recipients}\n"
                ));
            }
        }
        if let Err(error) = keys::judge(&self.backups) {
            text.add(format_args!("hint: {}\n", error.hint()));
        }
        text
    }

    fn exit(&self) -> Option<ErrorKind> {
        let lost = keys::judge(&self.backups).is_err() || self.to_come.iter().any(|to_come| !to_come.opened);
        lost.then_some(ErrorKind::Keys)
    }
}

fn shown(checks: &[KeyCheck]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let rows = checks.iter().map(|check| {
        vec![
            format!("{}/{}", check.database, check.newest),
            counted(check.backups, "backup"),
            check.recipients.join(", "),
            match &check.why {
                None => "opened".to_owned(),
                Some(why) => format!("NOT opened: {why}"),
            },
        ]
    });
    let columns =
        [("newest", Align::Left), ("of", Align::Right), ("encrypted to", Align::Left), ("result", Align::Left)];
    table(&columns, rows)
}
