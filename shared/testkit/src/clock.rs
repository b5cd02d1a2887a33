//! A clock that only tests move, and random numbers that repeat.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use lifeboat_core::ports::{Clock, Entropy};
use tokio::time::Instant;

#[derive(Debug)]
struct Hands {
    now: Timestamp,
    monotonic: f64,
}

/// A clock that stands still until it is told to go on, or that follows tokio's (paused) time.
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<Hands>,
    follows: Option<Instant>,
}

impl ManualClock {
    /// A clock that stands at `now`, such as `2026-11-20T02:00:00Z`.
    ///
    /// # Panics
    /// If `now` is not a time.
    pub fn at(now: &str) -> Self {
        #[expect(clippy::expect_used, reason = "a test wrote the literal")]
        let now = now.parse().expect("a time in UTC");
        Self { hands: Mutex::new(Hands { now, monotonic: 0.0 }), follows: None }
    }

    /// A clock that goes on with tokio's time: under `start_paused` it moves whenever a sleep ends.
    /// Must be made within a runtime.
    ///
    /// # Panics
    /// If `now` is not a time.
    pub fn following_tokio(now: &str) -> Self {
        Self { follows: Some(Instant::now()), ..Self::at(now) }
    }

    /// Lets time pass: both hands move.
    pub fn advance(&self, by: SignedDuration) {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        hands.now += by;
        hands.monotonic += by.as_secs_f64();
    }

    /// Sets the wall clock, as an administrator or a broken time server does; the monotonic clock does not notice.
    pub fn set(&self, now: Timestamp) {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).now = now - self.followed();
    }

    fn followed(&self) -> SignedDuration {
        self.follows.map_or(SignedDuration::ZERO, |since| SignedDuration::try_from(since.elapsed()).unwrap_or_default())
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).now + self.followed()
    }

    fn monotonic_seconds(&self) -> f64 {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner).monotonic + self.followed().as_secs_f64()
    }
}

/// Counts up from a number: the same ids in every run of a test.
#[derive(Debug, Default)]
pub struct FixedEntropy(AtomicU64);

impl FixedEntropy {
    /// The first number it gives.
    pub fn starting_at(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }
}

impl Entropy for FixedEntropy {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
