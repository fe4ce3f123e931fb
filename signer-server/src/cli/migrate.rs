//! `eth2 migrate`: move all records in from Web3Signer, or to another database of ours.

use std::path::Path;

use signer_client::wire::Root;

use crate::{
    config::{Config, Migration, Web3SignerAction},
    slashing::{
        Administration, AdministrationOptions, Compared, DatabaseUrl, Inspection, KeyOutcome,
        MoveError, MoveReport, PostgresUrl,
    },
};

use super::{CommandError, block_on, network_root, open, say};

/// Keys that are named one by one, of each kind of remark.
const NAMED: usize = 100;

/// Runs the command.
pub fn run(config: &Config, migration: Migration) -> Result<(), CommandError> {
    match migration {
        Migration::Web3Signer { url, action } => {
            // Unlike a file, a database is moved for good: the network always counts, its default
            // included.
            let network = config.network.load()?.genesis_validators_root;
            block_on(async {
                match action {
                    Web3SignerAction::DryRun => inspect(&url, network).await.map(drop),
                    Web3SignerAction::MoveIn => move_in(config, &url, network).await,
                    Web3SignerAction::Undo { force } => undo(config, &url, force).await,
                }
            })
        }
        Migration::Relocate { from, to } => {
            let network = network_root(config)?;
            block_on(relocate(config, from, to, network))
        }
    }
}

/// Says what is in Web3Signer's database; an error when it can't be moved.
async fn inspect(url: &PostgresUrl, network: Option<Root>) -> Result<Inspection, CommandError> {
    let inspection = Administration::inspect_web3signer(url, network).await?;
    say(format_args!("{url}: Web3Signer's database, version {}", inspection.version));
    for problem in &inspection.problems {
        say(format_args!("can't move {problem}"));
    }
    if !inspection.problems.is_empty() {
        return Err(MoveError::Problems { problems: inspection.problems }.into());
    }
    if let Some(chain) = inspection.chain {
        say(format_args!("Genesis validators root {chain}"));
    }
    if let Some(high) = inspection.high_watermark {
        say(format_args!("High watermark: epoch {}, slot {}", high.epoch, high.slot));
    }
    for key in inspection.slashable.iter().take(NAMED) {
        say(format_args!("{key}: warning: the records themselves hold slashable messages"));
    }
    let Compared { keys, attestations, blocks } = inspection.found;
    say(format_args!(
        "{keys} keys, {} of them enabled; {attestations} attestations, {blocks} blocks; {} keys with \
         slashable records{}",
        inspection.enabled,
        inspection.slashable.len(),
        if inspection.is_fenced { "; moved before, and fenced off" } else { "" },
    ));
    Ok(inspection)
}

async fn move_in(
    config: &Config,
    url: &PostgresUrl,
    network: Option<Root>,
) -> Result<(), CommandError> {
    // What can't be moved shall not even leave an empty database.
    inspect(url, network).await?;
    let mut database = open(config, true).await?;
    let report = database.move_from_web3signer(url, network).await?;
    tell(&report);
    if !report.was_complete {
        say("Web3Signer signs nothing any more. Start Midslot on the same keys");
    }
    database.close().await.map_err(CommandError::Close)
}

async fn undo(config: &Config, url: &PostgresUrl, force: bool) -> Result<(), CommandError> {
    let mut database = open(config, false).await?;
    let records = database.give_back_to_web3signer(url, force).await?;
    say("Web3Signer's database is as it was. The keys are switched off here");
    if records > 0 {
        say(format_args!(
            "warning: Web3Signer does not know of {records} blocks and attestations that are on \
             record here. Before it starts: `eth2 export` here, and import the file there"
        ));
    }
    database.close().await.map_err(CommandError::Close)
}

async fn relocate(
    config: &Config,
    from: DatabaseUrl,
    to: DatabaseUrl,
    network: Option<Root>,
) -> Result<(), CommandError> {
    let (from_name, to_name) = (from.to_string(), to.to_string());
    // The markers are compared with both databases and rewritten at the end, so neither is asked
    // of them alone.
    let open = |database, create| {
        let (marker_directories, accept_new_database) = (vec![], false);
        Administration::open(AdministrationOptions {
            database,
            postgres: config.slashing.postgres.clone(),
            marker_directories,
            accept_new_database,
            create,
        })
    };
    let mut source = open(from, false).await?;
    let mut target = open(to, true).await?;
    let mut folders = config.marker_directories();
    folders.retain(|folder| folder != Path::new("./"));
    let report = source.move_to(&mut target, folders, network).await?;
    tell(&report);
    say(format_args!(
        "{from_name} signs nothing any more. Start the signers with {to_name}; on another machine \
         confirm it once with --accept-new-slashing-protection-db=true"
    ));
    target.close().await.map_err(CommandError::Close)?;
    source.close().await.map_err(CommandError::Close)
}

/// Says what became of the records: a line for each key that an operator should know of, and sums.
fn tell(report: &MoveReport) {
    let minified = report.outcomes.iter().filter(|outcome| outcome.minified).take(NAMED);
    for KeyOutcome { key, .. } in minified {
        say(format_args!(
            "{key}: warning: two attestations have the same target and different sources; the key \
             signs only what lies above everything known of it"
        ));
    }
    let forgotten = report.outcomes.iter().filter(|outcome| outcome.roots_forgotten > 0);
    for KeyOutcome { key, roots_forgotten, .. } in forgotten.take(NAMED) {
        say(format_args!(
            "{key}: warning: {roots_forgotten} records contradict those that were here; they are \
             never signed again"
        ));
    }
    let sum = |part: fn(&KeyOutcome) -> u64| report.outcomes.iter().map(part).sum::<u64>();
    let Compared { keys, attestations, blocks } = report.compared;
    if report.was_complete {
        say("Moved before: nothing was changed");
    } else {
        say(format_args!(
            "Moved {} keys, {} of them enabled: {} attestations and {} blocks are new here",
            report.outcomes.len(),
            report.enabled.len(),
            sum(|outcome| outcome.attestations_added),
            sum(|outcome| outcome.blocks_added),
        ));
    }
    say(format_args!(
        "Compared {keys} keys, {attestations} attestations and {blocks} blocks with their copies: \
         nothing is missing"
    ));
}
