//! The name of a snapshot: a hash of what it says.
//!
//! What does not change the result is left out: spacing and hexadecimal case, which form the body
//! had, deadline, lane and waiting. The order of groups and entries is part of the name, because
//! results speak of entries by their place. Everything is hashed with its length or a tag before it,
//! so that no two snapshots run together.

use std::{fmt, str::FromStr};

use libssz_merkle::{HashTreeRoot, Sha2Hasher};
use midslot_aggregation::{Entry, KeyBytes, Overlap, SignatureBytes, VerifyMode};
use sha2::{Digest, Sha256};
use signer_client::wire::ForkVersion;

use super::{Report, SignWish, Snapshot, SnapshotGroup, Subject};

const DOMAIN: &[u8] = b"midslot aggregation snapshot 1";
const PREFIX: &str = "agg_";
const ID_BYTES: usize = 16;

/// The name of a job: `agg_` and the first 16 bytes of its snapshot's hash in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId([u8; ID_BYTES]);

impl JobId {
    /// The name of a snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut hash = Hash(Sha256::new());
        hash.sized(DOMAIN);
        hash.snapshot(snapshot);
        let digest = hash.0.finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Self(id)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", const_hex::encode(self.0))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text is not the name of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job is named agg_ and 32 lower-case hexadecimal digits")]
pub struct NoJobId;

impl FromStr for JobId {
    type Err = NoJobId;

    fn from_str(text: &str) -> Result<Self, NoJobId> {
        let digits = text.strip_prefix(PREFIX).ok_or(NoJobId)?;
        if digits.bytes().any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(NoJobId);
        }
        let mut id = [0; ID_BYTES];
        const_hex::decode_to_slice(digits, &mut id).map_err(|_| NoJobId)?;
        Ok(Self(id))
    }
}

struct Hash(Sha256);

impl Hash {
    fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, number: u64) {
        self.raw(&number.to_le_bytes());
    }

    fn size(&mut self, size: usize) {
        self.number(size as u64);
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.size(bytes.len());
        self.raw(bytes);
    }

    fn version(&mut self, version: ForkVersion) {
        self.raw(version.as_bytes());
    }

    fn snapshot(&mut self, snapshot: &Snapshot) {
        let Snapshot { fork_info, fork, slot, attempt, options, min_coverage, report, groups } =
            snapshot;
        self.version(fork_info.fork.previous_version);
        self.version(fork_info.fork.current_version);
        self.number(fork_info.fork.epoch.0);
        self.raw(fork_info.genesis_validators_root.as_bytes());
        self.number(*fork as u64);
        self.number(slot.0);
        self.number(u64::from(*attempt));
        self.number(match options.verify {
            VerifyMode::Aggregate => 0,
            VerifyMode::Each => 1,
            VerifyMode::None => 2,
        });
        self.number(match options.overlap {
            Overlap::Disjoint => 0,
            Overlap::Subtract => 1,
        });
        self.number(u64::from(*min_coverage));
        self.number(match report {
            Report::All => 0,
            Report::Failed => 1,
            Report::None => 2,
        });
        self.size(groups.len());
        for group in groups {
            self.group(group);
        }
    }

    fn group(&mut self, group: &SnapshotGroup) {
        let SnapshotGroup { subject, inputs, notes, tags, sign } = group;
        self.subject(subject);
        self.raw(&inputs.message);
        self.number(u64::from(inputs.bits_len.get()));
        self.size(inputs.keys.0.len());
        for key in &inputs.keys.0 {
            self.key(*key);
        }
        self.size(inputs.singles.len());
        for single in &inputs.singles {
            let positions = single.positions.as_slice();
            self.size(positions.len());
            for position in positions {
                self.raw(&position.to_le_bytes());
            }
            self.signature(single.signature);
        }
        self.size(inputs.children.len());
        for child in &inputs.children {
            match &child.bits {
                None => self.number(0),
                Some(bits) => {
                    self.number(1);
                    self.sized(&bits.to_ssz_bitlist());
                }
            }
            self.signature(child.signature);
        }
        self.size(notes.len());
        for (entry, note) in notes {
            self.entry(*entry);
            self.number(note.reason as u64);
            self.sized(note.detail.as_bytes());
        }
        self.size(tags.len());
        for (entry, tag) in tags {
            self.entry(*entry);
            self.sized(tag.as_bytes());
        }
        self.sign(sign.as_ref());
    }

    fn subject(&mut self, subject: &Subject) {
        match subject {
            Subject::Attestation { data, committee_index } => {
                self.number(0);
                self.number(*committee_index);
                match data {
                    None => self.number(0),
                    Some(data) => {
                        self.number(1);
                        self.raw(&data.hash_tree_root(&Sha2Hasher));
                    }
                }
            }
            Subject::SyncContribution { beacon_block_root, subcommittee_index } => {
                self.number(1);
                self.raw(beacon_block_root.as_bytes());
                self.number(*subcommittee_index);
            }
            Subject::Raw => self.number(2),
        }
    }

    fn key(&mut self, key: KeyBytes) {
        match key {
            KeyBytes::Missing => self.raw(&[0]),
            KeyBytes::Compressed(bytes) => {
                self.raw(&[1]);
                self.raw(&bytes);
            }
            KeyBytes::Unreadable => self.raw(&[2]),
        }
    }

    fn signature(&mut self, signature: SignatureBytes) {
        match signature {
            SignatureBytes::Compressed(bytes) => {
                self.raw(&[0]);
                self.raw(&bytes);
            }
            SignatureBytes::WrongLength => self.raw(&[1]),
            SignatureBytes::Unreadable => self.raw(&[2]),
        }
    }

    fn entry(&mut self, entry: Entry) {
        match entry {
            Entry::Single(place) => {
                self.raw(&[0]);
                self.size(place);
            }
            Entry::Child(place) => {
                self.raw(&[1]);
                self.size(place);
            }
        }
    }

    fn sign(&mut self, sign: Option<&SignWish>) {
        let Some(sign) = sign else { return self.number(0) };
        let SignWish { aggregator_pubkey, aggregator_index, selection_proof, resign } = sign;
        self.number(1);
        self.raw(aggregator_pubkey.as_bytes());
        self.number(*aggregator_index);
        self.number(u64::from(*resign));
        match selection_proof {
            None => self.number(0),
            Some(proof) => {
                self.number(1);
                self.raw(proof.as_bytes());
            }
        }
    }
}
