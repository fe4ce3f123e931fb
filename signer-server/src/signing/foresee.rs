//! Proofs that the signer expects to be asked for, and makes without being asked.
//!
//! They take the way of a pre-request that nobody waits for: through the backlog of the proof cache,
//! as jobs of the lowest class, each with its audit row. The duty is made by
//! [`selection_proof`], so nothing else than a selection proof can come of it.

use std::sync::Arc;

use signer_client::wire::{ForkInfo, PublicKey, QuotedU64, Slot};

use super::SigningService;
use crate::{
    audit::Client,
    duty::{DutyError, selection_proof},
    keys::Registry,
    selection::{Accepted, BacklogFull, Order, ProofId},
    telemetry::metrics::Metrics,
};

/// The proofs of one slot and, for a sync committee, one subcommittee.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// The slot.
    pub slot: Slot,
    /// The subcommittee; `None` for attestations.
    pub subcommittee_index: Option<QuotedU64>,
    /// The fork of the slot, and the chain.
    pub fork_info: ForkInfo,
    /// Whose proofs. Keys that are not loaded are left out.
    pub keys: Vec<PublicKey>,
}

/// Why proofs were not taken in. None of them is made then.
#[derive(Debug, thiserror::Error)]
pub enum NotForeseen {
    /// The slot's fork has no such proofs.
    #[error(transparent)]
    Duty(#[from] DutyError),
    /// There is no room for so many proofs that nobody waits for.
    #[error(transparent)]
    BacklogFull(#[from] BacklogFull),
}

impl SigningService {
    /// The loaded keys.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Where all is counted.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Most proofs that are kept, and so most that it makes sense to foresee.
    pub fn most_proofs(&self) -> usize {
        self.proofs.capacity()
    }

    /// Has proofs made in the background, as far as they are not there or on their way. `client`
    /// stands in their audit rows.
    ///
    /// # Errors
    /// When none of them will be made for it.
    pub fn foresee(
        self: &Arc<Self>,
        client: &Client,
        foreseen: &Foreseen,
    ) -> Result<Accepted, NotForeseen> {
        let Foreseen { slot, subcommittee_index, fork_info, keys } = foreseen;
        if self.proofs.current_slot().is_none_or(|now| *slot < now) {
            return Ok(Accepted::default());
        }
        let duty = selection_proof(&self.network, fork_info, None, *slot, *subcommittee_index)?;
        let order = Arc::new(Order { client: client.clone(), duty });
        let loaded = keys.iter().filter(|key| self.registry.get(key).is_some());
        let wanted: Vec<_> = loaded
            .filter_map(|key| Some((ProofId::of(*key, &order.duty)?, Arc::clone(&order))))
            .collect();
        let accepted = self.proofs.order(&wanted)?;
        if accepted.queued > 0 {
            self.work_off_backlog();
        }
        Ok(accepted)
    }
}
