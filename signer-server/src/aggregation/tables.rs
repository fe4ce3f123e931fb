//! Registered tables of public keys, so that a job need not carry them.
//!
//! A table is named by the SHA-256 of its bytes: a job that names one stays a function of its own
//! bytes, and nobody can change what a name stands for. What was not used for longest is dropped when
//! there is no more room.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use midslot_aggregation::{KeyBytes, KeyTable, MAX_POSITIONS};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

/// Bytes of one public key in a table.
const KEY_BYTES: usize = 48;

/// Most bytes of one table.
pub const MAX_TABLE_BYTES: usize = MAX_POSITIONS as usize * KEY_BYTES;

/// Most bytes of all tables together: 64 committees of the largest size, or about 250 of mainnet's.
const MAX_BYTES: usize = 64 * (MAX_TABLE_BYTES + TABLE_BYTES);

/// What a table takes beside its keys, in bytes: else the smallest ones would be the most costly.
const TABLE_BYTES: usize = 256;

/// The tables.
#[derive(Debug, Default)]
pub struct Tables(Mutex<Shelf>);

#[derive(Debug, Default)]
struct Shelf {
    tables: HashMap<[u8; 32], Kept>,
    /// The tables by their last use: a large one may take the place of hundreds of small ones.
    by_use: BTreeMap<u64, [u8; 32]>,
    bytes: usize,
    /// Counts uses.
    uses: u64,
}

#[derive(Debug)]
struct Kept {
    table: Arc<KeyTable>,
    last_use: u64,
}

/// What became of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Created,
    /// It was there.
    Known,
}

/// Why a table is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Its bytes have another hash than its name says.
    #[error("the SHA-256 of the body is not the one in the path")]
    OtherHash,
    /// It is not some public keys one after the other.
    #[error(
        "a table is 1 to {MAX_POSITIONS} public keys of 48 bytes each; the body has {found} bytes"
    )]
    Size {
        /// Its size in bytes.
        found: usize,
    },
}

impl Tables {
    /// Keeps a table: public keys one after the other, 48 bytes each, all zero where a position has
    /// none.
    ///
    /// # Errors
    /// When the bytes are no table, or not the one that was named.
    pub fn put(&self, hash: [u8; 32], body: &[u8]) -> Result<Put, TableError> {
        let (keys, rest) = body.as_chunks::<KEY_BYTES>();
        if keys.is_empty() || !rest.is_empty() || body.len() > MAX_TABLE_BYTES {
            return Err(TableError::Size { found: body.len() });
        }
        if <[u8; 32]>::from(Sha256::digest(body)) != hash {
            return Err(TableError::OtherHash);
        }
        let mut kept = self.0.lock();
        if kept.take(&hash).is_some() {
            return Ok(Put::Known);
        }
        let table = Arc::new(KeyTable(keys.iter().map(key).collect()));
        kept.put(hash, table);
        Ok(Put::Created)
    }

    /// The table of that hash.
    pub fn get(&self, hash: &[u8; 32]) -> Option<Arc<KeyTable>> {
        self.0.lock().take(hash)
    }

    /// How many tables there are.
    pub fn len(&self) -> usize {
        self.0.lock().tables.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Shelf {
    /// The table of that hash, which is used by that.
    fn take(&mut self, hash: &[u8; 32]) -> Option<Arc<KeyTable>> {
        let kept = self.tables.get_mut(hash)?;
        self.uses += 1;
        self.by_use.remove(&kept.last_use);
        self.by_use.insert(self.uses, *hash);
        kept.last_use = self.uses;
        Some(kept.table.clone())
    }

    /// Keeps a table that is not there yet.
    fn put(&mut self, hash: [u8; 32], table: Arc<KeyTable>) {
        let bytes = bytes_of(&table);
        while self.bytes + bytes > MAX_BYTES
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            if let Some(kept) = self.tables.remove(&oldest) {
                self.bytes -= bytes_of(&kept.table);
            }
        }
        self.uses += 1;
        self.bytes += bytes;
        self.by_use.insert(self.uses, hash);
        self.tables.insert(hash, Kept { table, last_use: self.uses });
    }
}

fn bytes_of(table: &KeyTable) -> usize {
    TABLE_BYTES + table.0.len() * KEY_BYTES
}

/// All zero is no point of the curve, so it can stand for a position without a key.
fn key(bytes: &[u8; KEY_BYTES]) -> KeyBytes {
    if *bytes == [0; KEY_BYTES] { KeyBytes::Missing } else { KeyBytes::Compressed(*bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(seed: u16, keys: usize) -> Vec<u8> {
        let mut bytes = vec![1; keys * KEY_BYTES];
        bytes[..2].copy_from_slice(&seed.to_be_bytes());
        bytes
    }

    fn hash(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }

    #[test]
    fn a_table_is_found_by_its_hash_and_zeros_are_no_key() {
        let tables = Tables::default();
        let mut body = table(7, 3);
        body[48..96].fill(0);
        assert_eq!(tables.put(hash(&body), &body), Ok(Put::Created));
        assert_eq!(tables.put(hash(&body), &body), Ok(Put::Known));
        let found = tables.get(&hash(&body)).unwrap();
        assert_eq!(found.0.len(), 3);
        assert_eq!(found.get(1), KeyBytes::Missing);
        assert_eq!(found.get(2), KeyBytes::Compressed([1; 48]));
        assert!(tables.get(&[0; 32]).is_none());
    }

    #[test]
    fn what_is_no_table_is_refused() {
        let tables = Tables::default();
        for bytes in [0, 47, 49, MAX_TABLE_BYTES + 48] {
            let body = vec![1; bytes];
            assert_eq!(tables.put(hash(&body), &body), Err(TableError::Size { found: bytes }));
        }
        assert_eq!(tables.put([0; 32], &[1; 48]), Err(TableError::OtherHash));
        assert!(tables.is_empty());
    }

    #[test]
    fn the_table_that_was_not_used_for_longest_makes_room() {
        let tables = Tables::default();
        let most = MAX_POSITIONS as usize;
        let body = |seed| table(seed, most);
        for seed in 0..64 {
            assert_eq!(tables.put(hash(&body(seed)), &body(seed)), Ok(Put::Created));
        }
        assert!(tables.get(&hash(&body(0))).is_some());
        assert_eq!(tables.put(hash(&body(64)), &body(64)), Ok(Put::Created));
        assert!(tables.get(&hash(&body(1))).is_none(), "the one after it is the oldest now");
        assert!(tables.get(&hash(&body(0))).is_some());
        assert_eq!(tables.len(), 64);
    }

    #[test]
    fn small_tables_count_for_what_they_take() {
        let tables = Tables::default();
        let small = |number: u32| {
            let mut body = table(0, 1);
            body[..4].copy_from_slice(&number.to_be_bytes());
            body
        };
        let most = MAX_BYTES / (TABLE_BYTES + KEY_BYTES);
        for number in 0..u32::try_from(most).unwrap() + 100 {
            let body = small(number);
            assert_eq!(tables.put(hash(&body), &body), Ok(Put::Created));
        }
        assert_eq!(tables.len(), most);
        // One large table takes the place of as many as it needs, the oldest.
        let large = table(7, MAX_POSITIONS as usize);
        assert_eq!(tables.put(hash(&large), &large), Ok(Put::Created));
        let gone = (MAX_TABLE_BYTES + TABLE_BYTES).div_ceil(TABLE_BYTES + KEY_BYTES);
        assert!((most - gone..=most - gone + 1).contains(&(tables.len() - 1)), "{}", tables.len());
        let kept = tables.0.lock();
        assert_eq!(kept.by_use.len(), kept.tables.len());
        let bytes: usize = kept.tables.values().map(|kept| bytes_of(&kept.table)).sum();
        assert_eq!(kept.bytes, bytes);
    }
}
