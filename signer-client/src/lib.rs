//! Wire types of the Web3Signer-compatible signing API, and (behind features) a client for it.

pub mod wire;
