//! Which candidates are false.
//!
//! All suspects sign the same message, so one check of two pairings on sums blinded by random
//! scalars answers for all of them. If it fails, halves are checked until the guilty are found; the more
//! of them turn up, the smaller the parts that are still worth a check, down to one suspect each.
//! Blinding is sound only inside the group of prime order, so that is looked at first.

use crate::{
    backend::Backend,
    bits::Bits,
    cache::PointCache,
    checkpoint::{Checkpoint, Phase, StopReason},
    outcome::RejectReason,
    scratch::{Candidate, KeyState, Span, SpanKind, Suspects},
};

use super::{Run, blinds};

/// Most suspects of one check, which then takes about 7 ms: nothing can stop it in between.
const CHECK_AT_ONCE: usize = 256;

/// As how many innocent suspects the good faith counts with which the search begins: a few guilty
/// side by side say little about the rest. With it a search among 512 takes at most about 590 checks,
/// however the guilty lie, where checking each singly takes 512.
const GOOD_FAITH: usize = 32;

impl<B: Backend, C: PointCache<B>, K: Checkpoint> Run<'_, B, C, K> {
    /// Finds out about the live candidates of `choice` whether they are valid, each by itself.
    pub(super) fn vet(
        &mut self,
        message: &B::Message,
        choice: impl Fn(&Candidate<B>) -> bool,
    ) -> Result<(), StopReason> {
        let is_suspect =
            |candidate: &Candidate<B>| candidate.is_live() && !candidate.valid && choice(candidate);
        if !self.scratch.candidates.iter().any(is_suspect) {
            return Ok(());
        }
        self.progress.enter(Phase::Verify);
        for index in 0..self.scratch.candidates.len() {
            if is_suspect(&self.scratch.candidates[index]) {
                self.require_group(index)?;
            }
        }
        self.gather_suspects(is_suspect)?;
        self.draw_blinds();
        self.judge(message)?;
        self.settle_conflicts();
        self.find_owners();
        Ok(())
    }

    fn gather_suspects(
        &mut self,
        is_suspect: impl Fn(&Candidate<B>) -> bool,
    ) -> Result<(), StopReason> {
        let suspects = &mut self.scratch.suspects;
        suspects.candidates.clear();
        suspects.keys.clear();
        suspects.signatures.clear();
        for (index, candidate) in self.scratch.candidates.iter_mut().enumerate() {
            let Some(decoded) = candidate.decoded.filter(|_| is_suspect(candidate)) else {
                continue;
            };
            // All positions of a single have one key, and its signature is checked once.
            let positions = if candidate.is_child() { usize::MAX } else { 1 };
            if candidate.is_child() {
                self.progress.ask()?;
            }
            let keys = &mut self.scratch.summed_keys;
            keys.clear();
            keys.extend(candidate.bits.iter().take(positions).filter_map(|position| {
                match self.scratch.keys.get(usize::from(position)) {
                    Some(KeyState::Valid(key)) => Some(key.0),
                    _ => None,
                }
            }));
            match self.backend.sum_keys(keys) {
                Some(key) => {
                    suspects.candidates.push(index);
                    suspects.keys.push(key);
                    suspects.signatures.push(decoded.point);
                }
                // No signature verifies by keys that cancel out.
                None => candidate.fault = Some(RejectReason::InvalidSignature),
            }
        }
        Ok(())
    }

    fn draw_blinds(&mut self) {
        let (candidates, suspects) = (&self.scratch.candidates, &mut self.scratch.suspects);
        let digest = blinds::digest_of_suspects(
            &self.group.message,
            self.vettings,
            suspects.candidates.iter().map(|&index| {
                let candidate = &candidates[index];
                (&candidate.bits, &candidate.bytes)
            }),
        );
        self.vettings += 1;
        blinds::derive(self.blind_seed, &digest, suspects.candidates.len(), &mut suspects.blinds);
    }

    /// Checks all suspects and marks each as valid or at fault.
    fn judge(&mut self, message: &B::Message) -> Result<(), StopReason> {
        let (candidates, suspects) = (&mut self.scratch.candidates, &mut self.scratch.suspects);
        let count = suspects.candidates.len();
        let mut spans = core::mem::take(&mut suspects.spans);
        spans.clear();
        // The stack gives the first span first.
        spans.extend((0..count).step_by(CHECK_AT_ONCE).rev().map(|start| Span {
            start,
            end: count.min(start + CHECK_AT_ONCE),
            kind: SpanKind::Unknown,
        }));
        let (mut guilty, mut innocent) = (0, 0);
        let mut bisecting = false;
        while let Some(span) = spans.pop() {
            let size = span.end - span.start;
            // So many suspects hold more than one guilty on average: a check would say nothing new.
            let is_hopeless = size > 1 && size * guilty > innocent + GOOD_FAITH;
            if is_hopeless && span.kind != SpanKind::False {
                spans.extend(span.halves(SpanKind::Unknown));
                continue;
            }
            let holds = match span.kind {
                SpanKind::False => false,
                SpanKind::Unknown | SpanKind::LeftHalf => {
                    self.progress.pairing()?;
                    self.progress.counts.bisect_checks += u32::from(bisecting);
                    suspects.hold(self.backend, message, span)
                }
            };
            if holds {
                for &index in &suspects.candidates[span.start..span.end] {
                    candidates[index].valid = true;
                }
                innocent += size;
                if let (SpanKind::LeftHalf, Some(right)) = (span.kind, spans.last_mut()) {
                    right.kind = SpanKind::False;
                }
                continue;
            }
            if !bisecting {
                bisecting = true;
                self.progress.enter(Phase::Bisect);
            }
            if size == 1 {
                candidates[suspects.candidates[span.start]].fault =
                    Some(RejectReason::InvalidSignature);
                guilty += 1;
            } else {
                spans.extend(span.halves(SpanKind::LeftHalf));
            }
        }
        suspects.spans = spans;
        Ok(())
    }

    /// Says of a false candidate that another one has its position, if that is so.
    fn settle_conflicts(&mut self) {
        let candidates = &mut self.scratch.candidates;
        let mut settled = Bits::empty(self.group.bits_len);
        for single in candidates.iter().filter(|it| it.valid && !it.is_child()) {
            settled = settled.union(&single.bits);
        }
        for loser in candidates.iter_mut().filter(|it| it.contested) {
            let false_one = loser.fault == Some(RejectReason::InvalidSignature);
            if false_one && !loser.bits.intersection(&settled).is_empty() {
                loser.fault = Some(RejectReason::Conflict);
            }
        }
    }
}

impl Span {
    /// The right half, of which nothing is known, and the left half, in the order of the stack.
    fn halves(self, left: SpanKind) -> [Self; 2] {
        let middle = self.start.midpoint(self.end);
        let right = Self { start: middle, kind: SpanKind::Unknown, ..self };
        [right, Self { end: middle, kind: left, ..self }]
    }
}

impl<B: Backend> Suspects<B> {
    /// Whether all suspects of a span are valid.
    fn hold(&self, backend: &B, message: &B::Message, span: Span) -> bool {
        let Span { start, end, .. } = span;
        backend.all_hold(
            message,
            &self.keys[start..end],
            &self.signatures[start..end],
            &self.blinds[start * blinds::BLIND_BYTES..end * blinds::BLIND_BYTES],
        )
    }
}
