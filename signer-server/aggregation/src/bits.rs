//! Which positions of a committee signed: SSZ bitlists and bitvectors of at most
//! [`MAX_POSITIONS`] bits, kept in place so that sets of positions cost no allocation.

use alloc::vec::Vec;
use core::{cmp::Ordering, fmt};

/// Most positions of one group: `MAX_VALIDATORS_PER_COMMITTEE` (consensus-specs, phase0, preset),
/// which is above the 512 of a sync committee or a payload timeliness committee.
pub const MAX_POSITIONS: u16 = 2048;

const WORDS: usize = MAX_POSITIONS as usize / 64;

/// How many positions a group has: 1 to [`MAX_POSITIONS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitsLen(u16);

impl BitsLen {
    /// `None` for 0 and for more than [`MAX_POSITIONS`].
    pub fn new(positions: u64) -> Option<Self> {
        let positions = u16::try_from(positions).ok()?;
        (1..=MAX_POSITIONS).contains(&positions).then_some(Self(positions))
    }

    /// The number of positions.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// A set of positions below a length.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    words: [u64; WORDS],
    len: BitsLen,
}

impl Bits {
    /// No position.
    pub fn empty(len: BitsLen) -> Self {
        Self { words: [0; WORDS], len }
    }

    /// Reads an SSZ bitlist, whose highest set bit tells its length. `None` if there is no such bit
    /// in the last byte, or if the length is no [`BitsLen`].
    pub fn from_ssz_bitlist(bytes: &[u8]) -> Option<Self> {
        let (&last, whole) = bytes.split_last()?;
        let high = last.checked_ilog2()?;
        let len = BitsLen::new((whole.len() as u64).checked_mul(8)? + u64::from(high))?;
        let mut bits = Self::empty(len);
        bits.fill(bytes);
        bits.remove(len.get());
        Some(bits)
    }

    /// Reads an SSZ bitvector of `len` bits. `None` if the number of bytes is another one, or if a
    /// bit behind the last position is set.
    pub fn from_ssz_bitvector(bytes: &[u8], len: BitsLen) -> Option<Self> {
        if bytes.len() != usize::from(len.get()).div_ceil(8) {
            return None;
        }
        let mut bits = Self::empty(len);
        bits.fill(bytes);
        bits.iter().all(|position| position < len.get()).then_some(bits)
    }

    /// As an SSZ bitlist.
    pub fn to_ssz_bitlist(&self) -> Vec<u8> {
        let len = usize::from(self.len.get());
        let mut bytes = self.bytes(len / 8 + 1);
        if let Some(last) = bytes.last_mut() {
            *last |= 1 << (len % 8);
        }
        bytes
    }

    /// As an SSZ bitvector.
    pub fn to_ssz_bitvector(&self) -> Vec<u8> {
        self.bytes(usize::from(self.len.get()).div_ceil(8))
    }

    /// How many positions there are, set or not.
    pub fn len(&self) -> BitsLen {
        self.len
    }

    /// Whether no position is set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// How many positions are set.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Whether a position is set; false behind the end.
    pub fn contains(&self, position: u16) -> bool {
        let (word, mask) = place(position);
        self.words.get(word).is_some_and(|word| word & mask != 0)
    }

    /// Sets a position. Positions from the length on are left out.
    pub fn insert(&mut self, position: u16) {
        if position < self.len.get() {
            let (word, mask) = place(position);
            self.words[word] |= mask;
        }
    }

    /// The set positions, upwards.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0u16..).step_by(64).zip(&self.words).flat_map(|(first, &word)| {
            core::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|&rest| rest != 0)
                .zip(core::iter::repeat(first))
                .map(|(rest, first)| {
                    // At most 63, so it fits.
                    #[expect(clippy::cast_possible_truncation, reason = "below 64")]
                    let bit = rest.trailing_zeros() as u16;
                    first + bit
                })
        })
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a | b)
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & b)
    }

    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.combine(other, |a, b| a & !b)
    }

    /// The order of the SSZ bytes of two sets of the same length.
    pub(crate) fn cmp_ssz(&self, other: &Self) -> Ordering {
        let bytes = |bits: &Self| bits.words.map(u64::swap_bytes);
        bytes(self).cmp(&bytes(other))
    }

    pub(crate) fn is_subset(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).all(|(a, b)| a & !b == 0)
    }

    fn combine(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut both = *self;
        for (word, other) in both.words.iter_mut().zip(&other.words) {
            *word = with(*word, *other);
        }
        both
    }

    fn fill(&mut self, bytes: &[u8]) {
        for (word, bytes) in self.words.iter_mut().zip(bytes.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
    }

    pub(crate) fn remove(&mut self, position: u16) {
        let (word, mask) = place(position);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !mask;
        }
    }

    fn bytes(&self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            self.words.iter().flat_map(|word| word.to_le_bytes()).take(count).collect();
        bytes.resize(count, 0);
        bytes
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} of {}: ", self.count(), self.len.get())?;
        formatter.debug_set().entries(self.iter()).finish()
    }
}

fn place(position: u16) -> (usize, u64) {
    (usize::from(position / 64), 1 << (position % 64))
}
