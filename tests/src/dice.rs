//! Random choices that are the same in every run.

/// A small generator of numbers that look random and are the same in every run.
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `bound`.
    pub fn roll(&mut self, bound: u64) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound
    }

    /// A root byte from 1 to `kinds`.
    pub fn root(&mut self, kinds: u8) -> u8 {
        u8::try_from(1 + self.roll(kinds.into())).unwrap_or(u8::MAX)
    }
}
