//! The port to tasks: a container that does one run for which a function's time is too short.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Where tasks are started and what they are: a deployment makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPlace {
    /// The cluster.
    pub cluster: String,
    /// The task definition, with its revision.
    pub task_definition: String,
    /// The container in it.
    pub container: String,
    /// Its subnets.
    pub subnets: Vec<String>,
    /// Its security groups.
    pub security_groups: Vec<String>,
}

/// A task to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskWish {
    /// Where.
    pub place: TaskPlace,
    /// Variables that its container has besides: names and values.
    pub variables: Vec<(String, String)>,
    /// Makes it this one task however often it is asked for; at most 64 characters.
    pub token: String,
    /// What a person sees beside it in a list: letters, digits, `-`, `_` and `/`, at most 128.
    pub started_by: String,
}

/// Starts tasks. ECS on Fargate.
#[async_trait]
pub trait Tasks: Send + Sync {
    /// Starts a task; its ARN. The same wish under the same token is the same task as long as it runs, and when it has done
    /// its work for an hour after, a day at most; another wish under that token is refused. Instead of one that ended without
    /// having done its work, another is started. After a time-out it is unknown whether it was started: asking again is
    /// right. `Store` where it was refused, where there is no room for it, and where one after the other has ended.
    async fn start(&self, wish: &TaskWish) -> Result<String>;
}
