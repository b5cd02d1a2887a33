//! Maintenance beside an application at work, and at the command line.

mod command_line;
mod under_load;
