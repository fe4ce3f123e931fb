//! The command line.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use signer_client::load::Profile;

/// What to do.
pub(super) enum Command {
    MakeKeystores(MakeKeystores),
    Run(Run),
}

/// Keystores for a signer.
pub(super) struct MakeKeystores {
    pub(super) folder: PathBuf,
    pub(super) count: u64,
    pub(super) slot_ms: u64,
}

/// A run against a signer.
pub(super) struct Run {
    pub(super) url: String,
    pub(super) profile: Profile,
    pub(super) network: Option<PathBuf>,
    pub(super) validators: u32,
    pub(super) network_validators: u32,
    pub(super) slots: u64,
    pub(super) warm_up_slots: u64,
    pub(super) slot_ms: u64,
    pub(super) seed: u64,
    pub(super) verify: bool,
    pub(super) strict: bool,
    pub(super) json: Option<PathBuf>,
}

const WARNING: &str = "\
Never point it at a signer that holds the key of a real validator. It signs blocks and attestations \
of a made-up chain; it refuses a signer with any key that is not one of the publicly known interop \
keys.";

/// Reads the command line; ends the process when it makes no sense.
pub(super) fn parse() -> Command {
    let mut matches = command().get_matches();
    match matches.remove_one("make-keystores") {
        Some(folder) => Command::MakeKeystores(MakeKeystores {
            folder,
            count: take(&mut matches, "count"),
            slot_ms: take(&mut matches, "slot-ms"),
        }),
        None => Command::Run(Run {
            url: take(&mut matches, "url"),
            profile: take(&mut matches, "profile"),
            network: matches.remove_one("network"),
            validators: take(&mut matches, "validators"),
            network_validators: take(&mut matches, "network-validators"),
            slots: take(&mut matches, "slots"),
            warm_up_slots: take(&mut matches, "warm-up-slots"),
            slot_ms: take(&mut matches, "slot-ms"),
            seed: take(&mut matches, "seed"),
            verify: matches.get_flag("verify"),
            strict: matches.get_flag("strict"),
            json: matches.remove_one("json"),
        }),
    }
}

/// The value of an option that has a default.
fn take<T: Clone + Send + Sync + 'static>(matches: &mut ArgMatches, name: &'static str) -> T {
    match matches.remove_one(name) {
        Some(value) => value,
        None => unreachable!("{name} has a default"),
    }
}

fn command() -> clap::Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).help(help).action(ArgAction::SetTrue)
    };
    let profiles = Profile::ALL.map(Profile::name);
    clap::Command::new("signer-load")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Plays the validators of a known client against a Web3Signer-compatible signer")
        .after_help(WARNING)
        .arg(
            option("url", "URL", "Address of the signer, http:// or https://")
                .default_value("http://127.0.0.1:9000"),
        )
        .arg(
            option("profile", "CLIENT", "The client to play")
                .long_help(format!("The client to play: {}", profiles.join(", ")))
                .value_parser(|text: &str| text.parse::<Profile>())
                .default_value("lighthouse"),
        )
        .arg(
            option("network", "FILE", "Chain to play on, from the signer's own --network file")
                .long_help(
                    "Chain to play on, from the signer's own --network file, as --make-keystores \
                     writes one. Only so does the signer know the chain's clock and keep selection \
                     proofs. Without it a chain is made of --seed and --slot-ms, which a signer \
                     takes that does not know its network's genesis.",
                )
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            option("validators", "COUNT", "Validators to play")
                .value_parser(value_parser!(u32).range(1..))
                .default_value("1000"),
        )
        .arg(
            option("network-validators", "COUNT", "Validators of the whole network")
                .long_help(
                    "Validators of the whole network: decides how many of yours aggregate and how \
                     many are in the sync committee. Every slot has a block of yours, whatever this \
                     number is.",
                )
                .value_parser(value_parser!(u32).range(1..))
                .default_value("1000000"),
        )
        .arg(
            option("slots", "COUNT", "Slots to measure")
                .value_parser(value_parser!(u64).range(1..))
                .default_value("32"),
        )
        .arg(
            option("warm-up-slots", "COUNT", "Slots to play before, without counting")
                .value_parser(value_parser!(u64))
                .default_value("0"),
        )
        .arg(
            option("slot-ms", "MS", "Length of a slot; shorter ones compress time")
                .long_help(
                    "Length of a slot in milliseconds. Shorter ones compress time, with all instants \
                     and the clients' time limits in proportion. A network file says it itself.",
                )
                .value_parser(value_parser!(u64).range(100..=60_000))
                .default_value("12000"),
        )
        .arg(
            option("seed", "NUMBER", "What duties, and without --network the chain, are drawn from")
                .value_parser(value_parser!(u64))
                .default_value("1"),
        )
        .arg(flag("verify", "Check every signature"))
        .arg(flag("strict", "End with exit code 3 after any error or missed deadline"))
        .arg(
            option("json", "FILE", "Write the result there, too")
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            option("make-keystores", "FOLDER", "Make interop keystores and a chain, and end")
                .long_help(
                    "Make keystores of interop keys with passwords, and the configuration of a \
                     chain, in this folder, and end.",
                )
                .value_parser(value_parser!(PathBuf)),
        )
        .arg(
            option("count", "COUNT", "Keystores to make")
                .value_parser(value_parser!(u64).range(1..))
                .default_value("1000"),
        )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_is_sound() {
        super::command().debug_assert();
    }

    #[test]
    fn nonsense_is_refused() {
        let refuses = |option: &str| {
            let words = ["signer-load", option];
            super::command().try_get_matches_from(words).unwrap_err().to_string()
        };
        assert!(refuses("--profile=geth").contains("lighthouse, epoch-burst"));
        refuses("--validators=0");
        refuses("--slot-ms=1");
        refuses("--slots=many");
    }
}
