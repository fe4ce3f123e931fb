//! Which beacon nodes are asked for duties, and when.

use std::time::Duration;

use super::{
    error::ParameterError,
    options::own::{
        PREFETCH_BEACON_NODES, PREFETCH_LOOK_AHEAD_SLOTS, PREFETCH_REQUEST_TIMEOUT,
        PREFETCH_SLOT_PERCENT, PROOF_MAX_SLOTS_AHEAD,
    },
    values::Values,
};
use crate::prefetch::{BeaconAddress, PrefetchOptions};

/// The options of prefetch; `None` when no beacon node is named.
pub(super) fn from_values(values: &Values) -> Result<Option<PrefetchOptions>, ParameterError> {
    if values.origin(&PREFETCH_BEACON_NODES).is_none() {
        return Ok(None);
    }
    let addresses = values.list(&PREFETCH_BEACON_NODES)?;
    let nodes = addresses.iter().enumerate().map(|(place, text)| {
        // The text may hold a password: it is named by its place.
        BeaconAddress::parse(text).map_err(|error| {
            values.invalid(&PREFETCH_BEACON_NODES, format!("address {}: {error}", place + 1))
        })
    });
    let nodes = nodes.collect::<Result<_, _>>()?;
    let look_ahead_slots: u64 = values.integer(&PREFETCH_LOOK_AHEAD_SLOTS)?;
    let kept: u64 = values.integer(&PROOF_MAX_SLOTS_AHEAD)?;
    if look_ahead_slots > kept {
        let option = PROOF_MAX_SLOTS_AHEAD.dashed_name();
        return Err(values.invalid(
            &PREFETCH_LOOK_AHEAD_SLOTS,
            format!("must be at most {kept}: proofs are kept for no more slots ahead ({option})"),
        ));
    }
    Ok(Some(PrefetchOptions {
        nodes,
        look_ahead_slots,
        slot_percent: values.integer(&PREFETCH_SLOT_PERCENT)?,
        request_timeout: Duration::from_millis(values.integer(&PREFETCH_REQUEST_TIMEOUT)?),
    }))
}
