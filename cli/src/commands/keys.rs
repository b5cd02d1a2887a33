//! `keys`: makes a key for encrypted backups, and tries whether keys open them.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use lifeboat_archive::encryption::{Identities, KeyFacts, Recipients};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    catalog::{self, BackupState},
    ids::DatabaseSlug,
    keys::{self, KeyCheck, KeyDrill},
    ports::Store,
    reading,
    report::words::counted,
};
use lifeboat_runtime::Selected;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;

use crate::{
    answer::Answer,
    app::App,
    arguments::{Drill, Keys, KeysCheck, KeysNew},
    table::{Align, table},
    text::Append,
};

pub(crate) async fn run(app: &App, command: &Keys) -> Result<Answer> {
    match command {
        Keys::New(arguments) => new(app, arguments),
        Keys::Check(arguments) => Box::pin(check(app, arguments)).await,
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
    let text = tried.words(app.context.clock.now());
    Ok(Answer::new(&tried, text)?.with_exit(tried.exit()))
}

/// `drill --keys`: every key that is brought, on every backup that is kept.
pub(crate) async fn drill(app: &App, arguments: &Drill) -> Result<Answer> {
    let store = app.store().await?;
    let control = app.context.cancel.race(app.setup.open_control()).await?;
    let mut drills: Vec<KeyDrill> = Vec::new();
    for selected in app.readable(&*store, arguments.database.as_ref()).await? {
        let slug = &selected.slug;
        let states = app.context.cancel.race(catalog::list(&*store, Some(slug))).await?;
        if !states.iter().filter_map(|state| state.summary.as_ref()).any(|summary| summary.encrypted) {
            continue;
        }
        let identities = app.setup.identities_of(&selected.config, &arguments.identity).await?;
        let drill = keys::drill(&*store, slug, &states, &identities, &app.context).await?;
        let report = serde_json::to_vec_pretty(&drill).or_error(ErrorKind::Unexpected, "write the report")?;
        app.context.cancel.race(control.put_new(&drill.key(), report.into(), &app.context.run_id)).await?;
        drills.push(drill);
    }
    if drills.is_empty() {
        return Answer::new(&json!({ "drills": drills }), format!("Nothing in {} is encrypted.\n", store.url()));
    }
    let judged: Vec<Error> = drills.iter().filter_map(|drill| drill.judge().err()).collect();
    // What is damaged is worse than what nobody opens now.
    let exit = judged.iter().map(Error::kind).max_by_key(|kind| *kind == ErrorKind::Corrupt);
    let mut text: String = drills.iter().map(|drill| drilled(drill, control.url())).collect();
    for error in &judged {
        text.add(format_args!("{error}\nhint: {}\n", error.hint()));
    }
    Ok(Answer::new(&json!({ "drills": drills }), text)?.with_exit(exit))
}

fn drilled(drill: &KeyDrill, control: &str) -> String {
    let rows = drill.backups.iter().map(|backup| {
        let said = match (backup.opened_by.is_empty(), backup.failures.is_empty()) {
            (false, true) => format!("opened by {}", backup.opened_by.join(", ")),
            (true, true) => format!("NOT opened: no key of {} was brought", backup.encrypted_to.join(", ")),
            (_, false) => format!("NOT opened: {}", backup.failures.join("; ")),
        };
        vec![format!("{}/{}", drill.database, backup.backup_id), said]
    });
    let mut text = table(&[("backup", Align::Left), ("result", Align::Left)], rows);
    let keys = drill.keys.iter().map(|key| {
        let lasts = key.expires_at.map(|at| format!("expires on {at:.0}")).unwrap_or_default();
        let opened = format!("{} of {}", key.opened, key.backups);
        vec![key.key.clone(), key.user.clone().unwrap_or_default(), opened, lasts]
    });
    let columns = [("key", Align::Left), ("user", Align::Left), ("opened", Align::Right), ("", Align::Left)];
    text.add(format_args!("\n{}", table(&columns, keys)));
    for key in &drill.untried {
        text.add(format_args!("not tried: {}, to which {} are encrypted\n", key.key, counted(key.backups, "backup")));
    }
    text.add(format_args!("\nreport    {}/{}\n", control.trim_end_matches('/'), drill.key()));
    text
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
    keys: Vec<Known>,
    opened: bool,
    /// Why there will be no dump.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What is known of a key without using it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Known {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    revoked: bool,
}

impl From<KeyFacts> for Known {
    fn from(facts: KeyFacts) -> Self {
        let moment = |seconds: u64| Timestamp::from_second(i64::try_from(seconds).ok()?).ok();
        Self { key: facts.id, user: facts.user, expires_at: facts.expires_at.and_then(moment), revoked: facts.revoked }
    }
}

impl Known {
    fn lasts(&self, now: Timestamp) -> String {
        match self.expires_at {
            _ if self.revoked => "REVOKED".to_owned(),
            None => "has no end".to_owned(),
            Some(at) if at <= now => format!("EXPIRED on {at:.0}"),
            Some(at) => format!("expires on {at:.0}"),
        }
    }
}

/// What came of keys.
#[derive(Debug, Default, Serialize)]
struct Tried {
    /// The secret keys at hand.
    keys: Vec<Known>,
    backups: Vec<KeyCheck>,
    to_come: Vec<ToCome>,
}

impl Tried {
    async fn add(&mut self, app: &App, store: &dyn Store, sealed: &Sealed, identities: &Arc<Identities>) -> Result<()> {
        self.backups.extend(keys::check(store, &sealed.states, identities, &app.context).await?);
        if !sealed.to.is_empty() {
            let held = identities.recipients();
            let to = Recipients::parse(sealed.to.iter().map(String::as_str))
                .map_err(|e| Error::new(ErrorKind::Config, format!("encrypt to: {e}")))?;
            let recipients = to.ids();
            let opened = recipients.iter().any(|key| held.contains(key));
            let keys = to.facts().into_iter().map(Known::from).collect();
            let now = u64::try_from(app.context.clock.now().as_second()).unwrap_or(0);
            let refused = to.fit_at(now).err().map(|error| reading::unfit(&error).to_string());
            self.to_come.push(ToCome { database: sealed.slug.clone(), recipients, keys, opened, refused });
        }
        for known in identities.facts().into_iter().map(Known::from) {
            if !self.keys.contains(&known) {
                self.keys.push(known);
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.backups.is_empty() && self.to_come.is_empty()
    }

    fn words(&self, now: Timestamp) -> String {
        let mut text = shown_keys(&self.keys, now);
        text.push_str(&shown(&self.backups));
        for ToCome { database, recipients, keys, opened, refused } in &self.to_come {
            for key in keys.iter().filter(|key| key.user.is_some()) {
                text.add(format_args!(
                    "dumps of {database} go to {} {}, which {}\n",
                    key.key,
                    key.user.as_deref().unwrap_or_default(),
                    key.lasts(now)
                ));
            }
            let recipients = recipients.join(", ");
            if let Some(why) = refused {
                text.add(format_args!("dumps of {database} from now on: will be REFUSED, {why}\n"));
            } else if *opened {
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
        let lost = self.to_come.iter().any(|to_come| !to_come.opened || to_come.refused.is_some());
        keys::judge(&self.backups).err().map(|error| error.kind()).or_else(|| lost.then_some(ErrorKind::Keys))
    }
}

fn shown_keys(keys: &[Known], now: Timestamp) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let rows = keys.iter().map(|key| vec![key.key.clone(), key.user.clone().unwrap_or_default(), key.lasts(now)]);
    let columns = [("secret key of", Align::Left), ("user", Align::Left), ("", Align::Left)];
    format!("{}\n", table(&columns, rows))
}

fn shown(checks: &[KeyCheck]) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let rows = checks.iter().map(|check| {
        vec![
            format!("{}/{}", check.database, check.newest),
            counted(check.backups, "backup"),
            if check.by_passphrase { "a passphrase".to_owned() } else { check.recipients.join(", ") },
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
