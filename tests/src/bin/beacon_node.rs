//! A beacon node that knows interop keys as validators and tells their duties, for trials of prefetch.

#![expect(clippy::print_stdout, reason = "the program reports to a person")]

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use midslot_tests::{BeaconNodeBuilder, key_files};
use signer_server::duty::{FAR_FUTURE_EPOCH, Network};

const HELP: &str = "\
A beacon node without a chain: it knows interop keys as validators and tells their duties.

    beacon_node NETWORK VALIDATORS PORT

NETWORK is what the signer gets as --network, with a genesis time and a genesis validators root.
VALIDATORS is how many of the first interop keys are validators; the first one is in the sync
committee. It listens on 127.0.0.1 until it is interrupted, for

    signer-server --prefetch-beacon-nodes=http://127.0.0.1:PORT ... eth2 --network=NETWORK
";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [network, validators, port] = &arguments[..] else {
        println!("{HELP}");
        let is_help = arguments.iter().any(|word| word == "--help" || word == "-h");
        return Ok(if is_help { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    let validators: u64 = validators.parse().context("VALIDATORS must be a number")?;
    let port: u16 = port.parse().context("PORT must be a number up to 65535")?;
    let network = Network::by_name_or_file(network)?;
    let (Some(time), Some(root)) = (network.genesis_time, network.genesis_validators_root) else {
        bail!("the genesis of network {} is not known", network.name);
    };
    let mut node = BeaconNodeBuilder::new(time, &root.to_string(), network.slot_duration_ms)
        .slots_per_epoch(network.slots_per_epoch.get())
        .validators((0..validators).map(key_files::public_key))
        .sync_committee(0, &[(0, 0)])
        .port(port);
    for fork in network.forks().iter().filter(|fork| fork.epoch != FAR_FUTURE_EPOCH) {
        node = node.fork(fork.epoch.0, &fork.version.to_string());
    }
    let node = node.start().await.with_context(|| format!("port {port}"))?;
    println!("{validators} validators of {} at {}", network.name, node.url());
    tokio::signal::ctrl_c().await?;
    Ok(ExitCode::SUCCESS)
}
