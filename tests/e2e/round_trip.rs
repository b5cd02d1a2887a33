//! Round trips: what a backup gives back, by any of three ways, is what stock `pg_dump` and `pg_restore` give back.

mod backup;
mod contents;
mod drilled;
mod encodings;
mod encrypted;
mod every_kind;
mod fast;
mod lock;
mod newer;
mod parts;
mod resumed;
mod standby;
mod trip;
mod under_load;
