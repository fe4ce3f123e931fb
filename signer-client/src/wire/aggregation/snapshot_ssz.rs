//! A job in SSZ (consensus-specs, simple-serialize): the same as its JSON in half of the size, and
//! without text for the signer to read.
//!
//! A list of at most one element stands for a member that need not be there. 0 in a number that
//! counts from 1, and all zeros in a key or a proof, say the same; so there are a few requests that
//! only JSON can say, and these have no SSZ form.

use super::{
    AggregationChild, AggregationDeadline, AggregationGroup, AggregationRequest, AggregationSingle,
    AggregationSubject, GroupPositions, OnBusy, Overlap, Report, SignAggregate, Verify,
};
use crate::wire::{AttestationData, Checkpoint, Epoch, QuotedU64, Root, Slot};

/// The version of the schema.
const VERSION: u64 = 1;
/// Size of an offset, in bytes.
const OFFSET_BYTES: usize = 4;

impl AggregationRequest {
    /// The body of `application/octet-stream`.
    ///
    /// `None` for what only JSON can say: a deadline of 0, an empty lane or tag, a public key or a
    /// selection proof of zeros. None of these is of any use.
    pub fn to_ssz_bytes(&self) -> Option<Vec<u8>> {
        let (deadline_ms, deadline_unix_ms) = match self.deadline {
            None => (0, 0),
            Some(AggregationDeadline::AfterMs(QuotedU64(ms))) => (not_zero(ms)?, 0),
            Some(AggregationDeadline::AtUnixMs(QuotedU64(ms))) => (0, not_zero(ms)?),
        };
        let fork = &self.fork_info.fork;
        let mut body = Container::default();
        body.fixed(VERSION.to_le_bytes());
        body.fixed(fork.previous_version.as_bytes());
        body.fixed(fork.current_version.as_bytes());
        body.number(fork.epoch.0);
        body.fixed(self.fork_info.genesis_validators_root.as_bytes());
        body.fixed([self.fork_name.map_or(0, |fork| 1 + fork as u8)]);
        body.number(self.slot.0);
        body.fixed(self.attempt.to_le_bytes());
        body.number(deadline_ms);
        body.number(deadline_unix_ms);
        body.fixed([match self.on_busy {
            OnBusy::Replace => 0,
            OnBusy::Reject => 1,
        }]);
        body.fixed([match self.options.verify {
            Verify::Aggregate => 0,
            Verify::Each => 1,
            Verify::None => 2,
        }]);
        body.fixed([match self.options.overlap {
            Overlap::Disjoint => 0,
            Overlap::Subtract => 1,
        }]);
        body.fixed(self.options.min_coverage.to_le_bytes());
        body.fixed([match self.options.report {
            Report::All => 0,
            Report::Failed => 1,
            Report::None => 2,
        }]);
        body.variable(text(self.lane.as_deref())?);
        body.variable(list(&self.groups, group)?);
        body.finish()
    }
}

fn group(group: &AggregationGroup) -> Option<Vec<u8>> {
    let (kind, data, root, index, positions) = match group.subject {
        AggregationSubject::Attestation { data, committee_index, committee_len } => {
            (0, data, Root::ZERO, committee_index.0, committee_len.0)
        }
        AggregationSubject::SyncContribution { beacon_block_root, subcommittee_index } => {
            (2, NO_DATA, beacon_block_root, subcommittee_index.0, 0)
        }
        AggregationSubject::Raw { signing_root, bits_len } => {
            (3, NO_DATA, signing_root, 0, bits_len.0)
        }
    };
    let mut keys = Vec::with_capacity(48 * group.pubkeys.len());
    for key in &group.pubkeys {
        match key {
            Some(key) => keys.extend_from_slice(not_zeros(key.as_bytes())?),
            None => keys.extend_from_slice(&[0; 48]),
        }
    }
    let mut container = Container::default();
    container.fixed([kind]);
    container.number(data.slot.0);
    container.number(data.index.0);
    container.fixed(data.beacon_block_root.as_bytes());
    for checkpoint in [data.source, data.target] {
        container.number(checkpoint.epoch.0);
        container.fixed(checkpoint.root.as_bytes());
    }
    container.fixed(root.as_bytes());
    container.number(index);
    container.number(positions);
    container.variable(group.pubkey_table.iter().flat_map(|table| *table.as_bytes()).collect());
    container.variable(keys);
    container.variable(list(&group.singles, single)?);
    container.variable(list(&group.children, child)?);
    container.variable(match &group.sign {
        None => Vec::new(),
        Some(wish) => sign(wish)?,
    });
    container.finish()
}

const NO_DATA: AttestationData = AttestationData {
    slot: Slot(0),
    index: QuotedU64(0),
    beacon_block_root: Root::ZERO,
    source: NO_CHECKPOINT,
    target: NO_CHECKPOINT,
};
const NO_CHECKPOINT: Checkpoint = Checkpoint { epoch: Epoch(0), root: Root::ZERO };

fn single(single: &AggregationSingle) -> Option<Vec<u8>> {
    let positions = match &single.pos {
        GroupPositions::One(position) => std::slice::from_ref(position),
        GroupPositions::Several(positions) => positions,
    };
    let key = match &single.pubkey {
        None => &[][..],
        Some(key) => not_zeros(key.as_bytes())?,
    };
    let mut container = Container::default();
    container.fixed(single.signature.as_bytes());
    container.variable(positions.iter().flat_map(|position| position.to_le_bytes()).collect());
    container.variable(key.to_vec());
    container.variable(text(single.tag.as_deref())?);
    container.finish()
}

fn child(child: &AggregationChild) -> Option<Vec<u8>> {
    let mut container = Container::default();
    container.fixed(child.signature.as_bytes());
    container.variable(child.bits.0.clone());
    container.variable(text(child.tag.as_deref())?);
    container.finish()
}

fn sign(wish: &SignAggregate) -> Option<Vec<u8>> {
    let proof = match &wish.selection_proof {
        None => &[0; 96],
        Some(proof) => not_zeros(proof.as_bytes())?,
    };
    let mut container = Container::default();
    container.fixed(wish.aggregator_pubkey.as_bytes());
    container.number(wish.aggregator_index.0);
    container.fixed(proof);
    container.fixed([u8::from(wish.resign)]);
    container.finish()
}

fn not_zero(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

fn not_zeros(bytes: &[u8]) -> Option<&[u8]> {
    bytes.iter().any(|byte| *byte != 0).then_some(bytes)
}

/// A text that need not be there.
fn text(text: Option<&str>) -> Option<Vec<u8>> {
    match text {
        None => Some(Vec::new()),
        Some("") => None,
        Some(text) => Some(text.as_bytes().to_vec()),
    }
}

/// A list of elements of variable size: their offsets, then they themselves.
fn list<T>(elements: &[T], encode: impl Fn(&T) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut list = Container::default();
    for element in elements {
        list.variable(encode(element)?);
    }
    list.finish()
}

/// Members in their order. Those of variable size follow behind the others, which have their offsets.
#[derive(Default)]
struct Container {
    fixed: Vec<u8>,
    /// Where an offset belongs in `fixed`, and what it leads to.
    variable: Vec<(usize, Vec<u8>)>,
}

impl Container {
    fn fixed(&mut self, bytes: impl AsRef<[u8]>) {
        self.fixed.extend_from_slice(bytes.as_ref());
    }

    fn number(&mut self, number: u64) {
        self.fixed(number.to_le_bytes());
    }

    fn variable(&mut self, bytes: Vec<u8>) {
        self.variable.push((self.fixed.len(), bytes));
        self.fixed([0; OFFSET_BYTES]);
    }

    /// `None` when an offset has no room: the whole has more than 4 GiB.
    fn finish(self) -> Option<Vec<u8>> {
        let Self { fixed: mut bytes, variable } = self;
        let fixed_bytes = bytes.len();
        bytes.reserve_exact(variable.iter().map(|(_, part)| part.len()).sum());
        for (place, part) in variable {
            let offset = u32::try_from(bytes.len()).ok()?.to_le_bytes();
            debug_assert!(place + OFFSET_BYTES <= fixed_bytes);
            bytes[place..place + OFFSET_BYTES].copy_from_slice(&offset);
            bytes.extend_from_slice(&part);
        }
        Some(bytes)
    }
}
