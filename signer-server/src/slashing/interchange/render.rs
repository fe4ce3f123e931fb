//! Which entries of a file say what the records of a key say, and how they are written.
//!
//! An importer knows no floors: it takes the lowest entries of the file for them. So every floor
//! must be an entry, and no entry may lie below a floor. Three cases, from exact to strict:
//!
//! 1. The lowest rows are the floors: the rows as they are.
//! 2. The rows that lie below the floors matter no more (nothing that may still be signed can
//!    conflict with them): the others, and one entry without a root on the floor.
//! 3. Anything else, possible after an import of contradictory records or a repair of the
//!    watermarks: one entry without a root at the maxima.
//!
//! After a round trip the importer refuses at least what the source refused.

use std::io::{self, Write};

use signer_client::wire::{Epoch, PublicKey, Root, Slot};

use super::FORMAT_VERSION;
use crate::slashing::{
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{AttestationState, BlockState, VoteEpochs},
    store::records::KeyRecords,
};

/// The entries of one key, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyExport {
    pub(crate) key: PublicKey,
    pub(crate) blocks: Vec<RecordedBlock>,
    pub(crate) attestations: Vec<RecordedAttestation>,
}

impl From<KeyRecords> for KeyExport {
    fn from(records: KeyRecords) -> Self {
        Self {
            key: records.key,
            blocks: blocks(&records.block, records.blocks),
            attestations: attestations(&records.attestation, records.attestations),
        }
    }
}

fn blocks(state: &BlockState, mut rows: Vec<RecordedBlock>) -> Vec<RecordedBlock> {
    rows.sort_unstable_by_key(|row| row.slot);
    let Some(floor) = state.floor else { return rows };
    rows.retain(|row| row.slot >= floor);
    if rows.first().is_none_or(|row| row.slot > floor) {
        rows.insert(0, RecordedBlock { slot: floor, signing_root: None });
    }
    rows
}

fn attestations(
    state: &AttestationState,
    mut rows: Vec<RecordedAttestation>,
) -> Vec<RecordedAttestation> {
    rows.sort_unstable_by_key(|row| row.target);
    // Without a floor there is nothing to lose: the importer makes one and is stricter.
    let Some(floor) = state.floor else { return rows };
    let lowest_source = rows.iter().map(|row| row.source).min();
    let lowest_target = rows.iter().map(|row| row.target).min();
    if (lowest_source, lowest_target) == (Some(floor.source), Some(floor.target)) {
        return rows;
    }
    // Nothing is signed with a target at or below the floor's, or a source below the floor's. A row
    // at or below both can be neither the same vote as one that may be signed nor inside it.
    let is_floor = |row: &RecordedAttestation| epochs(row) == floor;
    let is_settled =
        |row: &RecordedAttestation| row.source <= floor.source && row.target <= floor.target;
    let is_above =
        |row: &RecordedAttestation| row.source >= floor.source && row.target > floor.target;
    if rows.iter().all(|row| is_settled(row) || is_above(row)) {
        let has_floor = rows.iter().any(is_floor);
        rows.retain(|row| is_above(row) || is_floor(row));
        if !has_floor {
            rows.insert(0, without_root(floor));
        }
        return rows;
    }
    vec![without_root(rows.iter().map(epochs).chain(state.max).fold(floor, |high, row| {
        VoteEpochs { source: high.source.max(row.source), target: high.target.max(row.target) }
    }))]
}

fn epochs(row: &RecordedAttestation) -> VoteEpochs {
    VoteEpochs { source: row.source, target: row.target }
}

fn without_root(epochs: VoteEpochs) -> RecordedAttestation {
    RecordedAttestation { source: epochs.source, target: epochs.target, signing_root: None }
}

/// Writes a file key by key: one entry per line, so that lines tell files apart.
pub(crate) struct FileWriter<W> {
    output: W,
    is_first: bool,
}

impl<W: Write> FileWriter<W> {
    /// Writes everything before the first key.
    pub(crate) fn new(mut output: W, genesis_validators_root: &Root) -> io::Result<Self> {
        write!(
            output,
            "{{\n\"metadata\": {{\n\"interchange_format_version\": \"{FORMAT_VERSION}\",\n\
             \"genesis_validators_root\": \"{genesis_validators_root}\"\n}},\n\"data\": ["
        )?;
        Ok(Self { output, is_first: true })
    }

    /// Writes one key.
    pub(crate) fn write(&mut self, key: &KeyExport) -> io::Result<()> {
        let comma = if self.is_first { "" } else { "," };
        self.is_first = false;
        write!(self.output, "{comma}\n{{\"pubkey\": \"{}\",\n\"signed_blocks\": [", key.key)?;
        let mut comma = "";
        for RecordedBlock { slot: Slot(slot), signing_root } in &key.blocks {
            write!(self.output, "{comma}\n{{\"slot\": \"{slot}\"")?;
            self.end_entry(signing_root.as_ref())?;
            comma = ",";
        }
        write!(self.output, "],\n\"signed_attestations\": [")?;
        let mut comma = "";
        for RecordedAttestation { source: Epoch(source), target: Epoch(target), signing_root } in
            &key.attestations
        {
            write!(
                self.output,
                "{comma}\n{{\"source_epoch\": \"{source}\", \"target_epoch\": \"{target}\""
            )?;
            self.end_entry(signing_root.as_ref())?;
            comma = ",";
        }
        write!(self.output, "]}}")
    }

    fn end_entry(&mut self, signing_root: Option<&Root>) -> io::Result<()> {
        match signing_root {
            Some(root) => write!(self.output, ", \"signing_root\": \"{root}\"}}"),
            None => write!(self.output, "}}"),
        }
    }

    /// Writes everything after the last key and hands the output back, flushed.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        writeln!(self.output, "\n]\n}}")?;
        self.output.flush()?;
        Ok(self.output)
    }
}
