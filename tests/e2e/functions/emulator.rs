//! The functions under the emulator, on a store and a database of one test.

use std::ops::{Deref, DerefMut};

use anyhow::Result;
use lifeboat_tests::{StoreUnderTest, emulator, stack};

use crate::shared::fifteen;

/// The emulator, and every process of a function that was started beside it. All end with this value.
pub(super) struct Functions(emulator::Functions);

impl Functions {
    /// Starts the runtime API; functions work on this store and this database, called `orders` in their configuration.
    pub(super) fn start(store: &StoreUnderTest, database: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let environment = stack::environment(folder.path(), fifteen()?, database, store)?;
        emulator::Functions::start(folder, environment).map(Self)
    }
}

impl Deref for Functions {
    type Target = emulator::Functions;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Functions {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
