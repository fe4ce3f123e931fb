//! The categories by which an operator chooses metrics (`Web3Signer`'s `--metrics-category`).

use crate::choice::choices;

choices! {
    /// A group of metrics that can be switched on and off.
    Category {
        /// Signing requests, keys, time in BLS, the audit.
        Signing = "SIGNING",
        /// Requests that could not be read, the signing threads and their queues.
        Http = "HTTP",
        /// Slashing protection: permitted and prevented signatures, its database, its batches.
        Eth2SlashingProtection = "ETH2_SLASHING_PROTECTION",
        /// The Java virtual machine. Accepted because operators' settings name it; holds nothing
        /// here.
        Jvm = "JVM",
        /// The process: version, processor, memory, files.
        Process = "PROCESS",
    }
}

impl Category {
    /// Every category, in the order of the page.
    pub const ALL: [Self; 5] =
        [Self::Signing, Self::Http, Self::Eth2SlashingProtection, Self::Jvm, Self::Process];
}
