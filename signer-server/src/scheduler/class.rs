//! The order in which duties are signed.

/// Class of a duty. Lower variants are served strictly first, so the derived order is the order
/// of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// Block proposals and what a proposer needs at once.
    Block,
    /// Votes that are worth less with every second: attestations, sync messages, payload
    /// attestations.
    Attestation,
    /// Aggregates of either kind.
    Aggregate,
    /// Selection proofs: bulk work that can be done ahead of need.
    SelectionProof,
    /// Everything without a slot's deadline.
    Background,
}

impl Class {
    /// Every class, in the order of service.
    pub const ALL: [Self; 5] =
        [Self::Block, Self::Attestation, Self::Aggregate, Self::SelectionProof, Self::Background];

    /// Whether its work is made ahead of need, thousands at a time.
    pub(super) const fn is_bulk(self) -> bool {
        matches!(self, Self::SelectionProof | Self::Background)
    }

    /// Name in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Attestation => "attestation",
            Self::Aggregate => "aggregate",
            Self::SelectionProof => "selection_proof",
            Self::Background => "background",
        }
    }
}
