//! Fixed-size bytes and integers in the encodings of the Web3Signer API.
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
    if digits.len() % 2 != 0 || digits.len() > 2 * N || (!pad && digits.len() != 2 * N) {
        return Err(wrong_length);
    }
    let mut bytes = [0; N];
    // `const_hex` would strip a second prefix.
    if digits.starts_with("0x") {
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
    /// A hash tree root or block hash, 32 bytes. Shorter text is padded with zeros on the left, as
    /// Web3Signer does.
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
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_in_any_case_with_or_without_prefix() {
        let version = ForkVersion([0xab, 0, 0, 1]);
        for text in ["0xab000001", "AB000001", "0xAb000001"] {
            assert_eq!(text.parse(), Ok(version));
        }
        assert_eq!(version.to_string(), "0xab000001");
    }

    #[test]
    fn wrong_lengths_and_digits_are_refused() {
        for text in ["0x", "0xab0000", "0xab00000102", "0xab00000", "0Xab000001", "0x0xab00"] {
            assert!(text.parse::<ForkVersion>().is_err(), "{text}");
        }
        assert_eq!("0xzz000001".parse::<ForkVersion>(), Err(HexError::InvalidDigit));
    }

    #[test]
    fn short_roots_are_padded_on_the_left() {
        let mut expected = [0; 32];
        expected[31] = 7;
        assert_eq!("0x07".parse(), Ok(Root(expected)));
        assert_eq!("0x".parse(), Ok(Root::ZERO));
        assert!("00".repeat(33).parse::<Root>().is_err());
    }

    #[test]
    fn integers_are_read_as_string_or_number() {
        for json in ["\"5\"", "5", "\"005\""] {
            assert_eq!(serde_json::from_str::<Slot>(json).unwrap(), Slot(5));
        }
        assert_eq!(
            serde_json::from_str::<Epoch>("\"18446744073709551615\"").unwrap(),
            Epoch(u64::MAX)
        );
        for json in
            ["\"18446744073709551616\"", "-1", "\"-1\"", "1.5", "\"0x5\"", "\"+5\"", "\"\"", "null"]
        {
            assert!(serde_json::from_str::<Slot>(json).is_err(), "{json}");
        }
        assert_eq!(serde_json::to_string(&Slot(7)).unwrap(), "\"7\"");
    }
}
