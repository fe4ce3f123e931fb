//! What the caller wants to be sure of, and how far merging may go.

/// How to prove one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is verified.
    pub verify: VerifyMode,
    /// Which aggregates may be merged.
    pub overlap: Overlap,
}

/// What is verified before an aggregate is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifyMode {
    /// The aggregate; its entries only if it turns out false. The cheapest way that is sound for
    /// the aggregate. It says nothing of a single entry: two false entries can cancel out.
    Aggregate,
    /// Every entry, then the aggregate.
    Each,
    /// Nothing. The aggregate is marked as not verified and public keys are not looked at.
    None,
}

/// Which aggregates may be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Overlap {
    /// Those without a common position.
    Disjoint,
    /// Also those whose common positions all have a signature of their own in the group, which is
    /// then taken away: BLS signatures are unique, so sig(A or B) = sig(A) + sig(B) - sum over A and
    /// B. Without effect if nothing is verified.
    Subtract,
}
