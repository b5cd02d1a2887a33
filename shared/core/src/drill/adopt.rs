//! Instances that restore tests of AWS Backup made: lent, drilled, and left to AWS Backup, which removes them.

use crate::{
    Error, ErrorKind, Result,
    ports::{Instance, Instances},
};

/// AWS Backup tags what its restore tests make so, and removes by this tag; the role may change nothing else.
const TAG: &str = "awsbackup-restore-test";

/// The id of an instance of RDS, of which events name the ARN: `arn:aws:rds:<region>:<account>:db:<id>`.
pub(super) fn id_of(instance: &str) -> Result<&str> {
    let id = instance.rsplit_once(":db:").map_or(instance, |(_, id)| id);
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Error::new(ErrorKind::Usage, format!("'{instance}' is not the id or ARN of an instance of RDS"))
            .with_hint("AWS Backup's event names it as createdResourceArn"));
    }
    Ok(id)
}

/// A restore job's id becomes part of keys.
pub(super) fn check_job(restore_job: &str) -> Result<()> {
    if restore_job.is_empty() || !restore_job.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Error::new(ErrorKind::Usage, format!("'{restore_job}' is not the id of a restore job"))
            .with_hint("AWS Backup's event names it as restoreJobId"));
    }
    Ok(())
}

/// The instance, which must be one that a restore test made.
pub(super) async fn find(instances: &dyn Instances, id: &str) -> Result<Instance> {
    let found = instances.find(id).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the instance {id} is gone before it was used"))
            .with_hint("AWS Backup removes it when the validation window of its restore testing selection is over")
    })?;
    if found.tags.contains_key(TAG) {
        return Ok(found);
    }
    Err(Error::new(ErrorKind::Refused, format!("the instance {id} was made by no restore test: it has no tag {TAG}"))
        .with_hint("nothing was done to it"))
}

/// What the report says of its end.
pub(super) fn left(id: &str) -> String {
    format!("nothing was made: the instance {id} is AWS Backup's, which removes it when it is told how the drill ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_known_by_its_arn_as_by_its_id() {
        let arn = "arn:aws:rds:eu-central-1:123456789012:db:awsbackup-restore-test-1a2b";
        assert_eq!(id_of(arn).unwrap(), "awsbackup-restore-test-1a2b");
        assert_eq!(id_of("awsbackup-restore-test-1a2b").unwrap(), "awsbackup-restore-test-1a2b");
        assert_eq!(id_of("arn:aws:rds:eu-central-1:123456789012:cluster:one").unwrap_err().kind(), ErrorKind::Usage);
        assert!(check_job("2b3c4d5e-0000-4000-8000-000000000000").is_ok());
        assert_eq!(check_job("../other").unwrap_err().kind(), ErrorKind::Usage);
    }
}
