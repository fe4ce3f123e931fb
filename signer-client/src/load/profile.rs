//! How the validator clients behave towards a remote signer.
//!
//! What is known of each client (types, forms, headers, connections, time limits, when it asks for
//! selection proofs and how many at once) is here, as data. What all have in common is in
//! [`super::schedule`].

use std::{fmt, ops::Range, str::FromStr, time::Duration};

use super::chain::SLOTS_PER_EPOCH;
use crate::{selection::BasisPoints, wire::Slot};

/// Most requests of a client that sets itself no limit. A process may hold only so many files open,
/// and every such request has a connection of its own.
pub(super) const WITHOUT_LIMIT: usize = 4096;
/// Duties in an epoch from which on Teku spreads its requests.
const TEKU_SPREADS_FROM: u32 = 1000;

/// A validator client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Lighthouse since its pull request 4033: proofs in the middle of the slot, eight slots ahead,
    /// one after another.
    Lighthouse,
    /// Lighthouse before that: all proofs of an epoch at once at its start.
    EpochBurst,
    /// Teku: 32 at a time at the start of an epoch.
    Teku,
    /// Prysm: one after another, two epochs' proofs at each start of an epoch; keeps two idle
    /// connections.
    Prysm,
    /// Lodestar: one after another at the start of an epoch.
    Lodestar,
    /// Nimbus: an epoch ahead, all at once; a connection for each request; three tries in 3 s.
    Nimbus,
    /// Vero: ten at a time at the start of an epoch, the nearest slots first.
    Vero,
    /// Grandine: eight slots ahead, all at once.
    Grandine,
    /// A client like Lighthouse whose selection proofs come from
    /// [`crate::selection::SelectionProofScheduler`].
    Midslot,
}

/// The form in which an aggregate is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggregateForm {
    /// `AGGREGATE_AND_PROOF`, for every fork.
    Unwrapped,
    /// `AGGREGATE_AND_PROOF_V2`, which says its fork.
    Versioned,
}

/// How a client speaks. Lengths of time are those at slots of 12 s and scale with the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// The `Accept` header; Teku and Prysm send none.
    pub accept: Option<&'static str>,
    /// Whether requests carry `signingRoot`.
    pub sends_signing_root: bool,
    /// How aggregates are sent.
    pub aggregate_form: AggregateForm,
    /// When the client gives up on a duty.
    pub duty_timeout: Duration,
    /// When it gives up on a selection proof.
    pub proof_timeout: Duration,
    /// How often it tries, within that time.
    pub tries: u32,
    /// Idle connections that it keeps.
    pub idle_connections: usize,
    /// Duties under way at most.
    pub duties_at_once: usize,
    /// Selection proofs under way at most.
    pub proofs_at_once: usize,
    /// What it asks for besides signatures, and how often.
    pub probe: Option<(&'static str, Duration)>,
    /// Whether it takes HTTP/2 where TLS offers it.
    pub speaks_http2: bool,
}

/// Proofs that a client asks for: of which slots, and when in the present slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofStep {
    /// When, after the start of the slot; may lie beyond its end.
    pub at: BasisPoints,
    /// The slots of the duties.
    pub slots: Range<u64>,
}

/// No client of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown profile; there are {}", Profile::ALL.map(Profile::name).join(", "))]
pub struct UnknownProfile;

impl Profile {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Lighthouse,
        Self::EpochBurst,
        Self::Teku,
        Self::Prysm,
        Self::Lodestar,
        Self::Nimbus,
        Self::Vero,
        Self::Grandine,
        Self::Midslot,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lighthouse => "lighthouse",
            Self::EpochBurst => "epoch-burst",
            Self::Teku => "teku",
            Self::Prysm => "prysm",
            Self::Lodestar => "lodestar",
            Self::Nimbus => "nimbus",
            Self::Vero => "vero",
            Self::Grandine => "grandine",
            Self::Midslot => "midslot",
        }
    }

    /// How it speaks.
    pub fn manners(self) -> Manners {
        let lighthouse = Manners {
            accept: Some("application/json"),
            sends_signing_root: true,
            aggregate_form: AggregateForm::Unwrapped,
            duty_timeout: Duration::from_secs(12),
            proof_timeout: Duration::from_secs(12),
            tries: 1,
            idle_connections: usize::MAX,
            duties_at_once: WITHOUT_LIMIT,
            proofs_at_once: 1,
            probe: None,
            speaks_http2: false,
        };
        match self {
            Self::Lighthouse | Self::Midslot => lighthouse,
            // Its time limit would hide how late the last proof is.
            Self::EpochBurst => Manners {
                proof_timeout: Duration::from_mins(2),
                proofs_at_once: 2 * WITHOUT_LIMIT,
                ..lighthouse
            },
            Self::Teku => Manners {
                accept: None,
                duty_timeout: Duration::from_secs(5),
                proof_timeout: Duration::from_secs(5),
                proofs_at_once: 32,
                probe: Some(("/upcheck", Duration::from_secs(30))),
                ..lighthouse
            },
            // It has no time limit but the end of its slot.
            Self::Prysm => Manners {
                accept: None,
                aggregate_form: AggregateForm::Versioned,
                idle_connections: 2,
                speaks_http2: true,
                ..lighthouse
            },
            Self::Lodestar => Manners {
                aggregate_form: AggregateForm::Versioned,
                duty_timeout: Duration::from_mins(5),
                proof_timeout: Duration::from_mins(5),
                ..lighthouse
            },
            Self::Nimbus => Manners {
                sends_signing_root: false,
                aggregate_form: AggregateForm::Versioned,
                duty_timeout: Duration::from_secs(3),
                proof_timeout: Duration::from_secs(3),
                tries: 3,
                idle_connections: 0,
                proofs_at_once: WITHOUT_LIMIT,
                ..lighthouse
            },
            Self::Vero => Manners {
                accept: Some("text/plain"),
                sends_signing_root: false,
                aggregate_form: AggregateForm::Versioned,
                duty_timeout: Duration::from_secs(5),
                proof_timeout: Duration::from_secs(10),
                duties_at_once: 100,
                proofs_at_once: 10,
                probe: Some(("/healthcheck", Duration::from_secs(1))),
                ..lighthouse
            },
            Self::Grandine => {
                Manners { accept: Some("*/*"), proofs_at_once: WITHOUT_LIMIT, ..lighthouse }
            }
        }
    }

    /// The attestation selection proofs that it asks for in a slot, when it has played since `first`
    /// with so many validators. Slots before this one are never in it.
    pub fn proof_steps(self, slot: Slot, first: Slot, validators: u32) -> Vec<ProofStep> {
        let now = slot.0;
        let is_first = slot == first;
        let begins_epoch = now.is_multiple_of(SLOTS_PER_EPOCH);
        let next_epoch = (now / SLOTS_PER_EPOCH + 1) * SLOTS_PER_EPOCH;
        let after_next = next_epoch + SLOTS_PER_EPOCH;
        let step = |at, slots: Range<u64>| ProofStep { at: BasisPoints(at), slots };
        let at_start = |slots| vec![step(0, slots)];
        // What comes into view of a client that looks so many slots ahead.
        let window = |at, ahead: u64| {
            let from = if is_first { now } else { now + ahead - 1 };
            vec![step(at, from..now + ahead)]
        };
        match self {
            Self::Lighthouse => window(5000, 8),
            Self::Grandine => window(0, 8),
            Self::Nimbus => window(0, SLOTS_PER_EPOCH),
            Self::EpochBurst if is_first || begins_epoch => at_start(now..next_epoch),
            Self::Prysm if is_first || begins_epoch => at_start(now..after_next),
            Self::Lodestar if is_first => at_start(now..after_next),
            Self::Vero if is_first => vec![step(0, now..now + 3), step(0, now + 3..after_next)],
            Self::Lodestar | Self::Vero if begins_epoch => at_start(next_epoch..after_next),
            Self::Teku if is_first || begins_epoch => {
                let mut steps = Vec::new();
                if validators < TEKU_SPREADS_FROM {
                    steps.push(step(0, if is_first { now } else { next_epoch }..after_next));
                    return steps;
                }
                if is_first {
                    // Four slots every half second.
                    for (count, from) in (0..).zip((now..next_epoch).step_by(4)) {
                        steps.push(step(count * 417, from..(from + 4).min(next_epoch)));
                    }
                }
                // One slot every second.
                for (count, from) in (0..).zip(next_epoch..after_next) {
                    steps.push(step(count * 833, from..from + 1));
                }
                steps
            }
            Self::EpochBurst
            | Self::Prysm
            | Self::Lodestar
            | Self::Vero
            | Self::Teku
            // Its scheduler decides.
            | Self::Midslot => Vec::new(),
        }
    }

    /// How many slots ahead it asks for the selection proofs of sync committees: Lighthouse two
    /// epochs; of the others only that they need them at the end of their own slot.
    pub const fn sync_proofs_ahead(self) -> u64 {
        match self {
            Self::Lighthouse | Self::EpochBurst => 2 * SLOTS_PER_EPOCH,
            _ => 0,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.name() == text).ok_or(UnknownProfile)
    }
}
