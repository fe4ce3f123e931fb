//! The answer to a signing request.

use serde::{Deserialize, Serialize};

use super::primitives::Signature;

/// `{"signature":"0x.."}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignResponse {
    /// The signature of the object's signing root.
    pub signature: Signature,
}
