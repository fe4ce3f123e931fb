//! Why slashing protection says no. Every refusal carries what it was compared with, so that an
//! operator can see the earlier record and no refusal without a reason can be built.

use std::fmt;

use signer_client::wire::{Epoch, Root, Slot};

/// An attestation that was signed or imported earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedAttestation {
    /// Epoch of its source checkpoint.
    pub source: Epoch,
    /// Epoch of its target checkpoint.
    pub target: Epoch,
    /// Its signing root, when it is known; an imported record may lack it.
    pub signing_root: Option<Root>,
}

/// A block that was signed or imported earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedBlock {
    /// Its slot.
    pub slot: Slot,
    /// Its signing root, when it is known; an imported record may lack it.
    pub signing_root: Option<Root>,
}

/// Why a block or attestation may not be signed. C1 to C5 are the conditions of EIP-3076.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Signing with this key was switched off.
    #[error("the key is disabled in the slashing protection database")]
    Disabled,
    /// The request belongs to another chain than the database.
    #[error(
        "genesis validators root {claimed} of the request differs from {pinned} of the slashing \
         protection database"
    )]
    WrongGenesisValidatorsRoot {
        /// Root of the chain that the database protects.
        pinned: Root,
        /// Root in the request.
        claimed: Root,
    },
    /// No honest chain reaches numbers above 2^63 - 1, and the database could not store them.
    #[error("{value} is above 2^63 - 1, no slot or epoch of a real chain")]
    OutOfRange {
        /// The slot or epoch.
        value: u64,
    },
    /// An attestation whose source lies after its target is invalid.
    #[error("source epoch {source_epoch} is after target epoch {target}")]
    SourceAfterTarget {
        /// Source of the request.
        source_epoch: Epoch,
        /// Target of the request.
        target: Epoch,
    },
    /// The operator planned to stop signing at this epoch.
    #[error("epoch {epoch} reaches the high watermark {high_watermark}")]
    EpochAtHighWatermark {
        /// The request's source or target.
        epoch: Epoch,
        /// First epoch that is not signed.
        high_watermark: Epoch,
    },
    /// The operator planned to stop signing at this slot.
    #[error("slot {slot} reaches the high watermark {high_watermark}")]
    SlotAtHighWatermark {
        /// The request's slot.
        slot: Slot,
        /// First slot that is not signed.
        high_watermark: Slot,
    },
    /// The target lies further ahead of the wall clock than a duty can.
    #[error("target epoch {epoch} is far ahead of the present epoch {now}")]
    EpochFarAhead {
        /// The request's target.
        epoch: Epoch,
        /// The epoch by the clock of this machine.
        now: Epoch,
    },
    /// The slot lies further ahead of the wall clock than a duty can.
    #[error("slot {slot} is far ahead of the present slot {now}")]
    SlotFarAhead {
        /// The request's slot.
        slot: Slot,
        /// The slot by the clock of this machine.
        now: Slot,
    },
    /// C1: another block for this slot is on record.
    #[error("double proposal: {earlier}")]
    DoubleProposal {
        /// The record.
        earlier: RecordedBlock,
    },
    /// C2: the slot is at or below the lowest slot on record.
    #[error("slot {slot} is not above the low watermark {floor}")]
    SlotNotAboveFloor {
        /// The request's slot.
        slot: Slot,
        /// Lowest slot that the record vouches for.
        floor: Slot,
    },
    /// C3: another attestation for this target is on record.
    #[error("double vote: {earlier}")]
    DoubleVote {
        /// The record.
        earlier: RecordedAttestation,
    },
    /// C3: the attestation would surround one on record.
    #[error("would surround {earlier}")]
    Surrounding {
        /// The record.
        earlier: RecordedAttestation,
    },
    /// C3: the attestation would be surrounded by one on record.
    #[error("would be surrounded by {earlier}")]
    Surrounded {
        /// The record.
        earlier: RecordedAttestation,
    },
    /// C4: the source is below the lowest source on record.
    #[error("source epoch {source_epoch} is below the low watermark {floor}")]
    SourceBelowFloor {
        /// The request's source.
        source_epoch: Epoch,
        /// Lowest source that the record vouches for.
        floor: Epoch,
    },
    /// C5: the target is at or below the lowest target on record.
    #[error("target epoch {target} is not above the low watermark {floor}")]
    TargetNotAboveFloor {
        /// The request's target.
        target: Epoch,
        /// Lowest target that the record vouches for.
        floor: Epoch,
    },
    /// The database refused the record although the rules allowed it: its maxima do not cover its
    /// own history. The last guard; it means damaged or foreign data.
    #[error("the database already holds a record in this place that its state does not cover")]
    RecordInTheWay,
    /// The database said no, and what it was compared with can't be told: the records have changed
    /// since, or could not be read.
    #[error("the database refused it: {rule}")]
    ByDatabase {
        /// The rule that it breaks.
        rule: &'static str,
    },
}

impl Refusal {
    /// Short name for metrics and logs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::WrongGenesisValidatorsRoot { .. } => "wrong_genesis_validators_root",
            Self::OutOfRange { .. } => "out_of_range",
            Self::SourceAfterTarget { .. } => "source_after_target",
            Self::EpochAtHighWatermark { .. } | Self::SlotAtHighWatermark { .. } => {
                "high_watermark"
            }
            Self::EpochFarAhead { .. } | Self::SlotFarAhead { .. } => "far_future",
            Self::DoubleProposal { .. } => "double_proposal",
            Self::SlotNotAboveFloor { .. } => "slot_not_above_floor",
            Self::DoubleVote { .. } => "double_vote",
            Self::Surrounding { .. } => "surrounding",
            Self::Surrounded { .. } => "surrounded",
            Self::SourceBelowFloor { .. } => "source_below_floor",
            Self::TargetNotAboveFloor { .. } => "target_not_above_floor",
            Self::RecordInTheWay => "record_in_the_way",
            Self::ByDatabase { .. } => "by_database",
        }
    }
}

fn write_root(formatter: &mut fmt::Formatter<'_>, root: Option<Root>) -> fmt::Result {
    match root {
        Some(root) => write!(formatter, "with signing root {root}"),
        None => formatter.write_str("with unknown signing root"),
    }
}

impl fmt::Display for RecordedAttestation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "recorded attestation {} -> {} ", self.source, self.target)?;
        write_root(formatter, self.signing_root)
    }
}

impl fmt::Display for RecordedBlock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "recorded block at slot {} ", self.slot)?;
        write_root(formatter, self.signing_root)
    }
}
