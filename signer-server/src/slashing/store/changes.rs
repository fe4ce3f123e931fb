//! What an import changes in the tables, gathered key by key and written together.

use signer_client::wire::{Epoch, Slot};

use crate::slashing::{
    interchange::merge::{AttestationMerge, BlockMerge},
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{AttestationState, BlockState},
};

/// `origin` of imported rows.
pub(super) const IMPORTED: i16 = 1;

/// What is kept of one key beside its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyState<Id> {
    /// What the database calls the key.
    pub(super) id: Id,
    pub(super) attestation: AttestationState,
    pub(super) block: BlockState,
}

/// Everything that some keys change. Each value stands beside the id of its key.
#[derive(Debug)]
pub(super) struct Changes<Id> {
    pub(super) attestations: Vec<(Id, RecordedAttestation)>,
    pub(super) blocks: Vec<(Id, RecordedBlock)>,
    /// Targets and slots of rows whose root is to become unknown.
    pub(super) forget_attestations: Vec<(Id, Epoch)>,
    pub(super) forget_blocks: Vec<(Id, Slot)>,
    pub(super) states: Vec<KeyState<Id>>,
}

impl<Id> Default for Changes<Id> {
    fn default() -> Self {
        Self {
            attestations: Vec::new(),
            blocks: Vec::new(),
            forget_attestations: Vec::new(),
            forget_blocks: Vec::new(),
            states: Vec::new(),
        }
    }
}

impl<Id: Copy> Changes<Id> {
    /// Returns the state of the key after the changes.
    pub(super) fn note(
        &mut self,
        before: KeyState<Id>,
        attestations: Option<AttestationMerge>,
        blocks: Option<BlockMerge>,
    ) -> KeyState<Id> {
        let (id, mut after) = (before.id, before);
        if let Some(merge) = attestations {
            after.attestation = merge.state;
            self.attestations.extend(merge.add.into_iter().map(|row| (id, row)));
            self.forget_attestations.extend(merge.forget.into_iter().map(|target| (id, target)));
        }
        if let Some(merge) = blocks {
            after.block = merge.state;
            self.blocks.extend(merge.add.into_iter().map(|row| (id, row)));
            self.forget_blocks.extend(merge.forget.into_iter().map(|slot| (id, slot)));
        }
        self.states.push(after);
        after
    }
}
