//! How much clients may ask for.

use super::{
    error::ParameterError,
    options::own::{
        BATCH_MAX_KEYS, HTTP_MAX_BODY_BYTES_IN_FLIGHT, HTTP_MAX_BODY_SIZE, HTTP_MAX_CONNECTIONS,
    },
    values::Values,
};

/// Bytes of bodies in memory when nothing is said: 256 MiB. A full queue of every class holds less
/// in ordinary requests.
const USUAL_BODY_BYTES_IN_FLIGHT: usize = 256 << 20;

/// The limits of requests and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Largest body, in bytes.
    pub max_body_size_bytes: usize,
    /// Most bytes of all bodies that are in memory at a time: at least four thirds of the largest
    /// body, so that one always fits.
    pub max_body_bytes_in_flight: usize,
    /// Most connections to the signing port.
    pub max_connections: usize,
    /// Most keys of one batch request.
    pub max_batch_keys: usize,
}

impl LimitsConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let max_body_size_bytes: usize = values.integer(&HTTP_MAX_BODY_SIZE)?;
        let least = max_body_size_bytes.div_ceil(3) * 4;
        let max_body_bytes_in_flight = values
            .optional_integer(&HTTP_MAX_BODY_BYTES_IN_FLIGHT)?
            .unwrap_or(USUAL_BODY_BYTES_IN_FLIGHT.max(least));
        if max_body_bytes_in_flight < least {
            let body_size = HTTP_MAX_BODY_SIZE.dashed_name();
            return Err(values.invalid(
                &HTTP_MAX_BODY_BYTES_IN_FLIGHT,
                format!(
                    "must be at least {least}: a body of {max_body_size_bytes} bytes ({body_size}) \
                     may take three quarters of it"
                ),
            ));
        }
        Ok(Self {
            max_body_size_bytes,
            max_body_bytes_in_flight,
            max_connections: values.integer(&HTTP_MAX_CONNECTIONS)?,
            max_batch_keys: values.integer(&BATCH_MAX_KEYS)?,
        })
    }
}
