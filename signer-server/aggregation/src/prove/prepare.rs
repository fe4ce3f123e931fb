//! From the caller's entries to candidates: well-formed, with decoded signatures and valid keys, in
//! an order that depends on nothing but their content.
//!
//! A bad entry is put aside with its reason and changes nothing for the others.

use core::cmp::Ordering;

use crate::{
    backend::Backend,
    bits::{Bits, BitsLen},
    cache::{DecodedSignature, PointCache, ValidKey},
    checkpoint::{Checkpoint, Phase, StopReason},
    group::{Child, KeyBytes, SignatureBytes, Single},
    options::VerifyMode,
    outcome::{Entry, RejectReason, Rejected},
    scratch::{Candidate, KeyState},
};

use super::Run;

impl<B: Backend, C: PointCache<B>, K: Checkpoint> Run<'_, B, C, K> {
    pub(super) fn prepare(&mut self) -> Result<(), StopReason> {
        self.progress.enter(Phase::Decode);
        self.collect();
        if self.options.verify != VerifyMode::None {
            self.require_keys()?;
        }
        self.merge_duplicates();
        self.decode()?;
        self.find_owners();
        Ok(())
    }

    /// Makes a candidate of each entry whose positions make sense.
    fn collect(&mut self) {
        let (group, len) = (self.group, self.group.bits_len);
        self.progress.counts.entries =
            u32::try_from(group.singles.len() + group.children.len()).unwrap_or(u32::MAX);
        let singles =
            (0..).map(Entry::Single).zip(group.singles.iter().map(|it| read_single(it, len)));
        let children =
            (0..).map(Entry::Child).zip(group.children.iter().map(|it| read_child(it, len)));
        for (entry, read) in singles.chain(children) {
            match read {
                Ok((bits, bytes)) => self.scratch.candidates.push(Candidate {
                    entry,
                    bits,
                    bytes,
                    decoded: None,
                    fault: None,
                    contested: false,
                    valid: false,
                }),
                Err(reason) => self.rejected.push(Rejected { entry, reason }),
            }
        }
        self.scratch.candidates.sort_unstable_by(canonical);
    }

    /// Puts aside what cannot be verified, because a position has no valid key or because the
    /// positions of a single belong to several.
    fn require_keys(&mut self) -> Result<(), StopReason> {
        self.scratch.keys.clear();
        let positions = usize::from(self.group.bits_len.get());
        self.scratch.keys.resize_with(positions, || KeyState::Unread);
        for index in 0..self.scratch.candidates.len() {
            let candidate = &self.scratch.candidates[index];
            let (bits, is_child) = (candidate.bits, candidate.is_child());
            if bits.count() > 1 {
                // Looking up to 2,048 keys up takes about as long as decoding one.
                self.progress.step()?;
            }
            let mut fault = None;
            for position in bits.iter() {
                if let Err(reason) = self.read_key(position)? {
                    fault = Some(reason);
                    break;
                }
            }
            let mut keys = bits.iter().map(|position| self.group.keys.get(position));
            let first = keys.next();
            if fault.is_none() && !is_child && keys.any(|key| Some(key) != first) {
                fault = Some(RejectReason::Conflict);
            }
            self.scratch.candidates[index].fault = fault;
        }
        Ok(())
    }

    /// Decodes the key of a position unless that has been done.
    fn read_key(&mut self, position: u16) -> Result<Result<(), RejectReason>, StopReason> {
        let place = usize::from(position);
        if matches!(self.scratch.keys[place], KeyState::Unread) {
            self.scratch.keys[place] = match self.group.keys.get(position) {
                KeyBytes::Missing => KeyState::Bad(RejectReason::PubkeyMissing),
                KeyBytes::Unreadable => KeyState::Bad(RejectReason::PubkeyInvalid),
                KeyBytes::Compressed(bytes) => match self.decode_key(&bytes)? {
                    Some(key) => KeyState::Valid(key),
                    None => KeyState::Bad(RejectReason::PubkeyInvalid),
                },
            };
        }
        Ok(match self.scratch.keys[place] {
            KeyState::Bad(reason) => Err(reason),
            KeyState::Unread | KeyState::Valid(_) => Ok(()),
        })
    }

    fn decode_key(&mut self, bytes: &[u8; 48]) -> Result<Option<ValidKey<B>>, StopReason> {
        if let Some(key) = self.cache.key(bytes) {
            self.progress.counts.cache_hits += 1;
            return Ok(Some(key));
        }
        self.progress.step()?;
        self.progress.counts.decompressed += 1;
        let key = self.backend.key(bytes).map(ValidKey);
        if let Some(key) = key {
            self.cache.keep_key(bytes, key);
        }
        Ok(key)
    }

    /// Lets each signature stand for each position once: for the first in order that claims it.
    fn merge_duplicates(&mut self) {
        let (candidates, order) = (&mut self.scratch.candidates, &mut self.scratch.by_signature);
        order.clear();
        order.extend(singles(candidates).map(|(index, _)| index));
        order.sort_unstable_by(|&a, &b| {
            candidates[a].bytes.cmp(&candidates[b].bytes).then(a.cmp(&b))
        });
        // Whole sets at a time: what all singles claim together may be a million positions.
        let mut claimed = Bits::empty(self.group.bits_len);
        let mut before = None;
        for &index in &*order {
            let candidate = &mut candidates[index];
            if before != Some(candidate.bytes) {
                before = Some(candidate.bytes);
                claimed = Bits::empty(self.group.bits_len);
            }
            let bits = candidate.bits;
            candidate.bits = bits.difference(&claimed);
            claimed = claimed.union(&bits);
        }
        for candidate in candidates.iter_mut().filter(|candidate| candidate.is_live()) {
            if candidate.bits.is_empty() {
                candidate.fault = Some(RejectReason::Duplicate);
            }
        }
        // Equal children are neighbours. A run of them has the same keys, so the same faults.
        for later in 1..candidates.len() {
            let (before, after) = candidates.split_at_mut(later);
            let (kept, again) = (&before[later - 1], &mut after[0]);
            let equal = kept.bits == again.bits && kept.bytes == again.bytes;
            if kept.is_child() && again.is_child() && again.is_live() && equal {
                again.fault = Some(RejectReason::Duplicate);
            }
        }
    }

    /// Decodes the signatures, and looks whether they are in the group unless only their sum is
    /// going to be verified.
    fn decode(&mut self) -> Result<(), StopReason> {
        let needs_group = self.options.verify != VerifyMode::Aggregate;
        for index in 0..self.scratch.candidates.len() {
            if !self.scratch.candidates[index].is_live() {
                continue;
            }
            let bytes = self.scratch.candidates[index].bytes;
            match self.decode_signature(&bytes)? {
                Ok(decoded) => self.scratch.candidates[index].decoded = Some(decoded),
                Err(reason) => self.scratch.candidates[index].fault = Some(reason),
            }
            if needs_group {
                self.require_group(index)?;
            }
        }
        Ok(())
    }

    fn decode_signature(
        &mut self,
        bytes: &[u8; 96],
    ) -> Result<Result<DecodedSignature<B>, RejectReason>, StopReason> {
        if let Some(decoded) = self.cache.signature(bytes) {
            self.progress.counts.cache_hits += 1;
            return Ok(Ok(decoded));
        }
        self.progress.step()?;
        self.progress.counts.decompressed += 1;
        let decoded =
            self.backend.signature(bytes).map(|point| DecodedSignature { point, in_group: false });
        if let Ok(decoded) = decoded {
            self.cache.keep_signature(bytes, decoded);
        }
        Ok(decoded)
    }

    /// Puts a candidate aside if its signature is outside the group.
    pub(super) fn require_group(&mut self, index: usize) -> Result<(), StopReason> {
        let candidate = &self.scratch.candidates[index];
        let Some(decoded) = candidate.decoded.filter(|decoded| !decoded.in_group) else {
            return Ok(());
        };
        if !candidate.is_live() {
            return Ok(());
        }
        self.progress.step()?;
        let in_group = self.backend.in_group(&decoded.point);
        let candidate = &mut self.scratch.candidates[index];
        if in_group {
            let decoded = DecodedSignature { in_group, ..decoded };
            candidate.decoded = Some(decoded);
            self.cache.keep_signature(&candidate.bytes, decoded);
        } else {
            candidate.fault = Some(RejectReason::NotInGroup);
        }
        Ok(())
    }

    /// Finds the single that stands for each position: the first that is not known to be wrong.
    /// Two signatures for one position contest it, since only one can be good.
    pub(super) fn find_owners(&mut self) {
        let (candidates, owners) = (&mut self.scratch.candidates, &mut self.scratch.owners);
        owners.clear();
        owners.resize(usize::from(self.group.bits_len.get()), None);
        for index in 0..candidates.len() {
            if candidates[index].is_child() || !candidates[index].is_live() {
                continue;
            }
            let bits = candidates[index].bits;
            for position in bits.iter() {
                match &mut owners[usize::from(position)] {
                    Some(owner) => {
                        candidates[*owner].contested = true;
                        candidates[index].contested = true;
                    }
                    empty => *empty = Some(index),
                }
            }
        }
    }
}

fn read_single(single: &Single, len: BitsLen) -> Result<(Bits, [u8; 96]), RejectReason> {
    let mut bits = Bits::empty(len);
    for &position in single.positions.as_slice() {
        if position >= len.get() {
            return Err(RejectReason::PositionOutOfRange);
        }
        if bits.contains(position) {
            return Err(RejectReason::Duplicate);
        }
        bits.insert(position);
    }
    if bits.is_empty() {
        return Err(RejectReason::PositionOutOfRange);
    }
    Ok((bits, read_signature(single.signature)?))
}

fn read_child(child: &Child, len: BitsLen) -> Result<(Bits, [u8; 96]), RejectReason> {
    let bits = child.bits.filter(|bits| bits.len() == len).ok_or(RejectReason::ChildBitsLength)?;
    if bits.is_empty() {
        return Err(RejectReason::ChildEmpty);
    }
    Ok((bits, read_signature(child.signature)?))
}

fn read_signature(signature: SignatureBytes) -> Result<[u8; 96], RejectReason> {
    match signature {
        SignatureBytes::Compressed(bytes) => Ok(bytes),
        SignatureBytes::WrongLength => Err(RejectReason::BadLength),
        SignatureBytes::Unreadable => Err(RejectReason::BadEncoding),
    }
}

/// Singles before children, then by the SSZ bytes of the positions, then by the signature. The place
/// in the caller's list decides only between entries that are the same.
fn canonical<B: Backend>(a: &Candidate<B>, b: &Candidate<B>) -> Ordering {
    a.is_child()
        .cmp(&b.is_child())
        .then_with(|| a.bits.cmp_ssz(&b.bits))
        .then_with(|| a.bytes.cmp(&b.bytes))
        .then_with(|| a.entry.cmp(&b.entry))
}

/// The live singles, with their places.
fn singles<B: Backend>(
    candidates: &[Candidate<B>],
) -> impl Iterator<Item = (usize, &Candidate<B>)> {
    candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.is_live() && !candidate.is_child())
}
