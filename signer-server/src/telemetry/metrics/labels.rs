//! Labels with a fixed set of values, and metrics resolved once for each of them.

use std::marker::PhantomData;

use midslot_aggregation::{KeepReason, RejectReason};
use prometheus_client::metrics::counter::Counter;

use super::aggregation::{AggregationDrop, AggregationRefusal};
use crate::{
    aggregation::{
        Ending, GroupStatus,
        view::{keep_reason, reject_reason},
    },
    audit::Outcome,
    bls::PointLookup,
    duty::DutyType,
    prefetch::NodeFailure,
    scheduler::Class,
    selection::{ProofLookup, ProofOrigin},
    slashing::ProtectionState,
};

/// What slashing protection checks, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlashingOperation {
    /// A beacon block proposal.
    Block,
    /// An attestation.
    Attestation,
}

/// Where a key configuration file says that its key is, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The configuration file holds the key.
    FileRaw,
    /// An EIP-2335 keystore.
    FileKeystore,
}

/// The state of slashing protection without its reason, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateLabel {
    Running,
    Unavailable,
    Halted,
}

impl From<ProtectionState> for StateLabel {
    fn from(state: ProtectionState) -> Self {
        match state {
            ProtectionState::Running => Self::Running,
            ProtectionState::Unavailable { .. } => Self::Unavailable,
            ProtectionState::Halted { .. } => Self::Halted,
        }
    }
}

/// Whether a beacon node has told all duties, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RefreshLabel {
    Done,
    Failed,
}

/// The `type` of a request; `None` when its body was not readable that far.
pub(super) type RequestType = Option<DutyType>;

/// A label whose values are known when the program is built.
pub(super) trait Label: Copy + 'static {
    /// The label's name on the page.
    const NAME: &'static str;

    /// Every value; the value at position `i` has the index `i`.
    fn all() -> Vec<Self>;

    /// Position in [`Label::all`].
    fn index(self) -> usize;

    /// The value on the page.
    fn text(self) -> &'static str;
}

impl Label for RequestType {
    const NAME: &'static str = "type";

    fn all() -> Vec<Self> {
        DutyType::ALL.iter().copied().map(Some).chain([None]).collect()
    }

    fn index(self) -> usize {
        self.map_or(DutyType::ALL.len(), |duty_type| duty_type as usize)
    }

    fn text(self) -> &'static str {
        self.map_or("UNKNOWN", DutyType::name)
    }
}

/// A label whose type knows all its values and their names.
macro_rules! named_label {
    ($label:ident, $name:literal) => {
        impl Label for $label {
            const NAME: &'static str = $name;

            fn all() -> Vec<Self> {
                Self::ALL.to_vec()
            }

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                self.name()
            }
        }
    };
}

named_label!(Class, "class");
named_label!(Outcome, "outcome");

macro_rules! label {
    ($label:ident, $name:literal, $($variant:ident => $text:literal,)*) => {
        impl Label for $label {
            const NAME: &'static str = $name;

            fn all() -> Vec<Self> {
                vec![$(Self::$variant,)*]
            }

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

label!(SlashingOperation, "signingOperation",
    Block => "block",
    Attestation => "attestation",
);

label!(StateLabel, "state",
    Running => "running",
    Unavailable => "unavailable",
    Halted => "halted",
);

label!(KeySource, "signer",
    FileRaw => "file-raw",
    FileKeystore => "file-keystore",
);

label!(PointLookup, "result",
    Hit => "hit",
    Miss => "miss",
    Wait => "wait",
);

label!(ProofLookup, "result",
    Hit => "hit",
    Miss => "miss",
    Wait => "wait",
);

label!(ProofOrigin, "origin",
    Request => "request",
    Ahead => "ahead",
    Background => "background",
);

label!(RefreshLabel, "result",
    Done => "done",
    Failed => "failed",
);

label!(NodeFailure, "reason",
    Unreachable => "unreachable",
    Status => "status",
    Answer => "answer",
    WrongChain => "wrong_chain",
    NotSynced => "not_synced",
);

/// How an aggregation job ended without the reason, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregationJob {
    Done,
    Incomplete,
    Cancelled,
    Expired,
    Failed,
    Dropped,
}

impl From<Ending> for AggregationJob {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Complete => Self::Done,
            Ending::PartlyByDeadline | Ending::PartlyByFailure => Self::Incomplete,
            Ending::Cancelled => Self::Cancelled,
            Ending::ExpiredBeforeStart | Ending::ExpiredByDeadline => Self::Expired,
            Ending::Failed => Self::Failed,
            Ending::Dropped(_) => Self::Dropped,
        }
    }
}

label!(AggregationJob, "status",
    Done => "done",
    Incomplete => "incomplete",
    Cancelled => "cancelled",
    Expired => "expired",
    Failed => "failed",
    Dropped => "dropped",
);

label!(GroupStatus, "status",
    Complete => "complete",
    Empty => "empty",
    TooFewSigners => "too_few_signers",
    Deadline => "deadline",
    Cancelled => "cancelled",
    SelfCheckFailed => "self_check_failed",
    Internal => "internal",
);

/// What became of a signature in a group, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregationEntry {
    Used,
    Covered,
    Rejected,
    Unprocessed,
}

label!(AggregationEntry, "status",
    Used => "used",
    Covered => "covered",
    Rejected => "rejected",
    Unprocessed => "unprocessed",
);

label!(AggregationDrop, "reason",
    Superseded => "superseded",
    Stale => "stale",
    Rejected => "rejected",
    Shutdown => "shutdown",
);

label!(AggregationRefusal, "reason",
    Malformed => "malformed",
    Unprocessable => "unprocessable",
    TableUnknown => "table_unknown",
    Busy => "busy",
    Overloaded => "overloaded",
    Shutdown => "shutdown",
    Internal => "internal",
);

/// Why a signature did not come into an aggregate, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregationSkip {
    Rejected(RejectReason),
    Kept(KeepReason),
    TooFewSigners,
    Internal,
}

impl AggregationSkip {
    const REJECTED: [RejectReason; 13] = [
        RejectReason::BadLength,
        RejectReason::BadEncoding,
        RejectReason::NotOnCurve,
        RejectReason::NotInGroup,
        RejectReason::Infinity,
        RejectReason::PositionOutOfRange,
        RejectReason::Duplicate,
        RejectReason::Conflict,
        RejectReason::PubkeyMissing,
        RejectReason::PubkeyInvalid,
        RejectReason::InvalidSignature,
        RejectReason::ChildBitsLength,
        RejectReason::ChildEmpty,
    ];
    const KEPT: [KeepReason; 4] = [
        KeepReason::Overlap,
        KeepReason::Deadline,
        KeepReason::Cancelled,
        KeepReason::SelfCheckFailed,
    ];
}

impl Label for AggregationSkip {
    const NAME: &'static str = "reason";

    fn all() -> Vec<Self> {
        let rejected = Self::REJECTED.into_iter().map(Self::Rejected);
        let kept = Self::KEPT.into_iter().map(Self::Kept);
        rejected.chain(kept).chain([Self::TooFewSigners, Self::Internal]).collect()
    }

    fn index(self) -> usize {
        let behind_kept = Self::REJECTED.len() + Self::KEPT.len();
        match self {
            Self::Rejected(reason) => reason as usize,
            Self::Kept(reason) => Self::REJECTED.len() + reason as usize,
            Self::TooFewSigners => behind_kept,
            Self::Internal => behind_kept + 1,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Rejected(reason) => reject_reason(reason),
            Self::Kept(reason) => keep_reason(reason),
            Self::TooFewSigners => "too_few_signers",
            Self::Internal => "internal",
        }
    }
}

/// One metric per value of a label, looked up by position: no hashing and no lock on the way of a
/// request.
#[derive(Debug)]
pub(super) struct ByLabel<L, M> {
    metrics: Vec<M>,
    label: PhantomData<L>,
}

impl<L: Label, M> ByLabel<L, M> {
    /// Makes the metric of every value.
    pub(super) fn new(make: impl FnMut(L) -> M) -> Self {
        Self { metrics: L::all().into_iter().map(make).collect(), label: PhantomData }
    }

    /// The metric of one value.
    pub(super) fn get(&self, value: L) -> &M {
        &self.metrics[value.index()]
    }
}

impl<L: Label> ByLabel<L, Counter> {
    /// What was counted so far, by the value on the page.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        L::all().into_iter().map(L::text).zip(self.metrics.iter().map(Counter::get)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, fmt::Debug};

    use super::*;

    fn check<L: Label + Debug>() {
        let texts: HashSet<_> = L::all().into_iter().map(L::text).collect();
        assert_eq!(texts.len(), L::all().len(), "{}", L::NAME);
        for (position, value) in L::all().into_iter().enumerate() {
            assert_eq!(value.index(), position, "{value:?}");
        }
    }

    #[test]
    fn every_value_has_its_own_index_and_text() {
        check::<RequestType>();
        check::<Class>();
        check::<Outcome>();
        check::<SlashingOperation>();
        check::<KeySource>();
        check::<PointLookup>();
        check::<StateLabel>();
        check::<ProofLookup>();
        check::<ProofOrigin>();
        check::<RefreshLabel>();
        check::<NodeFailure>();
        check::<AggregationJob>();
        check::<GroupStatus>();
        check::<AggregationEntry>();
        check::<AggregationDrop>();
        check::<AggregationRefusal>();
        check::<AggregationSkip>();
    }
}
