//! The function `drill` step by step, as its state machine calls it, on an instance of RDS with a real PostgreSQL behind it.

mod adopted;
mod defects;
mod ends;
mod machine;
mod origins;
mod passes;
