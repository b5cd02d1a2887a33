//! DDL of an application at every step of a dump: the backup is one state of the database, and nobody waits for ever.

mod application;
mod contents;
mod locks;
mod matrix;
mod steps;
