//! Options of the commands after `eth2`, and of `audit`.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};
use crate::{config::audit::AuditFormat, slashing::rules::LARGEST};

const FILE: &str = "File";
const WATERMARK: &str = "Watermark";
const SOURCE: &str = "Source";
const CONDITIONS: &str = "Conditions: every given one must hold";
const OUTPUT: &str = "Output";
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

option_table!(
    AUDIT_TABLE,
    Scope::Audit,
    AUDIT_URL = OptionSpec::new(
        &["url"],
        Kind::Text,
        SOURCE,
        "Ask the running signer at this address (http://127.0.0.1:9000), which needs \
         --audit-api-enabled. Without it the database is read, while no signer runs on it."
    ),
    AUDIT_KEY = OptionSpec::new(&["key"], Kind::Text, CONDITIONS, "Requests for this public key."),
    AUDIT_CLIENT = OptionSpec::new(
        &["client"],
        Kind::Text,
        CONDITIONS,
        "Requests of the client with this address, name or fingerprint."
    ),
    AUDIT_TYPE = OptionSpec::new(
        &["type"],
        Kind::Text,
        CONDITIONS,
        "Requests of this type, for example ATTESTATION."
    ),
    AUDIT_OUTCOME = OptionSpec::new(
        &["outcome"],
        Kind::Text,
        CONDITIONS,
        "Requests that ended so, for example refused."
    ),
    AUDIT_SINCE = OptionSpec::new(
        &["since"],
        Kind::Text,
        CONDITIONS,
        "Requests that arrived then or later: 2026-03-01T12:00:04Z, 2026-03-01 (UTC), or how long \
         ago (90m, 36h, 7d)."
    ),
    AUDIT_UNTIL = OptionSpec::new(
        &["until"],
        Kind::Text,
        CONDITIONS,
        "Requests that arrived earlier, in the same forms."
    ),
    AUDIT_SLOT = OptionSpec::new(
        &["slot"],
        Kind::Text,
        CONDITIONS,
        "Requests for objects of this slot or range of slots (100-200, 100- or -200)."
    ),
    AUDIT_EPOCH = OptionSpec::new(
        &["epoch"],
        Kind::Text,
        CONDITIONS,
        "The same for objects that have an epoch and no slot: RANDAO reveals and exits."
    ),
    AUDIT_FORMAT = OptionSpec::new(
        &["format"],
        Kind::Choice(AuditFormat::NAMES),
        OUTPUT,
        "Form of the output."
    )
    .default("table"),
    AUDIT_LIMIT = OptionSpec::new(
        &["limit"],
        Kind::Integer { min: 1, max: u64::MAX },
        OUTPUT,
        "Most rows; the newest come first."
    )
    .default("100"),
    AUDIT_ALL = OptionSpec::new(&["all"], Kind::Flag, OUTPUT, "Every row, whatever --limit says.")
        .default("false"),
);
