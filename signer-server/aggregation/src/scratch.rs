//! Buffers that live from group to group.

use alloc::vec::Vec;

use crate::backend::{Backend, Bls};

/// Buffers that live from group to group, so that a worker that keeps one allocates nothing for its
/// working set after the largest group it has met. Holds no result: a new one gives the same outcome.
#[derive(Debug)]
pub struct Scratch<B: Backend = Bls> {
    pub(crate) keys: Vec<B::Key>,
}

impl<B: Backend> Default for Scratch<B> {
    fn default() -> Self {
        Self { keys: Vec::new() }
    }
}

impl<B: Backend> Scratch<B> {
    /// Empty buffers.
    pub fn new() -> Self {
        Self::default()
    }
}
