//! End-to-end tests: the real signer binary over real sockets, with real key files and a real
//! database. One binary, so that there is one link step.

#![expect(clippy::unwrap_used, reason = "an unwrap that fails fails its test, as it should")]

mod aggregation;
mod aggregation_signing;
mod audit;
mod bad_input;
mod batch;
mod both_databases;
mod cancelled_requests;
mod client;
mod client_shapes;
mod connections;
mod content_negotiation;
mod crash;
mod crash_points;
mod damaged_log;
mod database_faults;
mod deploy;
mod durability;
mod generic;
mod health;
mod interchange;
mod interchange_commands;
mod key_loading_priority;
mod keys;
mod known_answers;
mod load;
mod migrate;
mod openapi;
mod options;
mod order_of_checks;
mod overload;
mod postgres;
mod postgres_harness;
mod prefetch;
mod priority;
mod reload;
mod restart;
mod selection_proofs;
mod server_timing;
mod shutdown;
mod slashing;
mod slow_readers;
mod spans;
mod start;
mod tolerance;
mod two_signers;
mod upkeep;
mod web3signer_schema;
