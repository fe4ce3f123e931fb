//! Whole bodies: known answers, tolerance, forks, refusals, and bytes at random.

mod fork_choice;
mod generic;
mod known_answers;
mod random;
mod refusals;
mod samples;
mod tolerance;

use serde_json::Value;

use super::{Duty, DutyError, DutyFailure, Network, classify};

fn network(name: &str) -> Network {
    Network::by_name_or_file(name).unwrap()
}

fn on_mainnet(request: &Value) -> Result<Duty, DutyFailure> {
    classify(request.to_string().as_bytes(), &network("mainnet"))
}

fn error_on_mainnet(request: &Value) -> DutyError {
    on_mainnet(request).unwrap_err().error
}
