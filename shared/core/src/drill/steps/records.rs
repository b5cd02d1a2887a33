//! What steps write down in the control store, so that one that is delivered again, and the report, know of it.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::state::{DrillState, Step};
use crate::{
    Error, ErrorKind, Result,
    drill::rehearsal::Rehearsal,
    ids::{DatabaseSlug, DrillId},
    manifest::sha256_hex,
    ports::{RunContext, Store},
};

/// Evidence of large databases names every table.
const LIMIT: u64 = 256 << 20;

/// When a step was first begun.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    at: Timestamp,
}

/// The step that failed first, as it wrote down itself.
pub(super) struct FirstFailure {
    pub(super) step: Step,
    /// The kind of its error.
    pub(super) cause: Option<ErrorKind>,
    pub(super) why: String,
}

/// The records of one drill.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    control: &'a dyn Store,
    database: &'a DatabaseSlug,
    drill: &'a DrillId,
}

/// Which records there are.
pub(super) struct There(Vec<String>);

impl There {
    pub(super) fn done(&self, step: Step) -> bool {
        self.has(&format!("{step}.json"))
    }

    pub(super) fn begun(&self, step: Step) -> bool {
        self.has(&format!("{step}.begun.json"))
    }

    pub(super) fn failed(&self, step: Step) -> bool {
        self.has(&format!("{step}.failed.json"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|there| there == name)
    }

    /// Where the drill is: in the step that was begun last or, where that has come to its end, at the next one.
    pub(super) fn place(&self) -> Option<Step> {
        let last = Step::ALL.into_iter().rposition(|step| self.begun(step))?;
        // Most drills end with the report; that of an adopted instance goes on, once it has begun its last step.
        let goes_on = self.done(Step::ALL[last]) && Step::ALL[last] != Step::Report;
        let next = if goes_on { last + 1 } else { last };
        Some(Step::ALL.get(next).copied().unwrap_or(Step::Validation))
    }
}

fn encoded<T: Serialize>(value: &T) -> Result<Bytes> {
    let bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::new(ErrorKind::Unexpected, format!("encode a record of a drill: {e}")))?;
    Ok(Bytes::from(bytes))
}

/// Reads a record; `None` where there is none.
pub(super) async fn read<T: DeserializeOwned>(control: &dyn Store, key: &str) -> Result<Option<T>> {
    let bytes = match control.read(key, LIMIT).await {
        Ok((bytes, _)) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.context("read a record of the drill")),
    };
    let value = serde_json::from_slice(&bytes)
        .map_err(|e| Error::new(ErrorKind::Unexpected, format!("the record {key} of the drill cannot be read: {e}")))?;
    Ok(Some(value))
}

/// Writes a record; false where there is one already, which stays.
pub(super) async fn write<T: Serialize>(
    control: &dyn Store,
    key: &str,
    value: &T,
    context: &RunContext,
) -> Result<bool> {
    match control.put_new(key, encoded(value)?, &context.run_id).await {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.context("write a record of the drill")),
    }
}

/// Where the first state of an execution lies.
pub(super) fn execution_key(database: &DatabaseSlug, execution: &str) -> String {
    format!("drills/{database}/executions/{}.json", &sha256_hex(execution.as_bytes())[..32])
}

/// Where it is noted what AWS Backup is told of one of its restore jobs, whichever execution tells it.
pub(super) fn restore_job_note(database: &DatabaseSlug, restore_job: &str, what: &str) -> String {
    format!("drills/{database}/restore-jobs/{restore_job}.{what}.json")
}

/// Where it is noted that the bus has heard how an execution ended.
fn told_key(database: &DatabaseSlug, execution: &str) -> String {
    format!("drills/{database}/executions/{}.told.json", &sha256_hex(execution.as_bytes())[..32])
}

/// Whether the bus has heard how an execution ended.
pub async fn was_told(control: &dyn Store, database: &DatabaseSlug, execution: &str) -> Result<bool> {
    Ok(read::<Begun>(control, &told_key(database, execution)).await?.is_some())
}

/// Notes that the bus has heard how an execution ended: nobody needs to tell it again.
pub async fn told(control: &dyn Store, database: &DatabaseSlug, execution: &str, context: &RunContext) -> Result<()> {
    let begun = Begun { at: context.clock.now() };
    write(control, &told_key(database, execution), &begun, context).await.map(drop)
}

impl<'a> Records<'a> {
    pub(super) fn new(control: &'a dyn Store, database: &'a DatabaseSlug, drill: &'a DrillId) -> Self {
        Self { control, database, drill }
    }

    pub(super) fn of(control: &'a dyn Store, state: &'a DrillState) -> Self {
        Self::new(control, &state.database, &state.drill_id)
    }

    fn key(&self, name: &str) -> String {
        format!("drills/{}/{}/{name}", self.database, self.drill)
    }

    /// Notes that a step begins. False where it was done before: then there is nothing to do.
    pub(super) async fn begin(&self, step: Step, context: &RunContext) -> Result<bool> {
        let begun = Begun { at: context.clock.now() };
        if write(self.control, &self.key(&format!("{step}.begun.json")), &begun, context).await? {
            return Ok(true);
        }
        Ok(self.part(step).await?.is_none())
    }

    /// When a step was first begun.
    pub(super) async fn begun_at(&self, step: Step) -> Result<Option<Timestamp>> {
        let begun: Option<Begun> = read(self.control, &self.key(&format!("{step}.begun.json"))).await?;
        Ok(begun.map(|b| b.at))
    }

    /// Writes down what a step found out.
    pub(super) async fn done(&self, step: Step, part: &Rehearsal, context: &RunContext) -> Result<()> {
        write(self.control, &self.key(&format!("{step}.json")), part, context).await.map(drop)
    }

    /// Writes down what a step found out before it failed. The error that it ends with is more important than one of
    /// writing.
    pub(super) async fn failed(&self, step: Step, part: &Rehearsal, context: &RunContext) {
        if let Err(error) = write(self.control, &self.key(&format!("{step}.failed.json")), part, context).await {
            tracing::warn!(%error, %step, "what the step found out is not on record");
        }
    }

    /// The end of a step, whichever it is.
    pub(super) async fn end(
        &self,
        step: Step,
        part: &Rehearsal,
        result: Result<()>,
        context: &RunContext,
    ) -> Result<()> {
        match result {
            Ok(()) => self.done(step, part, context).await,
            Err(error) => {
                self.failed(step, part, context).await;
                Err(error)
            }
        }
    }

    /// What a step that came to its end found out.
    pub(super) async fn part(&self, step: Step) -> Result<Option<Rehearsal>> {
        read(self.control, &self.key(&format!("{step}.json"))).await
    }

    /// What a step that failed found out.
    pub(super) async fn failed_part(&self, step: Step) -> Result<Option<Rehearsal>> {
        read(self.control, &self.key(&format!("{step}.failed.json"))).await
    }

    /// The first step that failed before the removal, which is tried again, as far as it could write it down.
    pub(super) async fn first_failure(&self, there: &There) -> Result<Option<FirstFailure>> {
        let before = Step::ALL.into_iter().take_while(|step| *step != Step::TearDown);
        let Some(step) = before.into_iter().find(|step| there.failed(*step) && !there.done(*step)) else {
            return Ok(None);
        };
        let part = self.failed_part(step).await?.unwrap_or_default();
        let why = part.phases.into_iter().find_map(|phase| phase.note);
        let why = why.unwrap_or_else(|| "it did not say why".to_owned());
        Ok(Some(FirstFailure { step, cause: part.cause, why }))
    }

    /// What the steps found out that came to their end. One whose record cannot be read is named among the reasons: nobody
    /// could ever read it.
    pub(super) async fn done_parts(&self, there: &There) -> Result<Rehearsal> {
        let mut found = Rehearsal::default();
        for step in Step::ALL.into_iter().filter(|step| there.done(*step)) {
            match self.part(step).await {
                Ok(part) => found.absorb(part.unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Unexpected => found.reasons.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Which records there are.
    pub(super) async fn there(&self) -> Result<There> {
        let prefix = self.key("");
        let listed = self.control.list(&prefix).await?;
        Ok(There(listed.iter().filter_map(|o| o.key.strip_prefix(&prefix).map(str::to_owned)).collect()))
    }

    /// Notes that the execution has ended: nothing of it may begin any more.
    pub(super) async fn close(&self, context: &RunContext) -> Result<()> {
        let begun = Begun { at: context.clock.now() };
        write(self.control, &self.key("ended.json"), &begun, context).await.map(drop)
    }

    /// An error where the execution has ended.
    pub(super) async fn refuse_closed(&self) -> Result<()> {
        if read::<Begun>(self.control, &self.key("ended.json")).await?.is_some() {
            return Err(Error::new(ErrorKind::Interrupted, format!("the execution of drill {} has ended", self.drill)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(records: &[&str]) -> Option<Step> {
        There(records.iter().map(|name| format!("{name}.json")).collect()).place()
    }

    #[test]
    fn a_drill_is_in_the_step_begun_last_and_at_the_next_when_that_is_done() {
        assert_eq!(place(&[]), None);
        assert_eq!(place(&["select.begun", "select", "provision.begun"]), Some(Step::Provision));
        // The instance was not there when it was asked for, and is now: provision itself never says that it is done.
        assert_eq!(place(&["provision.begun", "await.begun", "await"]), Some(Step::Restore));
        assert_eq!(place(&["provision.begun", "await.begun", "restore.begun", "restore.failed"]), Some(Step::Restore));
        assert_eq!(place(&["tear-down.begun", "gone.begun"]), Some(Step::Gone));
        assert_eq!(place(&["tear-down.begun", "gone.begun", "gone"]), Some(Step::Report));
        assert_eq!(place(&["report.begun", "report"]), Some(Step::Report));
        assert_eq!(place(&["report.begun", "report", "validation.begun"]), Some(Step::Validation));
    }
}
