//! The aggregation worker.

use std::{num::NonZeroUsize, time::Duration};

use super::{
    error::ParameterError,
    options::{
        aggregation::{
            AGGREGATION_DEADLINE, AGGREGATION_ENABLED, AGGREGATION_MAX_BODY_SIZE,
            AGGREGATION_MAX_JOBS, AGGREGATION_THREADS,
        },
        own::HTTP_MAX_BODY_BYTES_IN_FLIGHT,
    },
    scheduler::available_cores,
    values::Values,
};

/// The aggregation worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AggregationConfig {
    /// Whether it runs.
    pub enabled: bool,
    /// Threads that prove.
    pub threads: NonZeroUsize,
    /// Time that a job has, unless it says otherwise.
    pub deadline: Duration,
    /// Largest body, in bytes.
    pub max_body_size_bytes: usize,
    /// Most jobs whose results are kept.
    pub max_jobs: usize,
}

impl AggregationConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let one_less = || NonZeroUsize::new(available_cores().get() - 1);
        Ok(Self {
            enabled: values.boolean(&AGGREGATION_ENABLED)?,
            threads: values
                .optional_integer(&AGGREGATION_THREADS)?
                .and_then(NonZeroUsize::new)
                .or_else(one_less)
                .unwrap_or(NonZeroUsize::MIN),
            deadline: Duration::from_millis(values.integer(&AGGREGATION_DEADLINE)?),
            max_body_size_bytes: values.integer(&AGGREGATION_MAX_BODY_SIZE)?,
            max_jobs: values.integer(&AGGREGATION_MAX_JOBS)?,
        })
    }

    /// Refuses bodies that could never be read.
    pub(super) fn check(
        &self,
        values: &Values,
        max_body_bytes_in_flight: usize,
    ) -> Result<(), ParameterError> {
        let room = max_body_bytes_in_flight - max_body_bytes_in_flight / 4;
        if self.enabled && self.max_body_size_bytes > room {
            let reason = format!(
                "must be at most {room}, three quarters of {}",
                HTTP_MAX_BODY_BYTES_IN_FLIGHT.dashed_name()
            );
            return Err(values.invalid(&AGGREGATION_MAX_BODY_SIZE, reason));
        }
        Ok(())
    }
}
