//! Health through the program: what it finds, how it ends, what it says once something stopped and came back.

mod browser;
mod fleet;
mod prometheus;
mod topic;
mod watched;
