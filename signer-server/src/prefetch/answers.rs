//! Answers of the standard Beacon API, only what is used of them. Unknown members are ignored.

use serde::Deserialize;
use signer_client::wire::{ForkVersions, PublicKey, QuotedU64, Root, Slot};

/// The envelope of every answer.
#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: T,
}

/// `GET /eth/v1/node/syncing`.
#[derive(Deserialize)]
pub(super) struct Syncing {
    pub(super) head_slot: Slot,
    pub(super) is_syncing: bool,
}

/// `GET /eth/v1/beacon/genesis`.
#[derive(Deserialize)]
pub(super) struct Genesis {
    /// Unix seconds.
    pub(super) genesis_time: QuotedU64,
    pub(super) genesis_validators_root: Root,
}

/// `GET /eth/v1/config/spec`. Which members a node has differs, and newer ones are no integers.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) struct Spec {
    pub(super) slots_per_epoch: Option<QuotedU64>,
    pub(super) slot_duration_ms: Option<QuotedU64>,
    pub(super) seconds_per_slot: Option<QuotedU64>,
    pub(super) sync_committee_size: Option<QuotedU64>,
}

/// `GET /eth/v1/config/fork_schedule`.
pub(super) type ForkScheduleAnswer = Data<Vec<ForkVersions>>;

/// `GET /eth/v1/beacon/states/head/fork`.
pub(super) type HeadFork = Data<ForkVersions>;

/// One of `/eth/v1/beacon/states/head/validators`.
#[derive(Deserialize)]
pub(super) struct Validator {
    pub(super) index: QuotedU64,
    pub(super) validator: ValidatorKey,
}

/// The key of a validator.
#[derive(Deserialize)]
pub(super) struct ValidatorKey {
    pub(super) pubkey: PublicKey,
}

/// `POST /eth/v1/validator/duties/attester/{epoch}`.
#[derive(Deserialize)]
pub(super) struct AttesterDuties {
    /// The block on which the duties of the epoch depend: another one, other duties.
    pub(super) dependent_root: Root,
    pub(super) data: Vec<AttesterDuty>,
}

/// When one validator attests.
#[derive(Deserialize)]
pub(super) struct AttesterDuty {
    pub(super) pubkey: PublicKey,
    pub(super) validator_index: QuotedU64,
    pub(super) slot: Slot,
}

/// One of `POST /eth/v1/validator/duties/sync/{epoch}`.
#[derive(Deserialize)]
pub(super) struct SyncDuty {
    pub(super) pubkey: PublicKey,
    pub(super) validator_index: QuotedU64,
    /// Its places in the committee.
    pub(super) validator_sync_committee_indices: Vec<QuotedU64>,
}
