//! Options of the commands after `eth2`.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};

const FILE: &str = "File";
const WATERMARK: &str = "Watermark";
const ANY_U64: Kind = Kind::Integer { min: 0, max: u64::MAX };

option_table!(
    EXPORT_TABLE,
    Scope::Export,
    EXPORT_TO = OptionSpec::new(
        &["to"],
        Kind::Path,
        FILE,
        "File to write, in the slashing protection interchange format (EIP-3076)."
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
);

option_table!(
    WATERMARK_REPAIR_TABLE,
    Scope::WatermarkRepair,
    REPAIR_EPOCH = OptionSpec::new(&["epoch"], ANY_U64, WATERMARK, "Epoch of the watermark."),
    REPAIR_SLOT = OptionSpec::new(&["slot"], ANY_U64, WATERMARK, "Slot of the watermark."),
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
);
