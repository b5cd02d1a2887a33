//! The steps of a restore that stock pg_restore takes: definitions, never rows.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use lifeboat_archive::{
    codec::Codec,
    toc::{Entry, Section, Toc},
};

use super::{RestoreRequest, again, plan::RestorePlan};
use crate::{
    Error, ErrorKind, Result,
    manifest::Manifest,
    ports::{Classification, PgRestoreStep, RunContext, Target, ToolMessage},
};

/// What to do about what pg_restore was told.
fn hint(messages: &str, cleaning: bool) -> &'static str {
    if messages.contains("out of shared memory") {
        "raise max_locks_per_transaction on the target's server, and restart it"
    } else if cleaning {
        "something else depends on what would be dropped: restore into a new database, and move over what is needed"
    } else if messages.contains("already exists") {
        "the target holds objects of the same names: restore into a new database, or use --force --clean to replace them"
    } else if messages.contains("role \"") {
        "make the target anew (dropdb, createdb -T template0), then create the roles with the backup's globals.sql, \
         or use --no-owner and --no-acl"
    } else {
        "make the target anew (dropdb, createdb -T template0), install what the messages name, such as extensions, and \
         restore again"
    }
}

/// How often what is missing is made again where sessions got into each other's way.
const REPETITIONS: u32 = 5;

/// What every step needs, and what the tool has said so far, harmless messages aside.
pub(super) struct Steps<'a> {
    pub(super) target: &'a Arc<dyn Target>,
    pub(super) request: &'a RestoreRequest,
    pub(super) context: &'a RunContext,
    pub(super) messages: Vec<(String, ToolMessage)>,
}

impl Steps<'_> {
    /// Hands over the archive's table of contents and the sizes of its data files.
    pub(super) async fn stage(&self, manifest: &Manifest, toc: &Toc) -> Result<()> {
        let sizes: HashMap<i32, u64> = manifest.tables.iter().map(|t| (t.dump_id, t.raw_bytes)).collect();
        let files: Vec<(String, u64)> = toc
            .entries
            .iter()
            .filter_map(|entry| {
                let file = String::from_utf8_lossy(entry.file()?).into_owned();
                Some((file, *sizes.get(&entry.dump_id)?))
            })
            .collect();
        // Data never pass through pg_restore: it need not know the codec, and might complain of one it was not built
        // with.
        self.target.stage(Bytes::from(toc.to_directory(&Codec::None).write()), &files).await
    }

    /// Drops all that will be restored, in one transaction: an object that something else depends on leaves the target
    /// as it was.
    ///
    /// Each step of the restore makes only some of the objects, and with `--clean` would drop only these, though others
    /// hang on them. So pg_restore is given everything at once, without what it would make.
    ///
    /// What an interrupted restore has made holds no rows yet, and no other database may have locks to spare for all of it at
    /// once: that is dropped one by one.
    pub(super) async fn drop_what_is_restored(&mut self, toc: &Toc, plan: &RestorePlan, at_once: bool) -> Result<()> {
        let restored: HashSet<i32> = plan.pre_data.iter().chain(&plan.post_data).copied().collect();
        let inherited = inherited(toc);
        let goes =
            |e: &Entry| restored.contains(&e.dump_id) && e.section != Section::Data && !inherited.contains(&e.dump_id);
        let mut drops = toc.clone();
        drops.entries.retain(|e| is_setting(e) || goes(e));
        drops.entries.iter_mut().filter(|e| !is_setting(e)).for_each(make_nothing);
        self.target.stage(Bytes::from(drops.to_directory(&Codec::None).write()), &[]).await?;
        let step = PgRestoreStep {
            name: "drop".to_owned(),
            dump_ids: drops.entries.iter().map(|e| e.dump_id).collect(),
            jobs: 1,
            // With --no-owner pg_restore makes schemas by words of its own.
            no_owner: false,
            no_acl: true,
            role: self.request.role.clone(),
            clean: true,
            single_transaction: at_once,
        };
        let changed = if at_once { "nothing was changed" } else { "some of it may be gone" };
        self.take(step).await.map_err(|e| e.context(format!("drop what will be restored ({changed})")))
    }

    /// One call of pg_restore; fatal messages are the step's error, all but harmless ones are kept.
    pub(super) async fn run(&mut self, name: &str, dump_ids: &[i32], jobs: u32, clean: bool) -> Result<()> {
        let request = self.request;
        self.take(PgRestoreStep {
            name: name.to_owned(),
            dump_ids: dump_ids.to_vec(),
            jobs: jobs.max(1),
            no_owner: request.no_owner,
            no_acl: request.no_acl,
            role: request.role.clone(),
            clean,
            single_transaction: false,
        })
        .await
    }

    /// The same in several jobs. Where these, or other sessions, got into each other's way, what is missing is made again
    /// by one, a bounded number of times.
    ///
    /// That happens in sound archives: an entry that makes an index and then marks it takes one lock after the other,
    /// and attaching a partition's index takes those of its parent.
    pub(super) async fn run_in_parallel(&mut self, name: &str, toc: &Toc, dump_ids: &[i32], jobs: u32) -> Result<()> {
        let before = self.messages.len();
        let Err(mut failure) = self.run(name, dump_ids, jobs, false).await else { return Ok(()) };
        for _ in 0..REPETITIONS {
            if !self.messages[before..].iter().any(|(_, message)| again::is_clash(message)) {
                break;
            }
            tracing::info!(step = name, reason = %failure, "sessions clashed; making again what is missing");
            let there = match self.context.cancel.race(self.target.toc()).await {
                Ok(toc) => toc,
                // Here too something was in the way.
                Err(e) if e.kind() == ErrorKind::SnapshotLost => continue,
                Err(e) => return Err(e.context(format!("see what is missing, because {failure}"))),
            };
            let owners = !self.request.no_owner
                && !self.messages.iter().any(|(_, m)| m.classification == Classification::Ownership);
            let Some(missing) = again::missing(toc, dump_ids, &there, owners) else { break };
            // What was fatal is said again if it still holds; the rest may be about entries that are there.
            let mut said = self.messages.split_off(before);
            said.retain(|(_, message)| !message.classification.is_fatal());
            let repeated = self.run(name, &missing, 1, false).await;
            said.retain(|message| !self.messages[before..].contains(message));
            self.messages.extend(said);
            match repeated {
                Ok(()) => return Ok(()),
                Err(e) => failure = e,
            }
        }
        Err(failure)
    }

    /// Goes on where another run was interrupted: makes what is not there, and what that one had not given its owner yet.
    pub(super) async fn run_what_is_left(&mut self, name: &str, toc: &Toc, dump_ids: &[i32], jobs: u32) -> Result<()> {
        let looking = self.context.cancel.race(self.target.toc());
        let there = looking.await.map_err(|e| e.context("see what the interrupted restore has made"))?;
        let again::Unmade { missing, others } = again::left_undone(toc, dump_ids, &there);
        if !self.request.no_owner {
            self.run(name, &others, 1, true).await?;
        }
        self.run_in_parallel(name, toc, &missing, jobs).await
    }

    async fn take(&mut self, step: PgRestoreStep) -> Result<()> {
        if step.dump_ids.is_empty() {
            return Ok(());
        }
        // It watches the switch itself, and has to end what it does on the server.
        let said = self.target.pg_restore(&step, self.context).await?;
        let some_tables = !self.request.tables.is_empty();
        let mut fatal = Vec::new();
        for mut message in said {
            // What the tables need may be there already, when they are put back into a living database.
            let there = message.text.contains("already exists") && !message.text.contains("relation");
            if some_tables && self.request.force && there {
                message.classification = Classification::Harmless;
            }
            if message.classification.is_fatal() {
                fatal.push(message.text.clone());
            }
            if message.classification != Classification::Harmless {
                self.messages.push((step.name.clone(), message));
            }
        }
        if fatal.is_empty() {
            return Ok(());
        }
        let shown = fatal.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        let more = fatal.len().saturating_sub(5);
        let tail = if more > 0 { format!("\nand {more} more") } else { String::new() };
        let all = fatal.join("\n");
        Err(Error::new(ErrorKind::Database, format!("pg_restore ({}) failed:\n{shown}{tail}", step.name))
            .with_hint(hint(&all, step.clean)))
    }
}

/// Whether an entry only says how to read the others.
fn is_setting(entry: &Entry) -> bool {
    matches!(entry.desc.as_slice(), b"ENCODING" | b"STDSTRINGS" | b"SEARCHPATH")
}

/// What goes with its parent's and cannot be dropped by itself: partitions' indexes, keys and triggers.
fn inherited(toc: &Toc) -> HashSet<i32> {
    let by_id: HashMap<i32, &Entry> = toc.entries.iter().map(|e| (e.dump_id, e)).collect();
    let children_of = |attach: &'static [u8]| {
        let attaches = toc.entries.iter().filter(move |e| e.desc == attach);
        attaches.flat_map(|attach| attach.dependencies.iter().filter(|id| by_id.get(id).is_some_and(|e| is(e, attach))))
    };
    let mut inherited: HashSet<i32> = children_of(b"INDEX ATTACH").copied().collect();
    let partitions: HashSet<i32> = children_of(b"TABLE ATTACH").copied().collect();
    let of_partitions = |e: &&Entry| e.desc == b"TRIGGER" && e.dependencies.iter().any(|id| partitions.contains(id));
    inherited.extend(toc.entries.iter().filter(of_partitions).map(|e| e.dump_id));
    inherited
}

/// Whether this is the child that an attachment, which bears its name, is about. A constraint's tag is
/// `table constraint`.
fn is(entry: &Entry, attach: &Entry) -> bool {
    let named = match entry.desc.as_slice() {
        b"CONSTRAINT" => entry.tag.strip_suffix(attach.tag.as_slice()).is_some_and(|table| table.ends_with(b" ")),
        _ => entry.tag == attach.tag,
    };
    named && entry.namespace == attach.namespace
}

/// Leaves of an entry what drops it. An entry without any definition would be passed over.
fn make_nothing(entry: &mut Entry) {
    entry.defn = Some(b";".to_vec());
    entry.owner = Some(Vec::new());
    entry.tablespace = None;
    entry.table_am = None;
}

#[cfg(test)]
mod tests;
