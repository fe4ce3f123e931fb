//! Options of the commands after `eth2`.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};
use crate::slashing::rules::LARGEST;

const FILE: &str = "File";
const WATERMARK: &str = "Watermark";
/// What a database can store.
const STORABLE: Kind = Kind::Integer { min: 0, max: LARGEST };

option_table!(
    EXPORT_TABLE,
    Scope::Export,
    EXPORT_TO = OptionSpec::new(
        &["to"],
        Kind::Path,
        FILE,
        "File to write, in the slashing protection interchange format (EIP-3076); - for standard \
         output. It appears whole or not at all."
    ),
    EXPORT_KEYS = OptionSpec::new(
        &["pubkeys"],
        Kind::List,
        FILE,
        "Public keys whose records are written, instead of those of all keys."
    ),
);

option_table!(
    IMPORT_TABLE,
    Scope::Import,
    IMPORT_FROM = OptionSpec::new(
        &["from"],
        Kind::Path,
        FILE,
        "File to read, in the slashing protection interchange format (EIP-3076)."
    ),
    ALLOW_PARTIAL = OptionSpec::new(
        &["allow-partial"],
        Kind::Flag,
        FILE,
        "Leave out the keys whose records can't be taken and import the others, instead of \
         importing nothing."
    )
    .default("false"),
);

option_table!(
    WATERMARK_REPAIR_TABLE,
    Scope::WatermarkRepair,
    REPAIR_EPOCH = OptionSpec::new(&["epoch"], STORABLE, WATERMARK, "Epoch of the watermark."),
    REPAIR_SLOT = OptionSpec::new(&["slot"], STORABLE, WATERMARK, "Slot of the watermark."),
    SET_HIGH_WATERMARK = OptionSpec::new(
        &["set-high-watermark"],
        Kind::Flag,
        WATERMARK,
        "Set the high watermark, at and above which nothing is signed, in place of the low one."
    )
    .default("false"),
    REMOVE_HIGH_WATERMARK = OptionSpec::new(
        &["remove-high-watermark"],
        Kind::Flag,
        WATERMARK,
        "Remove the high watermark."
    )
    .default("false"),
    REPAIR_KEYS = OptionSpec::new(
        &["pubkeys"],
        Kind::List,
        WATERMARK,
        "Public keys whose low watermark is raised, instead of that of all keys."
    ),
);
