//! Where a run runs: in its function, which has a quarter of an hour, or in a task from the same image, which has half a day.

use std::{str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a task has at most, unless `LIFEBOAT_TIME_LIMIT` says otherwise: as long as the state machine waits for one.
pub const LONGEST_TASK: Duration = Duration::from_hours(12);

/// By how much a prediction may be too short before the function's time is.
const RESERVE: f64 = 1.4;

/// What runs the long operations of a database: dump, verify, restore and drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Runner {
    /// The function, whatever is predicted.
    #[default]
    Lambda,
    /// The task, whatever is predicted.
    Fargate,
    /// The task where the function's time is predicted to be too short.
    Auto,
}

impl FromStr for Runner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "lambda" => Ok(Self::Lambda),
            "fargate" => Ok(Self::Fargate),
            "auto" => Ok(Self::Auto),
            other => Err(format!("'{other}' is none of lambda, fargate and auto")),
        }
    }
}

/// What one run, or one step of a drill, runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunsOn {
    /// The function.
    #[default]
    Lambda,
    /// The task on Fargate.
    Fargate,
}

impl RunsOn {
    /// What the configuration wants, where so many seconds are predicted, if any are, and the function has so many.
    pub fn of(runner: Runner, predicted: Option<f64>, function_has: f64) -> Self {
        match runner {
            Runner::Fargate => Self::Fargate,
            Runner::Auto if predicted.is_some_and(|seconds| seconds * RESERVE > function_has) => Self::Fargate,
            Runner::Lambda | Runner::Auto => Self::Lambda,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_to_the_task_where_the_function_would_be_too_short_with_a_reserve() {
        let auto = |predicted| RunsOn::of(Runner::Auto, predicted, 840.0);
        assert_eq!(auto(Some(599.0)), RunsOn::Lambda);
        assert_eq!(auto(Some(601.0)), RunsOn::Fargate);
        assert_eq!(auto(None), RunsOn::Lambda, "what nobody measured is tried");
        assert_eq!(RunsOn::of(Runner::Lambda, Some(9000.0), 840.0), RunsOn::Lambda);
        assert_eq!(RunsOn::of(Runner::Fargate, Some(1.0), 840.0), RunsOn::Fargate);
    }
}
