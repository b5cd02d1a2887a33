//! Waits between attempts, longer each time and never at the same moment as everyone else, until patience ends.

use std::time::Duration;

use tokio::time::Instant;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(8);
/// Long enough for a store to throttle, fail over or restart; the run's own deadline ends sooner where it is shorter.
const PATIENCE: Duration = Duration::from_secs(90);

/// The state of one operation's waiting.
pub(super) struct Backoff {
    begun: Instant,
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), next: FIRST }
    }

    /// Waits; `false` at once when patience has ended.
    pub(super) async fn wait(&mut self) -> bool {
        if self.begun.elapsed() + self.next > PATIENCE {
            return false;
        }
        // Between half and all of it, so that those who failed together do not return together.
        tokio::time::sleep(self.next.mul_f64(rand::random_range(0.5..1.0))).await;
        self.next = (self.next * 2).min(LONGEST);
        true
    }
}
