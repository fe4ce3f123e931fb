//! Many signatures in one exchange: the batch endpoint (remote-signing-api, pull request 29) and
//! Midslot's own request for selection proofs ahead of need.

use serde::{Deserialize, Serialize};

use super::{ForkInfo, PublicKey, QuotedU64, SignRequest, Signature, Slot};

/// The body of `POST /api/v1/eth2/sign`: one duty, many keys.
#[derive(Clone, Debug, Serialize)]
pub struct BatchSignRequest<'a> {
    /// Keys that sign; none twice.
    pub identifiers: &'a [PublicKey],
    /// What they sign.
    pub signing_request: &'a SignRequest,
}

/// The result for one key of a batch: a signature or an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyResult {
    /// The key.
    pub identifier: PublicKey,
    /// Its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<KeyError>,
}

/// Why one key of a batch has no signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyError {
    /// The HTTP status that the request for this key alone would have had.
    pub code: u16,
    /// What is wrong, in one line.
    pub message: String,
}

/// The body of `POST /midslot/v1/selection-proofs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionProofsRequest {
    /// Chain and fork of every slot in the request.
    pub fork_info: ForkInfo,
    /// Whether the answer has the proofs, or only says that they will be made.
    pub wait: bool,
    /// The proofs.
    pub slots: Vec<SlotKeys>,
}

/// The keys that need proofs for a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotKeys {
    /// Slot of the duty.
    pub slot: Slot,
    /// The keys; none twice.
    pub identifiers: Vec<PublicKey>,
    /// The sync subcommittee; without it the proofs are those of attestation aggregators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcommittee_index: Option<QuotedU64>,
}

/// The answer to a [`SelectionProofsRequest`] that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionProofsAnswer {
    /// One entry for each entry of the request.
    pub slots: Vec<SlotProofs>,
}

/// The proofs of a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotProofs {
    /// Slot of the duty.
    pub slot: Slot,
    /// The sync subcommittee, if there was one in the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcommittee_index: Option<QuotedU64>,
    /// One result for each key.
    pub proofs: Vec<KeyResult>,
}
