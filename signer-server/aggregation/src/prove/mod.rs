//! One group from entries to outcome.

mod assemble;
mod blinds;
mod prepare;
mod progress;
mod report;
mod select;
mod vet;

use alloc::vec::Vec;

use progress::Progress;

use crate::{
    backend::{Backend, Bls},
    cache::PointCache,
    checkpoint::{Checkpoint, StopReason},
    group::Group,
    options::{Options, VerifyMode},
    outcome::{Aggregate, GroupEnd, GroupOutcome, Rejected},
    scratch::{Candidate, Scratch},
};

/// Aggregates a group of BLS signatures; see [`aggregate_group_with`].
pub fn aggregate_group(
    group: &Group,
    options: Options,
    scratch: &mut Scratch,
    cache: &mut impl PointCache,
    blind_seed: &[u8; 32],
    checkpoint: &mut impl Checkpoint,
) -> GroupOutcome {
    aggregate_group_with(&Bls, group, options, scratch, cache, blind_seed, checkpoint)
}

/// Aggregates what is signed on one message.
///
/// The outcome is the same for any order of the entries (their indices apart), any `blind_seed`, any
/// state of `cache` (its [`Counts`](crate::Counts) apart) and of `scratch`. `blind_seed` is drawn
/// from the operating system's randomness after the group is complete, for each job anew; whoever
/// could foresee it could have false entries pass as good ones (never a false aggregate as
/// verified).
pub fn aggregate_group_with<B: Backend>(
    backend: &B,
    group: &Group,
    options: Options,
    scratch: &mut Scratch<B>,
    cache: &mut impl PointCache<B>,
    blind_seed: &[u8; 32],
    checkpoint: &mut impl Checkpoint,
) -> GroupOutcome {
    let mut run = Run {
        backend,
        group,
        options,
        scratch,
        cache,
        blind_seed,
        progress: Progress::new(checkpoint),
        rejected: Vec::new(),
        vettings: 0,
    };
    match run.prove() {
        Ok(aggregate) if aggregate.is_some() || run.nothing_is_left() => run.report(aggregate),
        Ok(_) => run.report_kept(GroupEnd::SelfCheckFailed),
        Err(reason) => run.report_kept(GroupEnd::Stopped(reason)),
    }
}

/// The work on one group.
struct Run<'r, B: Backend, C, K> {
    backend: &'r B,
    group: &'r Group,
    options: Options,
    scratch: &'r mut Scratch<B>,
    cache: &'r mut C,
    blind_seed: &'r [u8; 32],
    progress: Progress<'r, K>,
    /// Entries that never became candidates.
    rejected: Vec<Rejected>,
    /// How often suspects were vetted, so that no two rounds share their blinding scalars.
    vettings: u8,
}

impl<B: Backend, C: PointCache<B>, K: Checkpoint> Run<'_, B, C, K> {
    /// The best aggregate, verified unless the caller wants none of that; `None` if no entry is good
    /// or if the aggregate is not.
    fn prove(&mut self) -> Result<Option<Aggregate>, StopReason> {
        // What an earlier group left must not be taken for this one's.
        self.scratch.candidates.clear();
        self.scratch.chosen.clear();
        self.progress.ask()?;
        self.prepare()?;
        let every_entry = match self.options.verify {
            VerifyMode::None => {
                let aggregate = self.assemble();
                self.settle_conflicts_unverified();
                return Ok(aggregate);
            }
            VerifyMode::Aggregate => false,
            VerifyMode::Each => true,
        };
        let message = self.backend.message(&self.group.message);
        self.vet(&message, |candidate| every_entry || candidate.contested)?;
        let mut aggregate = self.assemble_and_check(&message)?;
        if aggregate.is_none() && !every_entry {
            // The sum is false, so some part of it is.
            self.vet(&message, |_| true)?;
            aggregate = self.assemble_and_check(&message)?;
        }
        Ok(aggregate)
    }

    fn nothing_is_left(&self) -> bool {
        !self.scratch.candidates.iter().any(Candidate::is_live)
    }
}
