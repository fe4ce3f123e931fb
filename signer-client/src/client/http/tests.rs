//! The client against a signer on loopback that does what a test wants.

mod aggregation;
mod answers;
mod batches;
mod endpoints;
mod fake;
mod forgotten_jobs;
mod tls;
