//! The system's clock and random numbers.

use std::time::Instant;

use jiff::Timestamp;
use lifeboat_core::ports::{Clock, Entropy};

/// The system's clock; durations count from when it was made.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic_seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

/// Random numbers, seeded by the system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn next(&self) -> u64 {
        rand::random()
    }
}
