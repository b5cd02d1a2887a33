//! Buffers of parts, which are used again, and how many of them are on their way at a time.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::available_parallelism,
};

use bytes::{Bytes, BytesMut};
use lifeboat_core::{ErrorKind, Result, ResultExt, ports::PART};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// More idle ones than this are freed.
const MOST_IDLE: usize = 16;

/// The memory of uploads: each fills one buffer, and one more is on its way for each core, and one.
#[derive(Debug)]
pub(super) struct Buffers {
    /// Those that no upload uses at the moment. Freed and made anew each time, memory of this size comes back from where small
    /// things lie too, and leaves holes between them: a third of all that a dump took.
    idle: Mutex<Vec<BytesMut>>,
    flights: Arc<Semaphore>,
}

impl Default for Buffers {
    fn default() -> Self {
        let flights = 1 + available_parallelism().map_or(1, usize::from);
        Self { idle: Mutex::default(), flights: Arc::new(Semaphore::new(flights)) }
    }
}

impl Buffers {
    /// Waits until a part may leave. Who waits keeps a full buffer; those on their way arrive without it.
    pub(super) async fn flight(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.flights).acquire_owned().await.or_error(ErrorKind::Unexpected, "wait for other parts")
    }

    /// An empty buffer that holds a part, or more.
    pub(super) fn take(&self, room: usize) -> BytesMut {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = idle.unwrap_or_else(|| BytesMut::with_capacity(PART));
        buffer.reserve(room);
        buffer
    }

    /// What was sent can be filled again, unless the connection still holds it or it was grown for a larger part.
    pub(super) fn sent(&self, body: Bytes) {
        if let Ok(buffer) = body.try_into_mut() {
            self.give_back(buffer);
        }
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&self, mut buffer: BytesMut) {
        buffer.clear();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if (PART..2 * PART).contains(&buffer.capacity()) && idle.len() < MOST_IDLE {
            idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_buffer_is_filled_again_and_one_that_was_grown_is_not_kept() {
        let buffers = Buffers::default();
        let mut first = buffers.take(PART);
        first.extend_from_slice(b"part");
        let place = first.as_ptr();
        buffers.sent(first.freeze());
        let again = buffers.take(PART);
        assert_eq!((again.as_ptr(), again.len()), (place, 0));
        let grown = buffers.take(3 * PART);
        let grown_place = grown.as_ptr();
        buffers.give_back(grown);
        buffers.give_back(again);
        let next = buffers.take(PART);
        assert_eq!(next.as_ptr(), place);
        assert_ne!(next.as_ptr(), grown_place);
    }

    #[tokio::test]
    async fn only_so_many_parts_leave_and_each_that_arrives_lets_another_one_leave() {
        let buffers = Buffers::default();
        let mut flights = Vec::new();
        for _ in 0..=available_parallelism().map_or(1, usize::from) {
            flights.push(buffers.flight().await.unwrap());
        }
        assert!(buffers.flight().now_or_never().is_none());
        flights.pop();
        assert!(buffers.flight().now_or_never().is_some());
    }

    #[test]
    fn what_somebody_still_holds_is_not_given_to_another() {
        let buffers = Buffers::default();
        let body = buffers.take(PART).freeze();
        let held = body.clone();
        buffers.sent(body);
        assert!(buffers.idle.lock().unwrap().is_empty());
        drop(held);
    }
}
