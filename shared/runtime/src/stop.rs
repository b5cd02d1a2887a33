//! Ctrl-C and SIGTERM: the first asks the run to end cleanly, the second ends the process at once. A file that grows
//! beyond its limit ends nothing.

use lifeboat_core::{ErrorKind, Result, ResultExt, cancel::Canceller};
use tokio::signal::unix::{SignalKind, signal};

/// The signal of a write beyond the limit of a file's size, as Linux and macOS count them.
const FILE_SIZE_EXCEEDED: i32 = 25;

/// Watches for both signals until the process ends. `told` is called at the first, to say that the run is ending.
pub fn on_signals(canceller: Canceller, told: impl Fn() + Send + 'static) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).or_error(ErrorKind::Unexpected, "watch for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).or_error(ErrorKind::Unexpected, "watch for SIGTERM")?;
    // Unwatched, it kills the process with a core dump; watched, the write fails and the store says so.
    let beyond_limit = signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED));
    drop(beyond_limit.or_error(ErrorKind::Unexpected, "watch for files beyond their limit")?);
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                std::process::exit(i32::from(ErrorKind::Interrupted.exit_code()));
            }
            asked = true;
            told();
            canceller.cancel(ErrorKind::Interrupted);
        }
    });
    Ok(())
}
