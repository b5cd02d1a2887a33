//! Tasks that are only noted down.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use lifeboat_core::{
    Error, ErrorKind, Result,
    ports::{TaskWish, Tasks},
};

/// Starts nothing, and remembers what it was asked for. Clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct MemoryTasks(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    started: Vec<TaskWish>,
    /// Those of them that ended in vain.
    ended: BTreeSet<usize>,
    full: bool,
}

impl MemoryTasks {
    /// The tasks, each once.
    pub fn started(&self) -> Vec<TaskWish> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).started.clone()
    }

    /// The last one ends without having done its work.
    pub fn end_the_last(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = state.started.len().saturating_sub(1);
        state.ended.insert(last);
    }

    /// From now on there is no room for any.
    pub fn fill(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).full = true;
    }
}

#[async_trait]
impl Tasks for MemoryTasks {
    async fn start(&self, wish: &TaskWish) -> Result<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = state.started.iter().rposition(|started| started.token == wish.token);
        if known.is_some_and(|index| state.started[index] != *wish) {
            return Err(Error::new(ErrorKind::Store, "the token is another task's"));
        }
        let known = known.filter(|index| !state.ended.contains(index));
        if known.is_none() && state.full {
            return Err(Error::new(ErrorKind::Store, "start a task: RESOURCE:MEMORY"));
        }
        let number = known.unwrap_or_else(|| {
            state.started.push(wish.clone());
            state.started.len() - 1
        });
        Ok(format!("arn:aws:ecs:eu-central-1:123456789012:task/lifeboat/{number}"))
    }
}
