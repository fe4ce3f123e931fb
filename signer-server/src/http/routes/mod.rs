//! One file per endpoint.

pub(super) mod aggregation;
pub(super) mod audit;
pub(super) mod ext_sign;
pub(super) mod healthcheck;
pub(super) mod high_watermark;
pub(super) mod metrics;
pub(super) mod public_keys;
pub(super) mod reload;
pub(super) mod selection_proofs;
pub(super) mod sign;
pub(super) mod sign_batch;
pub(super) mod upcheck;
