//! The tables of all options, one file per group.
//!
//! Names, aliases and defaults of `Web3Signer`'s options are its contract with operators
//! (<https://docs.web3signer.consensys.io/reference/cli/options>); the tables in `own.rs` hold
//! what it does not have.

pub(super) mod aggregation;
pub(super) mod eth2;
pub(super) mod migrate;
pub(super) mod own;
pub(super) mod remote_keys;
pub(super) mod root;
pub(super) mod subcommands;

use super::option::{OptionSpec, Scope};

/// Declares one static per option and a table of them, so that no option can be left out.
macro_rules! option_table {
    ($table:ident, $scope:expr, $($name:ident = $spec:expr),* $(,)?) => {
        $(pub(in crate::config) static $name: $crate::config::option::OptionSpec =
            $spec.scope($scope);)*
        pub(super) static $table: &[&$crate::config::option::OptionSpec] = &[$(&$name),*];
    };
}
use option_table;

/// Every option, in the order of the help text.
pub(super) fn all() -> impl Iterator<Item = &'static OptionSpec> {
    [
        root::TABLE,
        own::ROOT_TABLE,
        aggregation::TABLE,
        eth2::TABLE,
        remote_keys::TABLE,
        own::ETH2_TABLE,
        subcommands::EXPORT_TABLE,
        subcommands::IMPORT_TABLE,
        subcommands::WATERMARK_REPAIR_TABLE,
        migrate::FROM_WEB3SIGNER_TABLE,
        migrate::SQLITE_TO_POSTGRES_TABLE,
        migrate::POSTGRES_TO_SQLITE_TABLE,
        subcommands::AUDIT_TABLE,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The options of one command.
pub(super) fn of(scope: Scope) -> impl Iterator<Item = &'static OptionSpec> {
    all().filter(move |spec| spec.scope == scope)
}
