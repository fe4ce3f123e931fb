//! From live candidates to one aggregate: each set position counts exactly once, whether it comes
//! from a child or from a single.

use crate::{
    backend::Backend,
    bits::Bits,
    cache::PointCache,
    checkpoint::{Checkpoint, Phase, StopReason},
    options::{Overlap, VerifyMode},
    outcome::Aggregate,
    scratch::KeyState,
};

use super::{Run, select::select};

impl<B: Backend, C: PointCache<B>, K: Checkpoint> Run<'_, B, C, K> {
    /// The best aggregate of what is live, not verified. `None` if nothing is, or if the parts cancel
    /// out.
    pub(super) fn assemble(&mut self) -> Option<Aggregate> {
        self.progress.enter(Phase::Select);
        self.choose_children();
        self.progress.enter(Phase::Sum);
        let bits = self.collect_parts();
        let sum = self.backend.sum(&self.scratch.added, &self.scratch.removed)?;
        Some(Aggregate { bits, signature: self.backend.encode(&sum), verified: false })
    }

    /// The best aggregate of what is live, if it verifies.
    pub(super) fn assemble_and_check(
        &mut self,
        message: &B::Message,
    ) -> Result<Option<Aggregate>, StopReason> {
        let Some(aggregate) = self.assemble() else { return Ok(None) };
        self.progress.enter(Phase::SelfCheck);
        self.progress.pairing()?;
        let verified = self.verifies(message, &aggregate);
        Ok(verified.then_some(Aggregate { verified, ..aggregate }))
    }

    fn choose_children(&mut self) {
        let len = self.group.bits_len;
        let mut singles = Bits::empty(len);
        for (position, owner) in (0..).zip(&self.scratch.owners) {
            if owner.is_some() {
                singles.insert(position);
            }
        }
        let subtracts = B::SUBTRACTS
            && self.options.overlap == Overlap::Subtract
            && self.options.verify != VerifyMode::None;
        // A single that has not been vetted may be taken away, too: what comes out is verified.
        let removable = if subtracts { singles } else { Bits::empty(len) };
        let children = &mut self.scratch.children;
        children.clear();
        for (index, candidate) in self.scratch.candidates.iter().enumerate() {
            if candidate.is_child() && candidate.is_live() {
                children.push((index, candidate.bits));
            }
        }
        self.scratch.chosen.clear();
        select(children, &singles, &removable, &mut self.scratch.chosen);
    }

    /// Collects what is to be added and taken away for the chosen children, filled up with singles,
    /// and tells whose signatures the sum holds.
    fn collect_parts(&mut self) -> Bits {
        let scratch = &mut *self.scratch;
        scratch.added.clear();
        scratch.removed.clear();
        let mut bits = Bits::empty(self.group.bits_len);
        let single_at = |position: u16| {
            let owner = scratch.owners.get(usize::from(position)).copied().flatten()?;
            scratch.candidates[owner].decoded.map(|decoded| decoded.point)
        };
        for &child in &scratch.chosen {
            let child = &scratch.candidates[child];
            scratch.added.extend(child.decoded.map(|decoded| decoded.point));
            let surplus = bits.intersection(&child.bits);
            scratch.removed.extend(surplus.iter().filter_map(single_at));
            bits = bits.union(&child.bits);
        }
        for position in 0..self.group.bits_len.get() {
            if !bits.contains(position)
                && let Some(signature) = single_at(position)
            {
                scratch.added.push(signature);
                bits.insert(position);
            }
        }
        bits
    }

    /// Verifies the finished aggregate as its receivers will: from its bytes, against the keys of
    /// exactly its bits.
    fn verifies(&mut self, message: &B::Message, aggregate: &Aggregate) -> bool {
        let keys = &mut self.scratch.summed_keys;
        keys.clear();
        for position in aggregate.bits.iter() {
            match self.scratch.keys.get(usize::from(position)) {
                Some(KeyState::Valid(key)) => keys.push(key.0),
                _ => return false,
            }
        }
        let key = self.backend.sum_keys(keys);
        let signature = self.backend.signature(&aggregate.signature);
        match (key, signature) {
            (Some(key), Ok(signature)) => self.backend.verify(message, &key, &signature),
            _ => false,
        }
    }
}
