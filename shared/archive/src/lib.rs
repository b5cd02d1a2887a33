//! Bytes of a backup: `pg_dump`'s table of contents, the framing of its data files, codecs, encryption and checksums.
//!
//! This crate reads and writes what `pg_dump` and `pg_restore` read and write. It knows no server, no store and no
//! clock, and depends on no other crate of the workspace.

pub mod checksum;
pub mod chunk;
pub mod codec;
pub mod copy_statement;
pub mod data_file;
pub mod encryption;
pub mod large_objects;
pub mod names;
pub mod toc;
