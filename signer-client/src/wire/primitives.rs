//! Fixed-size bytes and integers in the encodings of the signing API.
//!
//! Bytes travel as hexadecimal text: written in lower case with `0x`, read in any case with or
//! without the prefix. Integers travel as decimal strings and are read as strings or JSON integers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not the hexadecimal form of a fixed-size value. Never carries the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// The number of digits does not fit the value's size.
    #[error("expected {expected} bytes of hexadecimal text, found {found_digits} digits")]
    WrongLength {
        /// Size of the value in bytes.
        expected: usize,
        /// Number of hexadecimal digits after the prefix.
        found_digits: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("invalid hexadecimal text")]
    InvalidDigit,
}

/// Decodes exactly `N` bytes; with `pad`, shorter text is padded with zeros on the left.
fn decode_fixed<const N: usize>(text: &str, pad: bool) -> Result<[u8; N], HexError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let wrong_length = HexError::WrongLength { expected: N, found_digits: digits.len() };
    if !digits.len().is_multiple_of(2) || digits.len() > 2 * N || (!pad && digits.len() != 2 * N) {
        return Err(wrong_length);
    }
    let mut bytes = [0; N];
    // `const_hex` would strip a second prefix, in either case.
    if matches!(digits.as_bytes(), [_, b'x' | b'X', ..]) {
        return Err(HexError::InvalidDigit);
    }
    const_hex::decode_to_slice(digits, &mut bytes[N - digits.len() / 2..])
        .map_err(|_| HexError::InvalidDigit)?;
    Ok(bytes)
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $size:literal, pad: $pad:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// Size in bytes.
            pub const SIZE: usize = $size;
            /// All bytes zero.
            pub const ZERO: Self = Self([0; $size]);

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $size] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&const_hex::encode_prefixed(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                decode_fixed(text, $pad).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&const_hex::encode_prefixed(self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(formatter, "{} bytes as hexadecimal text", $size)
                    }

                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

fixed_bytes!(
    /// A hash tree root or block hash, 32 bytes. Shorter text is padded with zeros on the left, as the
    /// reference signer does.
    Root, 32, pad: true
);
fixed_bytes!(
    /// A fork version, 4 bytes (consensus-specs, phase0 `Version`).
    ForkVersion, 4, pad: false
);
fixed_bytes!(
    /// An execution layer address, 20 bytes.
    Address, 20, pad: false
);
fixed_bytes!(
    /// A compressed BLS12-381 public key in G1, 48 bytes. Not checked to be a point of the curve.
    PublicKey, 48, pad: false
);
fixed_bytes!(
    /// A compressed BLS12-381 signature in G2, 96 bytes. Not checked to be a point of the curve.
    Signature, 96, pad: false
);
fixed_bytes!(
    /// A compressed KZG commitment to a blob, 48 bytes. Not checked to be a point of the curve.
    KzgCommitment, 48, pad: false
);
fixed_bytes!(
    /// The bloom filter of an execution payload's logs, 256 bytes.
    LogsBloom, 256, pad: false
);

macro_rules! quoted_integer {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(DecimalU64).map(Self)
            }
        }
    };
}

quoted_integer!(
    /// A slot number (consensus-specs, phase0 `Slot`).
    Slot
);
quoted_integer!(
    /// An epoch number (consensus-specs, phase0 `Epoch`).
    Epoch
);
quoted_integer!(
    /// Any other unsigned 64-bit integer that travels as a decimal string.
    QuotedU64
);

/// An unsigned 256-bit integer that travels as a decimal string, as its 32 bytes with the lowest
/// first (SSZ `uint256`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uint256(pub [u8; 32]);

impl Uint256 {
    /// Replaces `self` by `10 * self + digit`; `None` if that does not fit.
    fn push_digit(&mut self, digit: u8) -> Option<()> {
        let mut carry = u16::from(digit);
        for byte in &mut self.0 {
            let sum = u16::from(*byte) * 10 + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        (carry == 0).then_some(())
    }

    /// Divides `self` by ten and returns the remainder.
    fn pop_digit(&mut self) -> u8 {
        let mut remainder = 0_u16;
        for byte in self.0.iter_mut().rev() {
            let part = (remainder << 8) | u16::from(*byte);
            *byte = (part / 10).to_le_bytes()[0];
            remainder = part % 10;
        }
        remainder.to_le_bytes()[0]
    }
}

impl fmt::Display for Uint256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut digits = Vec::new();
        while digits.is_empty() || rest != Self::default() {
            digits.push(char::from(b'0' + rest.pop_digit()));
        }
        formatter.write_str(&digits.iter().rev().collect::<String>())
    }
}

impl Serialize for Uint256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Uint256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimal;
        impl de::Visitor<'_> for Decimal {
            type Value = Uint256;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an unsigned 256-bit integer as a decimal string")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Uint256, E> {
                let mut integer = Uint256::default();
                integer.0[..8].copy_from_slice(&number.to_le_bytes());
                Ok(integer)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Uint256, E> {
                if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(E::custom("expected an unsigned decimal integer"));
                }
                let mut integer = Uint256::default();
                for byte in text.bytes() {
                    integer
                        .push_digit(byte - b'0')
                        .ok_or_else(|| E::custom("integer does not fit in 256 bits"))?;
                }
                Ok(integer)
            }
        }
        deserializer.deserialize_any(Decimal)
    }
}

struct DecimalU64;

impl de::Visitor<'_> for DecimalU64 {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an unsigned 64-bit integer, as a decimal string or a number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        // `u64::from_str` would take a leading plus sign.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(E::custom("expected an unsigned decimal integer"));
        }
        text.parse().map_err(|_| E::custom("integer does not fit in 64 bits"))
    }
}

#[cfg(test)]
mod tests;
