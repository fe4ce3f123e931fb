//! Rows of the audit table, which both databases have with the same columns.

use std::{ops::RangeInclusive, sync::Arc};

use signer_client::wire::{Epoch, PublicKey, Slot};

use super::{
    StoreError,
    rows::{StoredRow, present, stored_bytes, stored_number, stored_root, to_stored},
};
use crate::{
    audit::{Client, Entry, Outcome, stored_bounds},
    duty::DutyType,
};

/// The bounds of a range of slots or epochs, as a search compares them with a column.
pub(super) fn bounds(range: Option<&RangeInclusive<u64>>) -> (Option<i64>, Option<i64>) {
    let bounds = range.map(stored_bounds);
    bounds.map(|(first, last)| (to_stored(first), to_stored(last))).unzip()
}

/// Reads a row.
pub(super) fn entry(row: &impl StoredRow) -> Result<Entry, StoreError> {
    let number = |column| present(row.integer(column)?, column);
    let shared = |column| Ok::<_, StoreError>(row.text(column)?.map(Arc::from));
    let owned = |column| Ok::<_, StoreError>(row.text(column)?.map(str::to_owned));
    let duty_type = row.text("duty_type")?;
    let outcome = row.text("outcome")?.and_then(Outcome::from_name);
    Ok(Entry {
        id: number("id")?,
        received_at_us: number("received_at")?,
        instance: present(shared("instance")?, "instance")?,
        client: Client {
            address: row.text("client_address")?.and_then(|address| address.parse().ok()),
            name: shared("client_name")?,
            fingerprint: shared("client_fingerprint")?,
        },
        key: stored_bytes(row, "public_key")?.map(PublicKey),
        identifier: owned("identifier")?,
        duty_type: duty_type
            .and_then(|name| DutyType::ALL.iter().copied().find(|kind| kind.name() == name)),
        slot: stored_number(row, "slot")?.map(Slot),
        epoch: stored_number(row, "epoch")?.map(Epoch),
        signing_root: stored_root(row, "signing_root")?,
        outcome: present(outcome, "outcome")?,
        reason: owned("reason")?,
        queue_us: stored_number(row, "queue_us")?,
        database_us: stored_number(row, "database_us")?,
        bls_us: stored_number(row, "bls_us")?,
    })
}
