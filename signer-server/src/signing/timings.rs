//! Where the time of a request went, for the client that asked.

/// Parts of a request's time, in microseconds; `None` for what it never came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Waiting for a signing thread.
    pub queue_us: Option<u64>,
    /// From asking slashing protection to its durable answer.
    pub database_us: Option<u64>,
    /// The signature itself.
    pub bls_us: Option<u64>,
}

impl Timings {
    /// Takes in another key of the same request. Keys are worked on side by side, so the longest
    /// counts and not the sum.
    pub fn include(&mut self, other: Self) {
        // Nothing is less than any duration.
        self.queue_us = self.queue_us.max(other.queue_us);
        self.database_us = self.database_us.max(other.database_us);
        self.bls_us = self.bls_us.max(other.bls_us);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_of_all_keys_counts() {
        let mut timings = Timings::default();
        timings.include(Timings { queue_us: Some(5), database_us: None, bls_us: Some(0) });
        timings.include(Timings { queue_us: Some(3), database_us: Some(7), bls_us: None });
        let expected = Timings { queue_us: Some(5), database_us: Some(7), bls_us: Some(0) };
        assert_eq!(timings, expected);
    }
}
