//! Multiples of one message point, for the case that many keys sign it.
//!
//! A signature is point times scalar. For a single one blst doubles the point 64 times and adds
//! between. All those doublings depend on the point only, so where hundreds of keys sign the same
//! root they are worth making once: then a signature is [`WINDOWS`] additions of points that lie
//! ready, and costs less than half.
//!
//! The scalar is secret, so nothing may depend on it but values: every signature does the same
//! additions in the same order, each entry of a window is read to choose one (the choice is by
//! masks, of the `subtle` crate), and blst's addition has no branches for equal, opposite or
//! missing points.

#[cfg(test)]
mod tests;

use blst::{blst_p2, blst_p2_affine};
use signer_client::wire::Signature;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{
    MessagePoint,
    curve::{self, Scalar, SecretSum},
};

/// Bits of the scalar that one addition deals with.
const WINDOW_BITS: usize = 5;

/// Windows of a scalar, which is below 2^255; the last takes the carry of the one before.
pub(super) const WINDOWS: usize = 255usize.div_ceil(WINDOW_BITS) + 1;

/// Points of one window: 1 to 16 times 2^(5 * window) times the message point. Digits are signed,
/// -15 to 16.
const ENTRIES: usize = 1 << (WINDOW_BITS - 1);

type Window = [blst_p2_affine; ENTRIES];

/// The ready table: 52 windows of 16 points, 160 KB. Nothing of it is secret.
pub(super) struct PointTable {
    windows: Box<[Window]>,
}

/// A table in the making.
pub(super) struct PointTableBuilder {
    windows: Vec<Window>,
    /// First entry of the next window.
    next: blst_p2,
}

impl PointTableBuilder {
    pub(super) fn new(point: &MessagePoint) -> Box<Self> {
        Box::new(Self { windows: Vec::with_capacity(WINDOWS), next: *point.as_blst() })
    }

    /// Makes the next `windows` windows. Gives the table once it is complete.
    pub(super) fn advance(mut self: Box<Self>, windows: usize) -> Result<PointTable, Box<Self>> {
        for _ in 0..windows.min(WINDOWS - self.windows.len()) {
            let (window, next) = curve::multiples(&self.next);
            self.windows.push(window);
            self.next = next;
        }
        if self.windows.len() < WINDOWS {
            return Err(self);
        }
        Ok(PointTable { windows: self.windows.into_boxed_slice() })
    }
}

impl PointTable {
    /// Multiplies the message point with a secret scalar: the same signature as the point's own,
    /// for less than half of the time.
    pub(super) fn sign(&self, scalar: &Scalar) -> Signature {
        let mut sum = SecretSum::zero();
        let mut chosen = blst_p2_affine::default();
        let mut digits = Digits::of(scalar);
        for window in &self.windows {
            let (magnitude, negative) = digits.next_digit();
            choose(window, magnitude, &mut chosen);
            sum.add(&mut chosen, negative);
        }
        curve::wipe(&mut chosen.x);
        curve::wipe(&mut chosen.y);
        Signature(sum.compressed())
    }
}

/// Copies the entry of this number, counted from 1, or for 0 the point at infinity.
fn choose(window: &Window, number: u8, chosen: &mut blst_p2_affine) {
    *chosen = blst_p2_affine::default();
    for (entry, candidate) in window.iter().zip(1_u8..) {
        let is_it = number.ct_eq(&candidate);
        copy_if(is_it, &entry.x, &mut chosen.x);
        copy_if(is_it, &entry.y, &mut chosen.y);
    }
}

fn copy_if(condition: Choice, from: &blst::blst_fp2, to: &mut blst::blst_fp2) {
    for (from, to) in from.fp.iter().zip(&mut to.fp) {
        for (from, to) in from.l.iter().zip(&mut to.l) {
            to.conditional_assign(from, condition);
        }
    }
}

/// The signed digits of a scalar, lowest first.
struct Digits<'a> {
    scalar: &'a Scalar,
    /// First bit of the next digit.
    bit: usize,
    carry: u8,
}

impl<'a> Digits<'a> {
    fn of(scalar: &'a Scalar) -> Self {
        Self { scalar, bit: 0, carry: 0 }
    }

    /// Magnitude, 0 to 16, and whether the digit is negative.
    fn next_digit(&mut self) -> (u8, bool) {
        const BASE: u8 = 1 << WINDOW_BITS;
        let byte = |index: usize| u16::from(self.scalar.get(index).copied().unwrap_or(0));
        let (index, shift) = (self.bit / 8, self.bit % 8);
        let two_bytes = byte(index) | (byte(index + 1) << 8);
        let raw = (two_bytes >> shift).to_le_bytes()[0] & (BASE - 1);
        self.bit += WINDOW_BITS;
        // Above 16 the digit becomes what is missing to 32, and the next digit gets the 32.
        let value = raw + self.carry;
        self.carry = (value + BASE / 2 - 1) >> WINDOW_BITS;
        let mask = self.carry.wrapping_neg();
        let magnitude = (value & !mask) | (BASE.wrapping_sub(value) & mask);
        (magnitude, self.carry == 1)
    }
}
