//! How many relations a server lets all transactions together hold locks on, and what to set where that is too few.

use serde::{Deserialize, Serialize};

/// The server takes what it can get beyond its table from memory that is left over: a tenth of the table, and 100 kB that
/// nobody else may have wanted, at some 350 bytes for a lock that one or two sessions hold. Measured: 160 to 260.
const LEFT_OVER: u64 = 300;

/// Sessions of ours that keep a few locks beside the table (from PostgreSQL 18 on as many as one transaction is promised).
const SESSIONS: u64 = 2;

/// The room of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSpace {
    /// `max_locks_per_transaction`.
    per_transaction: u64,
    /// What it is multiplied by.
    transactions: u64,
}

impl LockSpace {
    /// From `max_locks_per_transaction`, and by what the server multiplies it.
    pub fn new(per_transaction: u64, transactions: u64) -> Self {
        Self { per_transaction, transactions: transactions.max(1) }
    }

    /// Locks that the server has promised room for.
    pub fn promised(self) -> u64 {
        self.per_transaction * self.transactions
    }

    /// Locks for which there can be no room, whatever else the server does.
    pub fn most(self) -> u64 {
        self.promised() + self.promised() / 10 + LEFT_OVER + SESSIONS * self.per_transaction
    }

    /// What `max_locks_per_transaction` should be for so many locks, with a fifth to spare for what else goes on.
    pub fn wanted(self, locks: u64) -> u64 {
        (locks + locks / 5).div_ceil(self.transactions).next_multiple_of(64).max(self.per_transaction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_as_it_comes_has_room_for_some_thousand_locks_and_is_told_what_more_would_take() {
        let stock = LockSpace::new(64, 100 + 8 + 10 + 3 + 1);
        assert_eq!((stock.promised(), stock.most()), (7808, 9016));
        assert_eq!(stock.wanted(20_000), 256);
        assert!(LockSpace::new(stock.wanted(20_000), 122).promised() >= 20_000);
        assert_eq!(stock.wanted(10), 64);
    }
}
