//! Whether one database refuses all that another refuses, key by key: the check after a copy.
//!
//! A record is *covered* when the other database has it, or when it lies at or below a floor there
//! and can no longer conflict with anything that may still be signed.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::copy::KEYS_AT_ONCE;
use crate::slashing::{
    StoreError,
    refusal::{RecordedAttestation, RecordedBlock},
    rules::VoteEpochs,
    store::records::{KeyRecords, Snapshot},
};

/// What was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Keys.
    pub keys: u64,
    /// Attestations on record.
    pub attestations: u64,
    /// Blocks on record.
    pub blocks: u64,
}

/// What the second database lacks of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {lack}")]
pub struct Gap {
    /// The key.
    pub key: PublicKey,
    /// What is missing.
    pub lack: Lack,
}

/// A kind of gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The key itself.
    Key,
    /// An attestation.
    Attestation(VoteEpochs),
    /// A block.
    Block(Slot),
    /// The lower bound of attestations, or what is known to be the highest.
    AttestationLimit,
    /// The same of blocks.
    BlockLimit,
}

impl fmt::Display for Lack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => formatter.write_str("the key is missing"),
            Self::Attestation(VoteEpochs { source, target }) => {
                write!(formatter, "the attestation {source} -> {target} is missing")
            }
            Self::Block(slot) => write!(formatter, "the block at slot {slot} is missing"),
            Self::AttestationLimit => formatter.write_str("the watermark of attestations is lower"),
            Self::BlockLimit => formatter.write_str("the watermark of blocks is lower"),
        }
    }
}

/// Reads both databases whole and returns the first gap of each key of the first.
pub(super) async fn gaps(
    source: &mut impl Snapshot,
    target: &mut impl Snapshot,
) -> Result<(Compared, Vec<Gap>), StoreError> {
    let (mut compared, mut gaps) = (Compared::default(), Vec::new());
    for some in source.keys().to_vec().chunks(KEYS_AT_ONCE) {
        let known: Vec<PublicKey> =
            some.iter().filter(|key| target.keys().binary_search(key).is_ok()).copied().collect();
        let copies = target.read(&known).await?;
        let copies: HashMap<PublicKey, KeyRecords> =
            copies.into_iter().map(|records| (records.key, records)).collect();
        for records in source.read(some).await? {
            compared.keys += 1;
            compared.attestations += records.attestations.len() as u64;
            compared.blocks += records.blocks.len() as u64;
            let lack = match copies.get(&records.key) {
                Some(copy) => lack(&records, copy),
                None => Some(Lack::Key),
            };
            gaps.extend(lack.map(|lack| Gap { key: records.key, lack }));
        }
    }
    Ok((compared, gaps))
}

/// What `copy` lacks of `records`.
fn lack(records: &KeyRecords, copy: &KeyRecords) -> Option<Lack> {
    let (original, copied) = (&records.attestation, &copy.attestation);
    if !reaches(copied.floor, original.floor) || !reaches(copied.max, original.max) {
        return Some(Lack::AttestationLimit);
    }
    if copy.block.floor < records.block.floor || copy.block.max < records.block.max {
        return Some(Lack::BlockLimit);
    }
    let votes: HashMap<Epoch, &RecordedAttestation> =
        copy.attestations.iter().map(|row| (row.target, row)).collect();
    let is_settled = |row: &RecordedAttestation| {
        let floor = copy.attestation.floor;
        floor.is_some_and(|floor| row.source <= floor.source && row.target <= floor.target)
    };
    let vote = records.attestations.iter().find(|row| match votes.get(&row.target) {
        // Another source: two votes for one target, whose key was minified, so that everything of
        // it lies below its floors.
        Some(copy) => {
            !root_is_kept(row.signing_root, copy.signing_root)
                || (copy.source != row.source && !is_settled(row))
        }
        None => !is_settled(row),
    });
    if let Some(row) = vote {
        return Some(Lack::Attestation(VoteEpochs { source: row.source, target: row.target }));
    }
    let blocks: HashMap<Slot, &RecordedBlock> =
        copy.blocks.iter().map(|row| (row.slot, row)).collect();
    let missing = records.blocks.iter().find(|row| match blocks.get(&row.slot) {
        Some(copy) => !root_is_kept(row.signing_root, copy.signing_root),
        None => copy.block.floor.is_none_or(|floor| row.slot > floor),
    });
    missing.map(|row| Lack::Block(row.slot))
}

/// Whether a copy refuses what the original refused: the root is the same, or not known any more.
fn root_is_kept(original: Option<Root>, copy: Option<Root>) -> bool {
    copy.is_none() || copy == original
}

fn reaches(copy: Option<VoteEpochs>, original: Option<VoteEpochs>) -> bool {
    match (copy, original) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(copy), Some(original)) => {
            copy.source >= original.source && copy.target >= original.target
        }
    }
}

/// How many records of these keys the second database has and the first has not: what was signed
/// there alone.
pub(super) async fn records_beyond(
    source: &mut impl Snapshot,
    target: &mut impl Snapshot,
) -> Result<u64, StoreError> {
    let mut beyond = 0;
    for some in source.keys().to_vec().chunks(KEYS_AT_ONCE) {
        let known: Vec<PublicKey> =
            some.iter().filter(|key| target.keys().binary_search(key).is_ok()).copied().collect();
        let copies = target.read(&known).await?;
        let originals = source.read(&known).await?;
        beyond +=
            originals.iter().zip(&copies).map(|(one, two)| count_beyond(one, two)).sum::<u64>();
    }
    Ok(beyond)
}

/// Records of `copy` that `records` lacks. A maximum above both has lost its record to pruning.
fn count_beyond(records: &KeyRecords, copy: &KeyRecords) -> u64 {
    let votes: HashMap<Epoch, Epoch> =
        records.attestations.iter().map(|row| (row.target, row.source)).collect();
    let new_votes =
        copy.attestations.iter().filter(|row| votes.get(&row.target) != Some(&row.source)).count();
    let blocks: HashSet<Slot> = records.blocks.iter().map(|row| row.slot).collect();
    let new_blocks = copy.blocks.iter().filter(|row| !blocks.contains(&row.slot)).count();
    let is_ahead = !reaches(records.attestation.max, copy.attestation.max)
        || records.block.max < copy.block.max;
    (new_votes + new_blocks).max(usize::from(is_ahead)) as u64
}

#[cfg(test)]
mod tests;
