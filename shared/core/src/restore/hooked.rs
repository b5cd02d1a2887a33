//! Work with hooks around it: what comes after runs in every ending of what had begun.

use crate::{
    Error, Result,
    ports::{Hooks, RunContext},
};

/// Runs `before`, the work, and `after`. A `before` that fails leaves the work undone. Gives what went wrong afterwards
/// beside the work's own result; an error of the work names it too.
pub async fn hooked<T>(
    hooks: &dyn Hooks,
    context: &RunContext,
    work: impl Future<Output = Result<T>>,
) -> Result<(T, Vec<String>)> {
    let result = match context.cancel.race(hooks.before()).await {
        Ok(()) => work.await,
        Err(error) => Err(error),
    };
    // Not interrupted: whoever stopped a service must start it again.
    let trouble = hooks.after(result.is_ok()).await;
    match result {
        Ok(done) => Ok((done, trouble)),
        Err(error) if trouble.is_empty() => Err(error),
        Err(error) => {
            let told = format!("{error}; and afterwards: {}", trouble.join("; "));
            let hint = error.hint().to_owned();
            Err(Error::new(error.kind(), told).with_hint(hint).with_source(error))
        }
    }
}

/// No hooks.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHooks;

#[async_trait::async_trait]
impl Hooks for NoHooks {
    async fn before(&self) -> Result<()> {
        Ok(())
    }

    async fn after(&self, _succeeded: bool) -> Vec<String> {
        Vec::new()
    }
}
