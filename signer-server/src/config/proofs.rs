//! Selection proofs that are made ahead and kept.

use super::{
    error::ParameterError,
    options::own::{PROOF_CACHE_CAPACITY, PROOF_MAX_SLOTS_AHEAD},
    values::Values,
};

/// How selection proofs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofsConfig {
    /// Most proofs that are kept, and most that may wait to be made.
    pub cache_capacity: usize,
    /// How many slots after the present one.
    pub max_slots_ahead: u64,
}

impl ProofsConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        Ok(Self {
            cache_capacity: values.integer(&PROOF_CACHE_CAPACITY)?,
            max_slots_ahead: values.integer(&PROOF_MAX_SLOTS_AHEAD)?,
        })
    }
}
