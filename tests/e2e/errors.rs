//! What goes wrong, through the command line: exit code, message, hint, JSON form, and never a secret.

mod concurrent;
pub(crate) mod failing;
mod passwords;
mod source;
mod store;
mod target;
mod usage;
