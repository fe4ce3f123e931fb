//! How the audit is kept.

use std::{sync::Arc, time::Duration};

use super::Retention;
use crate::{choice::choices, telemetry::metrics::Metrics};

choices! {
    /// What a signature waits for.
    #[derive(Default)]
    Durability {
        /// Blocks and attestations that are signed for the first time wait for their row; the
        /// other rows are written in batches soon after.
        #[default]
        Batched = "batched",
        /// Every signature waits until its row is durable.
        Strict = "strict",
    }
}

/// How the audit is kept.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// What a signature waits for.
    pub durability: Durability,
    /// How long rows are kept.
    pub retention: Retention,
    /// Longest time a signature waits for its row.
    pub timeout: Duration,
    /// Counts rows.
    pub metrics: Option<Arc<Metrics>>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            retention: Retention::default(),
            timeout: Duration::from_secs(4),
            metrics: None,
        }
    }
}
