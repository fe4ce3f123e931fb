//! How long rows are kept.
//!
//! Two classes of rows, each with its time: what an operator may have to prove about a validator,
//! and the bulk that every slot brings. The database task deletes what is past its time, a few rows
//! at a time, when nobody waits. Records of slashing protection are something else and are never
//! touched by this.

use std::time::Duration;

use crate::duty::DutyType;

/// Which time applies to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowClass {
    /// Blocks, attestations, exits, deposits and generic objects, however they ended.
    Evidence,
    /// Everything else, also what was not understood.
    Bulk,
}

impl RowClass {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Evidence, Self::Bulk];

    /// The class of a row with this type.
    pub const fn of(duty_type: Option<DutyType>) -> Self {
        match duty_type {
            Some(
                DutyType::Block
                | DutyType::BlockV2
                | DutyType::Attestation
                | DutyType::VoluntaryExit
                | DutyType::Deposit
                | DutyType::Generic,
            ) => Self::Evidence,
            Some(
                DutyType::AggregationSlot
                | DutyType::AggregateAndProof
                | DutyType::AggregateAndProofV2
                | DutyType::RandaoReveal
                | DutyType::SyncCommitteeMessage
                | DutyType::SyncCommitteeSelectionProof
                | DutyType::SyncCommitteeContributionAndProof
                | DutyType::ValidatorRegistration
                | DutyType::ExecutionPayloadBid
                | DutyType::ExecutionPayloadEnvelope
                | DutyType::PayloadAttestationMessage
                | DutyType::ProposerPreferences
                | DutyType::BuilderRequestAuth,
            )
            | None => Self::Bulk,
        }
    }
}

/// How long the rows of each class are kept; `None` for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Rows of [`RowClass::Evidence`].
    pub evidence: Option<Duration>,
    /// Rows of [`RowClass::Bulk`].
    pub bulk: Option<Duration>,
}

impl Retention {
    /// How long the rows of a class are kept.
    pub const fn of(&self, class: RowClass) -> Option<Duration> {
        match class {
            RowClass::Evidence => self.evidence,
            RowClass::Bulk => self.bulk,
        }
    }

    /// The time before which rows of a class have expired, in microseconds since 1970-01-01 UTC.
    pub(crate) fn cutoff_us(&self, class: RowClass, now_us: i64) -> Option<i64> {
        let kept_us = i64::try_from(self.of(class)?.as_micros()).unwrap_or(i64::MAX);
        Some(now_us.saturating_sub(kept_us))
    }
}
