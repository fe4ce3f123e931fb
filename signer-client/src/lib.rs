//! Wire types of the Web3Signer-compatible signing API, and (behind features) a client for it.
//!
//! - Without features: [`wire`], and no HTTP among the dependencies.
//! - `client`: [`client`], a typed client for one or more signers, and [`selection`], which has
//!   selection proofs made ahead of need.
//! - `mock`: [`mock`], a signer inside the process, for tests.
//! - `load`: [`load`], which plays validator clients against a signer.
//! - `interop`: [`interop`], keys that everybody knows.
//! - `ssz`: hash tree roots of the wire types.
//! - `aggregator`: [`aggregator`], whether a selection proof selects.

#[cfg(feature = "aggregator")]
pub mod aggregator;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "interop")]
pub mod interop;
#[cfg(feature = "load")]
pub mod load;
#[cfg(feature = "mock")]
pub mod mock;
#[cfg(feature = "client")]
pub mod selection;
pub mod wire;

#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
