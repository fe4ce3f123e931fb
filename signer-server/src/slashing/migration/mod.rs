//! Moving all records into a database of ours, from Web3Signer's or from another one of ours.
//!
//! Invariant: at no moment, whatever crashes, can both the source and the target sign. What was
//! durably recorded in the source when it stopped signing, the target refuses before it begins.
//!
//! # From Web3Signer
//!
//! 1. A transaction on Web3Signer's database locks it, waiting for every signature in flight.
//! 2. The target gets every key, switched off, then in one transaction every record and floor; both
//!    sides are compared.
//! 3. The transaction of step 1 puts the fence up ([`web3signer`]) and commits.
//! 4. The target switches the keys on that Web3Signer had enabled.
//! 5. Web3Signer's database notes that the move is complete.
//!
//! | a crash leaves | who signs | how to go on |
//! |---|---|---|
//! | no fence, keys off in the target | Web3Signer | run it again; or do nothing and stay |
//! | the fence, keys off in the target | nobody | run it again; or undo |
//! | the fence, keys on, not complete | Midslot | run it again, which only notes it; or undo |
//! | the fence, complete | Midslot | a later run compares and changes nothing; or undo |
//!
//! A lost connection in step 3 leaves one of the first two; running again finds out which. To undo
//! is the same backwards: the keys are switched off in the target first, then the fence goes.
//!
//! # Between two of our databases
//!
//! 1. The target gets every key, switched off, and a copy, while the source may still be signing.
//! 2. The source *departs*: all its keys are switched off, and it remembers which were on.
//! 3. Copy again, what came in between; compare.
//! 4. The target switches those keys on.
//! 5. The source notes that the move is complete; the markers name the target.
//!
//! | a crash leaves | who signs | how to go on |
//! |---|---|---|
//! | source here, keys off in the target | the source | run it again; or do nothing and stay |
//! | source departed, keys off in the target | nobody | run it again |
//! | source departed, keys on, not complete | the target | run it again, which notes it |
//!
//! Records come back the same way: a departed database takes them only from where they went.
//!
//! Each side stays with its own identity. The markers beside the keys, which stop a signer from
//! starting with a strange database, are rewritten last, so that the guard never has a gap: before,
//! it refuses the target, afterwards the source. A signer that is started on a departed database is
//! refused besides.

mod between;
mod compare;
mod copy;
mod error;
mod from_web3signer;
mod web3signer;

use signer_client::wire::PublicKey;

pub(super) use self::{
    between::relocate,
    from_web3signer::{inspect, move_in, undo},
};
pub use self::{
    compare::{Compared, Gap, Lack},
    error::{MoveError, Web3SignerError},
    from_web3signer::Inspection,
    web3signer::Problem,
};
use super::{
    HighWatermark,
    interchange::KeyOutcome,
    store::{
        Store,
        moves::Moves,
        records::{Records, RecordsError},
    },
};

/// What became of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveReport {
    /// What the copy did to each key; empty when everything was done by an earlier run.
    pub outcomes: Vec<KeyOutcome>,
    /// What was compared at the end, without finding a gap.
    pub compared: Compared,
    /// The keys that sign in the target now, as far as this run switched them on.
    pub enabled: Vec<PublicKey>,
    /// An earlier run had completed the move: nothing was changed.
    pub was_complete: bool,
}

/// A database of ours that can be moved into and out of.
pub(super) trait Database: Records + Moves + Store {}
impl<T: Records + Moves + Store> Database for T {}

/// Makes the target stop at least where the source stops.
async fn take_high_watermark(
    source: Option<HighWatermark>,
    target: &mut impl Database,
    replace: bool,
) -> Result<(), RecordsError> {
    let known = target.high_watermark();
    let wanted = match (source, known) {
        (source, _) if replace => source,
        (Some(source), Some(known)) => Some(HighWatermark {
            epoch: source.epoch.min(known.epoch),
            slot: source.slot.min(known.slot),
        }),
        (source, known) => source.or(known),
    };
    if wanted == known { Ok(()) } else { target.set_high_watermark(wanted).await }
}
