//! What both forms of a body hold, before it is known whether that makes sense.

use midslot_aggregation::{KeyBytes, Overlap, Positions, SignatureBytes, VerifyMode};
use signer_client::wire::{AttestationData, Fork, ForkInfo, Root, Slot};

use super::{Delivery, Note, Report, SignWish};

/// The only version of the schema there is.
pub(super) const VERSION: u64 = 1;

pub(super) struct Envelope {
    pub(super) version: u64,
    pub(super) fork_info: ForkInfo,
    pub(super) fork_name: Option<Fork>,
    pub(super) slot: Slot,
    pub(super) attempt: u32,
    pub(super) verify: VerifyMode,
    pub(super) overlap: Overlap,
    pub(super) min_coverage: u16,
    pub(super) report: Report,
    pub(super) delivery: Delivery,
    pub(super) groups: Vec<EnvelopeGroup>,
}

pub(super) struct EnvelopeGroup {
    pub(super) subject: EnvelopeSubject,
    pub(super) keys: Keys,
    pub(super) singles: Vec<EnvelopeSingle>,
    pub(super) children: Vec<EnvelopeChild>,
    pub(super) sign: Option<SignWish>,
}

pub(super) enum EnvelopeSubject {
    Attestation { vote: Vote, committee_index: u64, committee_len: u64 },
    SyncContribution { beacon_block_root: Root, subcommittee_index: u64 },
    Raw { signing_root: Root, bits_len: u64 },
}

pub(super) enum Vote {
    Data(AttestationData),
    SigningRoot(Root),
}

/// The public keys of a group's positions.
pub(super) enum Keys {
    Listed(Vec<KeyBytes>),
    Table([u8; 32]),
}

pub(super) struct EnvelopeSingle {
    pub(super) positions: Positions,
    pub(super) signature: SignatureBytes,
    pub(super) pubkey: Option<KeyBytes>,
    pub(super) tag: Option<Box<str>>,
    /// What made it unreadable.
    pub(super) note: Option<Note>,
}

pub(super) struct EnvelopeChild {
    /// As they came; `None` if they were no bytes.
    pub(super) bits: Option<Vec<u8>>,
    pub(super) signature: SignatureBytes,
    pub(super) tag: Option<Box<str>>,
    pub(super) note: Option<Note>,
}
