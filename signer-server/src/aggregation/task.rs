//! What the jobs hand out: groups to prove, and proved groups that are to be signed.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use signer_client::wire::aggregation::{SignRefusal, SigningOutcome};

use super::{
    job::{GroupResult, GroupToSign},
    snapshot::{JobId, Snapshot},
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

impl Wish {
    /// The wishes of a job whose groups have these results.
    pub(super) fn of(snapshot: &Snapshot, results: &[Arc<GroupResult>]) -> Vec<Self> {
        let groups = snapshot.groups.iter().enumerate();
        let wish = |(place, group): (usize, &super::snapshot::SnapshotGroup)| {
            let result = results.iter().find(|result| result.group == place);
            let to_sign = GroupToSign {
                fork_info: snapshot.fork_info,
                fork: snapshot.fork,
                slot: snapshot.slot,
                subject: group.subject,
                aggregate: result.and_then(|result| result.aggregate.clone()),
                wish: group.sign?,
            };
            Some(Self { group: place, to_sign })
        };
        groups.filter_map(wish).collect()
    }
}

/// The answer to a wish whose signing did not come about, as JSON.
pub(super) fn not_signed(why: &str) -> Box<str> {
    json(&SigningOutcome::Refused { reason: SignRefusal::Failed, message: why.to_owned() })
}

/// The answer to a wish as JSON.
pub(super) fn json(outcome: &SigningOutcome) -> Box<str> {
    let text = serde_json::to_string(outcome).unwrap_or_else(|error| {
        // Integers and texts under names that are texts.
        tracing::error!(%error, "a signed aggregate could not be written as JSON");
        "null".to_owned()
    });
    text.into()
}
