//! The signing pool: its threads and the bounds of its queues.

use std::{num::NonZeroUsize, thread};

use super::{
    error::ParameterError,
    options::own::{
        QUEUE_BOUND_AGGREGATE, QUEUE_BOUND_ATTESTATION, QUEUE_BOUND_BACKGROUND, QUEUE_BOUND_BLOCK,
        QUEUE_BOUND_SELECTION_PROOF, SIGNING_THREADS,
    },
    values::Values,
};
use crate::scheduler::Class;

/// The signing pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchedulerConfig {
    /// Threads that sign.
    pub signing_threads: NonZeroUsize,
    /// How many requests may wait.
    pub queue_bounds: QueueBounds,
}

/// How many requests of each class may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is named after its class")]
pub struct QueueBounds {
    pub block: usize,
    pub attestation: usize,
    pub aggregate: usize,
    pub selection_proof: usize,
    pub background: usize,
}

impl QueueBounds {
    /// The bound of one class.
    pub const fn of(self, class: Class) -> usize {
        match class {
            Class::Block => self.block,
            Class::Attestation => self.attestation,
            Class::Aggregate => self.aggregate,
            Class::SelectionProof => self.selection_proof,
            Class::Background => self.background,
        }
    }
}

impl SchedulerConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self {
            signing_threads: values
                .optional_integer(&SIGNING_THREADS)?
                .and_then(NonZeroUsize::new)
                .unwrap_or_else(available_cores),
            queue_bounds: QueueBounds {
                block: values.integer(&QUEUE_BOUND_BLOCK)?,
                attestation: values.integer(&QUEUE_BOUND_ATTESTATION)?,
                aggregate: values.integer(&QUEUE_BOUND_AGGREGATE)?,
                selection_proof: values.integer(&QUEUE_BOUND_SELECTION_PROOF)?,
                background: values.integer(&QUEUE_BOUND_BACKGROUND)?,
            },
        })
    }
}

/// Cores that this process may use; one when the system does not say.
pub(super) fn available_cores() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
