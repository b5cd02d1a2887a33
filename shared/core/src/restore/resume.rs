//! What an interrupted restore has left, and what a resumed one does with it.

use std::{collections::HashSet, sync::Arc};

use lifeboat_archive::toc::Toc;
use serde::Serialize;

use super::{Part, RestoreRequest, again, plan::RestorePlan};
use crate::{
    Error, ErrorKind, Result,
    manifest::Manifest,
    ports::{LEDGER_SCHEMA, Ledger, LedgerFound, LedgerHead, RunContext, Target, TargetFacts},
};

/// The steps that a ledger knows, beside the data's objects.
pub(super) const PRE_DATA: &str = "pre-data";
pub(super) const DATA_DEFINITIONS: &str = "data definitions";
pub(super) const DATA: &str = "data";
pub(super) const POST_DATA: &str = "post-data";

/// What a resumed restore found done, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resumed {
    /// The run that was interrupted last.
    pub run: String,
    /// When it began, by the server's clock.
    pub begun_at: String,
    /// The steps that are done.
    pub steps: Vec<String>,
    /// Chunks and large objects that are loaded.
    pub objects: u64,
    /// Bytes of these as stored; they are not read again.
    pub stored_bytes: u64,
}

/// What is to be restored, as far as that decides what will be in the target.
fn asked(request: &RestoreRequest) -> String {
    let mut words = vec![
        match request.part {
            Part::Everything => "definitions and data",
            Part::Schema => "definitions",
            Part::Data => "data",
        }
        .to_owned(),
    ];
    if !request.tables.is_empty() {
        let mut tables: Vec<String> = request.tables.iter().map(ToString::to_string).collect();
        tables.sort();
        words.push(format!("of {}", tables.join(", ")));
    }
    words.extend(request.no_owner.then(|| "without owners".to_owned()));
    words.extend(request.no_acl.then(|| "without privileges".to_owned()));
    words.extend(request.role.as_ref().map(|role| format!("as role {role}")));
    words.join(" ")
}

fn backup_of(manifest: &Manifest) -> String {
    format!("{}/{}", manifest.database, manifest.backup_id)
}

fn head(manifest: &Manifest, request: &RestoreRequest, context: &RunContext) -> LedgerHead {
    LedgerHead {
        backup: backup_of(manifest),
        manifest_sha256: manifest.manifest_sha256.clone(),
        request: asked(request),
        run: context.run_id.to_string(),
    }
}

/// What lies in the target of an earlier restore, where that is to be resumed; refuses where it cannot be, and where there is
/// one that nobody asked to resume.
pub(super) async fn earlier(
    target: &dyn Target,
    facts: &TargetFacts,
    manifest: &Manifest,
    request: &RestoreRequest,
) -> Result<Option<LedgerFound>> {
    if facts.contents.is_empty() {
        return Ok(None);
    }
    let place = format!("database '{}' on {}", facts.database, facts.server);
    let found = target.ledger().await?.read().await?;
    let Some(found) = found else {
        if !request.resume {
            return Ok(None);
        }
        return Err(Error::new(
            ErrorKind::Refused,
            format!("{place} holds no restore that could be resumed, but {}", facts.contents.join(", ")),
        )
        .with_hint(
            "a restore into an empty database, or with --clean, can be resumed until it is complete, and leaves nothing to \
             resume then",
        ));
    };
    let LedgerFound { head, begun_at, .. } = &found;
    let (backup, begun) = (backup_of(manifest), format!("an unfinished restore of {} (begun {begun_at})", head.backup));
    if !request.resume {
        if request.force {
            return Ok(None);
        }
        return Err(Error::new(ErrorKind::Refused, format!("{place} holds {begun}")).with_hint(
            "load what is missing of it with --resume and the same options, or make the database anew (dropdb, \
             createdb -T template0)",
        ));
    }
    let other = if head.backup != backup {
        format!("not of {backup}")
    } else if head.manifest_sha256 != manifest.manifest_sha256 {
        format!("from another manifest than {backup} has now")
    } else if head.request != asked(request) {
        format!("asked for as: {}; not as: {}", head.request, asked(request))
    } else {
        return Ok(Some(found));
    };
    Err(Error::new(ErrorKind::Refused, format!("{place} holds {begun}, {other}")).with_hint(
        "resume that one, with the options that it was begun with, or make the database anew (dropdb, createdb -T template0)",
    ))
}

/// For people: what is done of a plan.
pub(super) fn told(manifest: &Manifest, plan: &RestorePlan, found: &LedgerFound) -> Resumed {
    let loaded = plan.objects(manifest).filter(|object| found.done.contains(&object.key));
    let (objects, stored_bytes) = loaded.fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.size));
    let steps = [PRE_DATA, DATA_DEFINITIONS, DATA, POST_DATA];
    Resumed {
        run: found.head.run.clone(),
        begun_at: found.begun_at.clone(),
        steps: steps.iter().filter(|step| found.done.contains(**step)).map(|step| (*step).to_owned()).collect(),
        objects,
        stored_bytes,
    }
}

/// The ledger of a restore that is under way, if it keeps one, and what was done before.
pub(super) struct Kept {
    ledger: Option<Arc<dyn Ledger>>,
    done: HashSet<String>,
    /// Whether this run goes on with another one's work.
    pub(super) resumes: bool,
    /// Whether whoever asked for the restore could resume it.
    offered: bool,
}

/// The ledger of a restore that can be resumed, claimed for this run; `AlreadyRunning` where another one is at it.
///
/// None where the target holds what is not the restore's own: what half a restore has made there could not be told from it.
pub(super) async fn claim(
    target: &dyn Target,
    toc: &Toc,
    request: &RestoreRequest,
    plan: &RestorePlan,
    found: bool,
) -> Result<Option<Arc<dyn Ledger>>> {
    let alone = plan.target_contents.is_empty() || request.clean;
    let takes_its_name = toc.entries.iter().any(|e| e.desc == b"SCHEMA" && e.tag == LEDGER_SCHEMA.as_bytes());
    if !found && (!request.keep_ledger || request.part == Part::Data || !alone || takes_its_name) {
        return Ok(None);
    }
    let ledger = target.ledger().await?;
    ledger.claim().await?;
    Ok(Some(ledger))
}

impl Kept {
    /// Begins the ledger that was claimed, or takes the one over that was found.
    pub(super) async fn begin(
        ledger: Option<Arc<dyn Ledger>>,
        manifest: &Manifest,
        request: &RestoreRequest,
        found: Option<LedgerFound>,
        context: &RunContext,
    ) -> Result<Self> {
        let none = Self { ledger: None, done: HashSet::new(), resumes: false, offered: request.keep_ledger };
        let Some(ledger) = ledger else { return Ok(none) };
        if found.is_some() {
            ledger.take_over(context.run_id.as_str()).await?;
            // What it did until it was ended is done too.
            let done = ledger.read().await?.map(|found| found.done).unwrap_or_default();
            return Ok(Self { ledger: Some(ledger), done, resumes: true, offered: true });
        }
        if ledger.begin(&head(manifest, request, context), request.role.as_deref()).await? {
            return Ok(Self { ledger: Some(ledger), ..none });
        }
        context.progress.note("this role may not make a schema: the restore could not be resumed");
        Ok(none)
    }

    /// Whether an object or a step was done before this run.
    pub(super) fn is_done(&self, what: &str) -> bool {
        self.done.contains(what)
    }

    /// What the ledger is told when the object is loaded; `None` where none is kept.
    pub(super) fn entry<'a>(&self, key: &'a str) -> Option<&'a str> {
        self.ledger.as_ref().map(|_| key)
    }

    /// Notes that a step is done.
    pub(super) async fn note(&self, step: &str) -> Result<()> {
        match &self.ledger {
            Some(ledger) => ledger.note(step).await,
            None => Ok(()),
        }
    }

    /// The restore is complete: nothing of the ledger stays.
    pub(super) async fn end(&self) -> Result<()> {
        match &self.ledger {
            Some(ledger) => ledger.remove().await,
            None => Ok(()),
        }
    }

    /// What an error of the restore has to add: the kinds' own hints know nothing of half a restore.
    pub(super) fn explain(&self, error: Error) -> Error {
        const RESUME: &str = "resume it (--resume; of a function: \"resume\": true) to load only what is missing";
        let stopped = matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::Deadline);
        let hint = match (self.ledger.is_some(), stopped) {
            (true, true) => format!("{RESUME}, or make the target anew; the backup is as it was"),
            (true, false) if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Keys | ErrorKind::Refused) => {
                format!("{}; when that is done, {RESUME}", error.hint())
            }
            (false, true) if self.offered => {
                "drop the target or empty it, then restore again; the backup is as it was".to_owned()
            }
            _ => return error,
        };
        error.with_hint(hint)
    }
}

/// Refuses where the target has lost tables that the interrupted restore had made.
pub(super) fn refuse_what_is_gone(toc: &Toc, plan: &RestorePlan, there: &Toc) -> Result<()> {
    let tables: HashSet<i32> = toc.entries.iter().filter(|e| e.desc == b"TABLE").map(|e| e.dump_id).collect();
    let made: Vec<i32> = plan.pre_data.iter().filter(|id| tables.contains(id)).copied().collect();
    let gone = again::unmade(toc, &made, there).missing;
    let Some(first) = toc.entries.iter().find(|e| Some(&e.dump_id) == gone.first()) else { return Ok(()) };
    let name = format!("{}.{}", first.namespace_str(), first.tag_str());
    let more = if gone.len() > 1 { format!(" and {} more", gone.len() - 1) } else { String::new() };
    Err(Error::new(
        ErrorKind::Refused,
        format!("{} no longer holds table {name}{more}, which the interrupted restore had made", plan.target),
    )
    .with_hint("somebody has changed the target: make it anew (dropdb, createdb -T template0) and restore again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_told_apart_by_what_it_brings() {
        let all = RestoreRequest { jobs: 2, ..RestoreRequest::default() };
        assert_eq!(asked(&all), "definitions and data");
        assert_eq!(asked(&all), asked(&RestoreRequest { jobs: 4, resume: true, clean: true, ..all.clone() }));
        let tables = |names: &[&str]| RestoreRequest {
            tables: names.iter().map(|name| name.parse().unwrap()).collect(),
            ..all.clone()
        };
        assert_eq!(asked(&tables(&["b.c", "a.b"])), "definitions and data of a.b, b.c");
        assert_eq!(asked(&tables(&["a.b", "b.c"])), asked(&tables(&["b.c", "a.b"])));
        let plain = RestoreRequest { no_owner: true, role: Some("r".to_owned()), ..all.clone() };
        assert_eq!(asked(&plain), "definitions and data without owners as role r");
    }
}
