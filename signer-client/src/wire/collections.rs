//! Collections of variable length: bit fields and byte strings as hexadecimal text, lists.
//!
//! The length limits are part of a type because they shape the Merkle tree, and are enforced
//! while reading, so that hashing can't fail later.

use std::{fmt, marker::PhantomData};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Reads `0x`-optional hexadecimal text of any even length.
fn decode_hex<E: de::Error>(text: &str) -> Result<Vec<u8>, E> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    // `const_hex` would strip a second prefix, in either case.
    if matches!(digits.as_bytes(), [_, b'x' | b'X', ..]) {
        return Err(E::custom("invalid hexadecimal text"));
    }
    const_hex::decode(digits).map_err(|_| E::custom("invalid hexadecimal text"))
}

struct HexVisitor;

impl de::Visitor<'_> for HexVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes as hexadecimal text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<u8>, E> {
        decode_hex(text)
    }
}

/// Bytes of any length, as hexadecimal text. Its hash tree root is that of a progressive byte
/// list (EIP-7916).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl Serialize for HexBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode_prefixed(&self.0))
    }
}

impl<'de> Deserialize<'de> for HexBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor).map(Self)
    }
}

/// At most `LIMIT` bytes, as hexadecimal text (SSZ `ByteList[LIMIT]`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteList<const LIMIT: usize>(Vec<u8>);

impl<const LIMIT: usize> ByteList<LIMIT> {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<const LIMIT: usize> TryFrom<Vec<u8>> for ByteList<LIMIT> {
    type Error = TooLong;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TooLong> {
        TooLong::check("bytes", LIMIT, bytes.len())?;
        Ok(Self(bytes))
    }
}

impl<const LIMIT: usize> Serialize for ByteList<LIMIT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode_prefixed(&self.0))
    }
}

impl<'de, const LIMIT: usize> Deserialize<'de> for ByteList<LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor)?.try_into().map_err(de::Error::custom)
    }
}

/// A collection is longer than its SSZ limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {limit} {unit}, found {found}")]
pub struct TooLong {
    /// What is counted.
    pub unit: &'static str,
    /// The most that is allowed.
    pub limit: usize,
    /// How many there are.
    pub found: usize,
}

impl TooLong {
    fn check(unit: &'static str, limit: usize, found: usize) -> Result<(), Self> {
        if found > limit { Err(Self { unit, limit, found }) } else { Ok(()) }
    }
}

/// Why bytes are not an SSZ bitlist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitlistError {
    /// There is no byte, or the last one is zero.
    #[error("bitlist without its delimiter bit")]
    MissingDelimiter,
    /// There are more bits than the type allows.
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// A list of at most `LIMIT` bits (SSZ `Bitlist[LIMIT]`), travelling as the hexadecimal text of
/// its SSZ bytes: first bit lowest, one delimiter bit after the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitlist<const LIMIT: usize> {
    /// Without the delimiter: `len` bits in `len.div_ceil(8)` bytes, the rest zero.
    bytes: Vec<u8>,
    len: usize,
}

impl<const LIMIT: usize> Bitlist<LIMIT> {
    /// Reads the SSZ bytes, delimiter included.
    pub fn from_ssz_bytes(mut bytes: Vec<u8>) -> Result<Self, BitlistError> {
        let last = *bytes.last().ok_or(BitlistError::MissingDelimiter)?;
        let delimiter = last.checked_ilog2().ok_or(BitlistError::MissingDelimiter)?;
        let len = (bytes.len() - 1) * 8 + delimiter as usize;
        TooLong::check("bits", LIMIT, len)?;
        bytes.pop();
        if delimiter > 0 {
            bytes.push(last ^ (1 << delimiter));
        }
        Ok(Self { bytes, len })
    }

    /// A list of these bits.
    pub fn from_bits(bits: &[bool]) -> Result<Self, TooLong> {
        TooLong::check("bits", LIMIT, bits.len())?;
        let mut bytes = vec![0; bits.len().div_ceil(8)];
        for (index, _) in bits.iter().enumerate().filter(|(_, bit)| **bit) {
            bytes[index / 8] |= 1 << (index % 8);
        }
        Ok(Self { bytes, len: bits.len() })
    }

    /// The SSZ bytes, delimiter included.
    pub fn to_ssz_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(self.len / 8 + 1, 0);
        bytes[self.len / 8] |= 1 << (self.len % 8);
        bytes
    }

    /// The bits without delimiter, first bit lowest, padded with zero bits to whole bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of bits.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no bit at all.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const LIMIT: usize> Serialize for Bitlist<LIMIT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode_prefixed(self.to_ssz_bytes()))
    }
}

impl<'de, const LIMIT: usize> Deserialize<'de> for Bitlist<LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_ssz_bytes(deserializer.deserialize_str(HexVisitor)?).map_err(de::Error::custom)
    }
}

/// A fixed number of bits (SSZ `Bitvector[N]`), travelling as hexadecimal text, first bit lowest.
///
/// How many bits there must be depends on the preset: check it with [`Bitvector::has_bits`]
/// before hashing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitvector(pub Vec<u8>);

impl Bitvector {
    /// Whether these bytes are exactly `count` bits: the right number of bytes, padding zero.
    pub fn has_bits(&self, count: usize) -> bool {
        let padding = count.div_ceil(8) * 8 - count;
        self.0.len() == count.div_ceil(8)
            && self
                .0
                .last()
                .is_none_or(|last| padding == 0 || last.leading_zeros() as usize >= padding)
    }
}

impl Serialize for Bitvector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&const_hex::encode_prefixed(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bitvector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor).map(Self)
    }
}

/// At most `LIMIT` elements (SSZ `List[T, LIMIT]`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T, const LIMIT: usize>(Vec<T>);

impl<T, const LIMIT: usize> List<T, LIMIT> {
    /// The elements.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The elements, owned.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const LIMIT: usize> Default for List<T, LIMIT> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const LIMIT: usize> TryFrom<Vec<T>> for List<T, LIMIT> {
    type Error = TooLong;

    fn try_from(elements: Vec<T>) -> Result<Self, TooLong> {
        TooLong::check("elements", LIMIT, elements.len())?;
        Ok(Self(elements))
    }
}

impl<'de, T: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for List<T, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements::<T, LIMIT>(PhantomData)).map(Self)
    }
}

/// Reads a list and stops at the first element too many: a longer list is not worth its memory.
struct Elements<T, const LIMIT: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const LIMIT: usize> de::Visitor<'de> for Elements<T, LIMIT> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {LIMIT} elements")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut source: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = source.next_element()? {
            TooLong::check("elements", LIMIT, elements.len() + 1).map_err(de::Error::custom)?;
            elements.push(element);
        }
        Ok(elements)
    }
}

/// Any number of elements (SSZ `ProgressiveList[T]`, EIP-7916).
///
/// The type has no limit, reading it has: [`MAX_ELEMENTS_READ`]. An element may be much smaller in
/// JSON than in memory (`""`, an empty transaction), so without it a body of 32 MiB could take a
/// gigabyte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ProgressiveList<T>(pub Vec<T>);

/// The most elements of a [`ProgressiveList`] that are read: 2^20, the limit that a payload's
/// transactions had before Gloas (`MAX_TRANSACTIONS_PER_PAYLOAD`). No other list of the wire was
/// allowed more.
pub const MAX_ELEMENTS_READ: usize = 1 << 20;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for ProgressiveList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Elements::<T, MAX_ELEMENTS_READ>(PhantomData)).map(Self)
    }
}

impl<T> Default for ProgressiveList<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitlists_keep_bits_and_length() {
        for length in 0..40 {
            let bits: Vec<bool> = (0..length).map(|index| index % 3 == 0).collect();
            let list = Bitlist::<64>::from_bits(&bits).unwrap();
            assert_eq!(list.len(), length);
            assert_eq!(Bitlist::from_ssz_bytes(list.to_ssz_bytes()), Ok(list.clone()));
            let json = serde_json::to_string(&list).unwrap();
            assert_eq!(serde_json::from_str::<Bitlist<64>>(&json).unwrap(), list);
        }
        assert_eq!(Bitlist::<64>::from_ssz_bytes(vec![0b1101]).unwrap().as_bytes(), [0b101]);
        assert_eq!(Bitlist::<64>::from_ssz_bytes(vec![0xff, 1]).unwrap().as_bytes(), [0xff]);
    }

    #[test]
    fn bitlists_without_delimiter_or_too_long_are_refused() {
        for bytes in [vec![], vec![0], vec![1, 0]] {
            let result = Bitlist::<64>::from_ssz_bytes(bytes);
            assert_eq!(result, Err(BitlistError::MissingDelimiter));
        }
        assert_eq!(
            Bitlist::<8>::from_ssz_bytes(vec![0, 2]),
            Err(BitlistError::TooLong(TooLong { unit: "bits", limit: 8, found: 9 }))
        );
        assert!(Bitlist::<8>::from_ssz_bytes(vec![0, 1]).is_ok());
    }

    #[test]
    fn bitvectors_need_their_bytes_and_zero_padding() {
        assert!(Bitvector(vec![0x0f]).has_bits(4));
        assert!(!Bitvector(vec![0x1f]).has_bits(4));
        assert!(Bitvector(vec![0xff; 8]).has_bits(64));
        assert!(!Bitvector(vec![0xff; 7]).has_bits(64));
        assert!(!Bitvector(vec![0; 9]).has_bits(64));
    }

    #[test]
    fn lists_stop_at_their_limit() {
        assert_eq!(serde_json::from_str::<List<u8, 3>>("[1,2,3]").unwrap().as_slice(), [1, 2, 3]);
        let error = serde_json::from_str::<List<u8, 3>>("[1,2,3,4]").unwrap_err().to_string();
        assert!(error.starts_with("expected at most 3 elements, found 4"), "{error}");
    }

    #[test]
    fn lists_without_limit_are_not_read_without_limit() {
        let most = MAX_ELEMENTS_READ;
        let list = |length: usize| format!("[{}\"\"]", "\"\",".repeat(length - 1));
        let read = serde_json::from_str::<ProgressiveList<HexBytes>>(&list(most)).unwrap();
        assert_eq!(read.0.len(), most);
        let error = serde_json::from_str::<ProgressiveList<HexBytes>>(&list(most + 1)).unwrap_err();
        assert!(error.to_string().contains("found 1048577"), "{error}");
    }

    #[test]
    fn byte_strings_are_read_like_other_hexadecimal_text() {
        for json in ["\"0x0aFF\"", "\"0aff\""] {
            assert_eq!(serde_json::from_str::<HexBytes>(json).unwrap().0, [0x0a, 0xff]);
        }
        assert_eq!(serde_json::from_str::<HexBytes>("\"0x\"").unwrap(), HexBytes::default());
        for json in ["\"0x0\"", "\"0xzz\"", "\"0x0x00\"", "\"0X00\"", "5", "null"] {
            assert!(serde_json::from_str::<HexBytes>(json).is_err(), "{json}");
        }
        assert!(serde_json::from_str::<ByteList<2>>("\"0x000000\"").is_err());
        assert_eq!(serde_json::to_string(&HexBytes(vec![1])).unwrap(), "\"0x01\"");
    }
}
