//! The command line as a whole: fleets, where a setting comes from, and what every command owes programs and people.

mod demo;
mod fleet;
mod forecast;
mod help;
mod origins;
