//! Options that `Web3Signer` does not have. They are root options, but for those of slashing
//! protection, which stand with their kind after `eth2`.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};
use crate::audit::Durability;
use crate::slashing::MigrateMode;

const SIGNING_POOL: &str = "Midslot: signing pool";
const HTTP: &str = "Midslot: HTTP";
const LIMITS: &str = "Midslot: limits";
const PROOFS: &str = "Midslot: selection proofs";
const PREFETCH: &str = "Midslot: prefetch of selection proofs";
const KEY_LOADING: &str = "Midslot: key loading";
const AUDIT: &str = "Midslot: audit";
const SLASHING: &str = "Midslot: slashing protection";

const THREADS: Kind = Kind::Integer { min: 1, max: 1024 };
const QUEUE_BOUND: Kind = Kind::Integer { min: 1, max: 1 << 24 };
/// Up to 1 GiB: a body is held in memory while it is read.
const BODY_SIZE: Kind = Kind::Integer { min: 1024, max: 1 << 30 };
/// Up to a hundred years.
const RETENTION_DAYS: Kind = Kind::Integer { min: 0, max: 36_500 };

option_table!(
    ROOT_TABLE,
    Scope::Root,
    SIGNING_THREADS = OptionSpec::new(
        &["signing-threads"],
        THREADS,
        SIGNING_POOL,
        "Threads that sign. Without it: one for each available core."
    ),
    QUEUE_BOUND_BLOCK = OptionSpec::new(
        &["queue-bound-block"],
        QUEUE_BOUND,
        SIGNING_POOL,
        "Most requests for block proposals and what a proposer needs that may wait."
    )
    .default("1024"),
    QUEUE_BOUND_ATTESTATION = OptionSpec::new(
        &["queue-bound-attestation"],
        QUEUE_BOUND,
        SIGNING_POOL,
        "Most attestations, sync messages and payload attestations that may wait."
    )
    .default("65536"),
    QUEUE_BOUND_AGGREGATE = OptionSpec::new(
        &["queue-bound-aggregate"],
        QUEUE_BOUND,
        SIGNING_POOL,
        "Most aggregates and contributions that may wait."
    )
    .default("16384"),
    QUEUE_BOUND_SELECTION_PROOF = OptionSpec::new(
        &["queue-bound-selection-proof"],
        QUEUE_BOUND,
        SIGNING_POOL,
        "Most selection proofs that may wait."
    )
    .default("65536"),
    QUEUE_BOUND_BACKGROUND = OptionSpec::new(
        &["queue-bound-background"],
        QUEUE_BOUND,
        SIGNING_POOL,
        "Most registrations, exits, deposits and other requests without a deadline that may wait."
    )
    .default("65536"),
    HTTP_MAX_BODY_SIZE = OptionSpec::new(
        &["http-max-body-size"],
        BODY_SIZE,
        LIMITS,
        "Largest body of a request, in bytes."
    )
    // 32 MiB: a Gloas payload envelope with its transactions in hexadecimal does not fit in
    // Web3Signer's 10 MiB.
    .default("33554432"),
    HTTP_MAX_BODY_BYTES_IN_FLIGHT = OptionSpec::new(
        &["http-max-body-bytes-in-flight"],
        Kind::Integer { min: 1024, max: 1 << 36 },
        LIMITS,
        "Most bytes of all requests' bodies that are in memory at a time. A request beyond it is \
         answered 500 with Retry-After. Without it: 256 MiB, or four thirds of the largest body."
    ),
    HTTP_MAX_CONNECTIONS = OptionSpec::new(
        &["http-max-connections"],
        Kind::Integer { min: 1, max: 1 << 20 },
        LIMITS,
        "Most connections to the signing port. Further ones wait until another one ends. Lowered to \
         what the limit of open files leaves."
    )
    .default("16384"),
    HTTP_SERVER_TIMING_ENABLED = OptionSpec::new(
        &["http-server-timing-enabled"],
        Kind::Flag,
        HTTP,
        "Say in the header Server-Timing of every answer to a signing request how long it waited \
         for a signing thread, for the database and for the signature."
    )
    .default("false"),
    BATCH_MAX_KEYS = OptionSpec::new(
        &["batch-max-keys"],
        Kind::Integer { min: 1, max: 1 << 20 },
        LIMITS,
        "Most keys that one batch request may name."
    )
    .default("16384"),
    PROOF_CACHE_CAPACITY = OptionSpec::new(
        &["proof-cache-capacity"],
        Kind::Integer { min: 1, max: 1 << 22 },
        PROOFS,
        "Most selection proofs that are kept until their slot has passed, and most that may wait to \
         be made in the background. Each takes at most 768 bytes."
    )
    .default("65536"),
    PROOF_MAX_SLOTS_AHEAD = OptionSpec::new(
        &["proof-max-slots-ahead"],
        Kind::Integer { min: 1, max: 1 << 16 },
        PROOFS,
        "How many slots after the present one selection proofs are kept, and may be asked for by a \
         pre-request."
    )
    .default("64"),
    PREFETCH_BEACON_NODES = OptionSpec::new(
        &["prefetch-beacon-nodes"],
        Kind::List,
        PREFETCH,
        "Addresses of beacon nodes, the preferred one first. They are asked when the loaded keys are \
         on duty, and the selection proofs are made ahead, so that any validator client finds them \
         ready. Without it: off. Needs a network whose genesis is known."
    )
    .secret(),
    PREFETCH_LOOK_AHEAD_SLOTS = OptionSpec::new(
        &["prefetch-look-ahead-slots"],
        // Duties are known to the end of the next epoch.
        Kind::Integer { min: 1, max: 32 },
        PREFETCH,
        "How many slots ahead."
    )
    .default("8"),
    PREFETCH_SLOT_PERCENT = OptionSpec::new(
        &["prefetch-slot-percent"],
        Kind::Integer { min: 1, max: 99 },
        PREFETCH,
        "When in a slot proofs are made, in percent of the slot. Beacon nodes are asked at half of it."
    )
    .default("80"),
    PREFETCH_REQUEST_TIMEOUT = OptionSpec::new(
        &["prefetch-request-timeout-milliseconds"],
        Kind::Integer { min: 50, max: 60_000 },
        PREFETCH,
        "How long a beacon node may take for one answer before the next one is asked."
    )
    .default("3000"),
    KEY_LOADING_THREADS = OptionSpec::new(
        &["key-loading-threads"],
        THREADS,
        KEY_LOADING,
        "Threads that decrypt keystores. Without it: one for each available core."
    ),
    AUDIT_API_ENABLED = OptionSpec::new(
        &["audit-api-enabled"],
        Kind::Flag,
        AUDIT,
        "Serve the audit at GET /midslot/v1/audit."
    )
    .default("false"),
    AUDIT_DURABILITY = OptionSpec::new(
        &["audit-durability"],
        Kind::Choice(Durability::NAMES),
        AUDIT,
        "Which rows are on disk before their signature leaves: of blocks and attestations that are \
         signed for the first time (batched), or of every signature (strict)."
    )
    .default("batched"),
    AUDIT_RETENTION_DAYS = OptionSpec::new(
        &["audit-retention-days"],
        RETENTION_DAYS,
        AUDIT,
        "Days for which rows of blocks, attestations, exits and deposits are kept; 0 for ever."
    )
    .default("90"),
    AUDIT_BULK_RETENTION_DAYS = OptionSpec::new(
        &["audit-bulk-retention-days"],
        RETENTION_DAYS,
        AUDIT,
        "Days for which all other rows are kept; 0 for ever."
    )
    .default("14"),
);

option_table!(
    ETH2_TABLE,
    Scope::Eth2,
    ACCEPT_NEW_DATABASE = OptionSpec::new(
        &["accept-new-slashing-protection-db"],
        Kind::Flag,
        SLASHING,
        "Start with an empty database although these keys were registered in another one before. \
         Only right when nothing can have been signed that the new database does not know."
    )
    .default("false"),
    DB_MIGRATE = OptionSpec::new(
        &["db-migrate"],
        Kind::Choice(MigrateMode::NAMES),
        SLASHING,
        "What to do at the start with a PostgreSQL database whose tables are missing or older than \
         this version: bring them up to date, or refuse to start."
    )
    .default("auto"),
    ALLOW_GENERIC_SLASHABLE_DOMAINS = OptionSpec::new(
        &["allow-generic-slashable-domains"],
        Kind::Flag,
        SLASHING,
        "Accept GENERIC requests for blocks and attestations, if they bring block_header or \
         attestation for slashing protection to check. Without it they are refused."
    )
    .default("false"),
    SAFE_START = OptionSpec::new(
        &["safe-start"],
        Kind::Flag,
        SLASHING,
        "Start with a database that may have forgotten something: no key signs a block or an \
         attestation of the present epoch or before, which costs each key one duty. Confirms a \
         missing, older or other database. Needs a network whose genesis time is known."
    )
    .default("false"),
    REFUSE_FAR_FUTURE = OptionSpec::new(
        &["refuse-far-future"],
        Kind::Flag,
        SLASHING,
        "Refuse attestations more than 2 epochs and blocks more than 64 slots ahead of this \
         machine's clock, which would keep a key from signing until then. Needs a network whose \
         genesis time is known."
    )
    .default("false"),
);
