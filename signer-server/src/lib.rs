//! Midslot, a Web3Signer-compatible remote signer for Ethereum validators.
//!
//! The modules follow the way of a request:
//! [`http`] reads it, [`duty`] says what is asked (key, class, signing root, slashable part),
//! [`keys`] finds the key, [`scheduler`] admits the job, [`slashing`] clears and records what is
//! slashable, [`bls`] signs (or [`selection`] has the proof already), [`audit`] writes down who asked and what was answered.
//!
//! Beside that way, [`prefetch`] learns from beacon nodes which selection proofs will be asked for.
//! Beside all of it, [`aggregation`] adds up signatures that others made, without keys;
//! [`one_shot`] signs what came of it.
//!
//! Commands that work on the records and end are in [`cli`].

pub mod aggregation;
pub mod app;
pub mod audit;
pub mod bls;
mod choice;
pub mod cli;
pub mod clock;
pub mod config;
pub mod duty;
pub mod hardening;
pub mod http;
pub mod keys;
pub mod lifecycle;
pub mod listen;
mod low_priority;
pub mod one_shot;
mod ports_file;
pub mod prefetch;
pub mod reload;
pub mod scheduler;
pub mod selection;
pub mod signing;
pub mod slashing;
pub mod telemetry;
