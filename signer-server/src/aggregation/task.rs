//! What the jobs hand out: groups to prove, and proved groups that are to be signed.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use signer_client::wire::aggregation::{SignRefusal, SigningOutcome};

use super::{
    job::GroupToSign,
    snapshot::{JobId, Snapshot},
    view::Json,
};

/// A group to be proved.
pub(super) struct Task {
    pub(super) job: JobId,
    pub(super) group: usize,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) deadline: Instant,
    pub(super) is_cancelled: Arc<AtomicBool>,
}

/// A group that its job wants to be signed.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// Its place in the snapshot.
    pub(super) group: usize,
    pub(super) to_sign: GroupToSign,
}

/// The answer to a wish whose signing did not come about.
pub(super) fn not_signed(why: &str) -> Json {
    Json::of(&SigningOutcome::Refused { reason: SignRefusal::Failed, message: why.to_owned() })
}
