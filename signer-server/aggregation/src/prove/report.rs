//! The verdict on every entry.

use alloc::vec::Vec;

use crate::{
    backend::Backend,
    bits::Bits,
    cache::PointCache,
    checkpoint::{Checkpoint, StopReason},
    outcome::{Aggregate, Entry, GroupEnd, GroupOutcome, KeepReason, Kept, RejectReason, Rejected},
};

use super::Run;

impl<B: Backend, C: PointCache<B>, K: Checkpoint> Run<'_, B, C, K> {
    /// Without verification nobody knows which of two signatures for a position is good. The one that
    /// is not taken is in conflict.
    pub(super) fn settle_conflicts_unverified(&mut self) {
        for index in 0..self.scratch.candidates.len() {
            let candidate = &self.scratch.candidates[index];
            if !candidate.is_live() || candidate.is_child() || !candidate.contested {
                continue;
            }
            let owns = candidate
                .bits
                .iter()
                .any(|position| self.scratch.owners[usize::from(position)] == Some(index));
            if !owns {
                self.scratch.candidates[index].fault = Some(RejectReason::Conflict);
            }
        }
    }

    /// The outcome of a group that came to its end.
    pub(super) fn report(mut self, aggregate: Option<Aggregate>) -> GroupOutcome {
        let bits = aggregate.as_ref().map(|aggregate| aggregate.bits);
        let (mut used, mut covered, mut unprocessed) = (Vec::new(), Vec::new(), Vec::new());
        let owners = &self.scratch.owners;
        let mut in_children = Bits::empty(self.group.bits_len);
        for &child in &self.scratch.chosen {
            in_children = in_children.union(&self.scratch.candidates[child].bits);
        }
        for (index, candidate) in self.scratch.candidates.iter().enumerate() {
            let entry = candidate.entry;
            let is_part = if candidate.is_child() {
                self.scratch.chosen.contains(&index)
            } else {
                candidate.bits.iter().any(|position| {
                    !in_children.contains(position) && owners[usize::from(position)] == Some(index)
                })
            };
            if let Some(reason) = candidate.fault {
                self.rejected.push(Rejected { entry, reason });
            } else if is_part {
                used.push(entry);
            } else if bits.is_some_and(|bits| candidate.bits.is_subset(&bits)) {
                covered.push(entry);
            } else {
                unprocessed.push(Kept { entry, reason: KeepReason::Overlap });
            }
        }
        used.sort_unstable();
        covered.sort_unstable();
        self.rejected.sort_unstable_by_key(|rejected| rejected.entry);
        unprocessed.sort_unstable_by_key(|kept| kept.entry);
        GroupOutcome {
            end: GroupEnd::Complete,
            aggregate,
            used,
            covered,
            rejected: self.rejected,
            unprocessed,
            counts: self.progress.counts,
        }
    }

    /// The outcome of a group without an end: what is known to be wrong is rejected, the rest kept.
    pub(super) fn report_kept(mut self, end: GroupEnd) -> GroupOutcome {
        let reason = match end {
            GroupEnd::Stopped(StopReason::Deadline) => KeepReason::Deadline,
            GroupEnd::Stopped(StopReason::Cancelled) => KeepReason::Cancelled,
            GroupEnd::Complete | GroupEnd::SelfCheckFailed => KeepReason::SelfCheckFailed,
        };
        for candidate in &self.scratch.candidates {
            if let Some(reason) = candidate.fault {
                self.rejected.push(Rejected { entry: candidate.entry, reason });
            }
        }
        self.rejected.sort_unstable_by_key(|rejected| rejected.entry);
        let singles = (0..self.group.singles.len()).map(Entry::Single);
        let children = (0..self.group.children.len()).map(Entry::Child);
        let wrong =
            |entry: &Entry| self.rejected.binary_search_by_key(entry, |it| it.entry).is_ok();
        let unprocessed = singles
            .chain(children)
            .filter(|entry| !wrong(entry))
            .map(|entry| Kept { entry, reason })
            .collect();
        GroupOutcome {
            end,
            aggregate: None,
            used: Vec::new(),
            covered: Vec::new(),
            rejected: self.rejected,
            unprocessed,
            counts: self.progress.counts,
        }
    }
}
