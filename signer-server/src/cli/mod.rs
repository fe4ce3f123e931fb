//! What the subcommands do, one file for each.

pub mod audit;
