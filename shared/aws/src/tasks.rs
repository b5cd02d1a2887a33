//! Tasks of ECS on Fargate.

use async_trait::async_trait;
use aws_sdk_ecs::{
    Client,
    types::{
        AssignPublicIp, AwsVpcConfiguration, ContainerOverride, KeyValuePair, LaunchType, NetworkConfiguration,
        TaskOverride,
    },
};
use lifeboat_core::{
    Error, ErrorKind, Result, ResultExt,
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

#[async_trait]
impl Tasks for EcsTasks {
    async fn start(&self, wish: &TaskWish) -> Result<String> {
        let place = &wish.place;
        let doing = format!("start a task of {}", place.task_definition);
        let network = AwsVpcConfiguration::builder()
            .set_subnets(Some(place.subnets.clone()))
            .set_security_groups(Some(place.security_groups.clone()))
            .assign_public_ip(AssignPublicIp::Disabled)
            .build()
            .or_error(ErrorKind::Config, &doing)?;
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
            .client_token(&wish.token)
            .started_by(&wish.started_by)
            .send()
            .await
            .map_err(|e| failed(&doing, e).with_hint(HINT))?;
        // The call succeeds although nothing was started.
        if let Some(failure) = answer.failures().first() {
            let said = [failure.reason(), failure.detail()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            return Err(Error::new(ErrorKind::Store, format!("{doing}: {said}")).with_hint(HINT));
        }
        let started = answer.tasks().first().and_then(|task| task.task_arn());
        started.map(str::to_owned).ok_or_else(|| {
            Error::new(ErrorKind::Store, format!("{doing}: the answer names neither a task nor a failure"))
                .with_hint(HINT)
        })
    }
}
