//! Tasks of ECS on Fargate.

use async_trait::async_trait;
use aws_sdk_ecs::{
    Client,
    types::{
        AssignPublicIp, AwsVpcConfiguration, ContainerOverride, KeyValuePair, LaunchType, NetworkConfiguration, Task,
        TaskOverride,
    },
};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
    manifest::sha256_hex,
    ports::{TaskWish, Tasks},
};

use crate::client::{Aws, failed};

/// The account's and region's.
#[derive(Debug, Clone)]
pub struct EcsTasks(Client);

impl EcsTasks {
    /// By these settings.
    pub fn new(aws: &Aws) -> Self {
        Self(Client::new(&aws.0))
    }
}

const HINT: &str = "check that the role may ecs:RunTask and iam:PassRole for this task definition, and that the image exists; \
                    until then: runner = \"lambda\", or the command line";

/// How many tasks are started for one wish, each because the one before had ended without having done its work: as often as a
/// person may try again within the hour for which ECS knows a token.
const TASKS: usize = 8;

const ENDED_HINT: &str = "look into the log of the tasks and ECS' list of stopped ones, and mend what they say; within an hour of \
                          their end ask without scheduled_at, for a run of its own";

impl EcsTasks {
    /// The task of this token: a new one, or the one that it has known, as it is now.
    async fn task_of(&self, wish: &TaskWish, token: &str, doing: &str) -> Result<Task> {
        let place = &wish.place;
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(place.subnets.clone()))
            .set_security_groups(Some(place.security_groups.clone()))
            .assign_public_ip(AssignPublicIp::Disabled)
            .build()
            .or_error(ErrorKind::Config, doing)?;
        let variables =
            wish.variables.iter().map(|(name, value)| KeyValuePair::builder().name(name).value(value).build());
        let container =
            ContainerOverride::builder().name(&place.container).set_environment(Some(variables.collect())).build();
        let answer = self
            .0
            .run_task()
            .cluster(&place.cluster)
            .task_definition(&place.task_definition)
            .launch_type(LaunchType::Fargate)
            .network_configuration(NetworkConfiguration::builder().awsvpc_configuration(network).build())
            .overrides(TaskOverride::builder().container_overrides(container).build())
            .client_token(token)
            .started_by(&wish.started_by)
            .send()
            .await
            .map_err(|e| failed(doing, e).with_hint(HINT))?;
        // The call succeeds although nothing was started.
        if let Some(failure) = answer.failures().first() {
            let said = [failure.reason(), failure.detail()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            return Err(Error::new(ErrorKind::Store, format!("{doing}: {said}")).with_hint(HINT));
        }
        answer.tasks.and_then(|tasks| tasks.into_iter().next()).ok_or_else(|| unnamed(doing))
    }
}

#[async_trait]
impl Tasks for EcsTasks {
    async fn start(&self, wish: &TaskWish) -> Result<String> {
        let doing = format!("start a task of {}", wish.place.task_definition);
        let (mut token, mut why) = (wish.token.clone(), String::new());
        for _ in 0..TASKS {
            let task = self.task_of(wish, &token, &doing).await?;
            let arn = task.task_arn().ok_or_else(|| unnamed(&doing))?;
            match in_vain(&task) {
                None => return Ok(arn.to_owned()),
                Some(reason) => reason.clone_into(&mut why),
            }
            tracing::warn!(task = arn, why, "this task has ended and its work is not done; another is started");
            token = sha256_hex(format!("{token} after {arn}").as_bytes());
        }
        let message = format!("{doing}: {TASKS} have ended without having done their work, the last of them: {why}");
        Err(Error::new(ErrorKind::Store, message).with_hint(ENDED_HINT))
    }
}

fn unnamed(doing: &str) -> Error {
    Error::new(ErrorKind::Store, format!("{doing}: the answer names neither a task nor a failure")).with_hint(HINT)
}

/// Why a task that ECS knows will not do its work any more; `None` where it will, does, or has done it.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>
fn in_vain(task: &Task) -> Option<&str> {
    let over = match task.last_status() {
        Some("STOPPED") => true,
        // What runs may come to its end yet.
        Some("DEACTIVATING" | "STOPPING" | "DEPROVISIONING") => task.started_at().is_none(),
        _ => false,
    };
    let done = task.containers().iter().any(|container| container.exit_code() == Some(0));
    (over && !done).then(|| task.stopped_reason().unwrap_or("ECS gives no reason"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::{primitives::DateTime, types::Container};

    use super::*;

    fn task(status: &str, ran: bool, exit_code: Option<i32>) -> Task {
        let container = Container::builder().set_exit_code(exit_code).build();
        let started_at = ran.then(|| DateTime::from_secs(1_795_000_000));
        let builder = Task::builder().last_status(status).set_started_at(started_at).containers(container);
        builder.stopped_reason("CannotPullContainerError").build()
    }

    #[test]
    fn a_task_is_given_up_where_it_ended_without_having_done_its_work() {
        for (status, ran, exit_code, given_up) in [
            ("PROVISIONING", false, None, false),
            ("RUNNING", true, None, false),
            ("DEPROVISIONING", false, None, true),
            ("STOPPING", true, None, false),
            ("STOPPED", false, None, true),
            ("STOPPED", true, Some(137), true),
            ("STOPPED", true, Some(0), false),
        ] {
            assert_eq!(in_vain(&task(status, ran, exit_code)).is_some(), given_up, "{status} {ran} {exit_code:?}");
        }
        assert_eq!(in_vain(&task("STOPPED", false, None)), Some("CannotPullContainerError"));
    }
}
