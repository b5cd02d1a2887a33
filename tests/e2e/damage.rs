//! Damage to every kind of object of a backup: found by name, never restored as good, and always rejected by a drill.

mod attestations;
mod every_byte;
mod kinds;
mod library;
mod program;
