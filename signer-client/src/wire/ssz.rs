//! Hash tree roots of the wire types (consensus-specs, simple-serialize).
//!
//! The containers derive theirs; here are the leaves and collections. `libssz-types` has lists
//! and bit fields too, but without JSON and without a limit chosen at run time.

use libssz_merkle::{
    HashTreeRoot, Node, Sha256Hasher, merkleize, merkleize_progressive, mix_in_length, pack,
};

use super::{
    block::DepositProof,
    collections::{Bitlist, Bitvector, ByteList, HexBytes, List, ProgressiveList, TooLong},
    primitives::{
        Address, Epoch, ForkVersion, KzgCommitment, LogsBloom, PublicKey, QuotedU64, Root,
        Signature, Slot, Uint256,
    },
};

/// Bits in one 32-byte chunk.
const BITS_PER_CHUNK: usize = 256;

macro_rules! byte_vector_roots {
    ($($name:ident)*) => {$(
        impl HashTreeRoot for $name {
            fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
                self.0.hash_tree_root(hasher)
            }
        }
    )*};
}

byte_vector_roots!(Root ForkVersion Address PublicKey Signature KzgCommitment LogsBloom Uint256);

macro_rules! integer_roots {
    ($($name:ident)*) => {$(
        impl HashTreeRoot for $name {
            fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
                self.0.hash_tree_root(hasher)
            }

            /// Lists pack these, four to a chunk.
            fn is_basic_type() -> bool {
                true
            }
        }
    )*};
}

integer_roots!(Slot Epoch QuotedU64);

/// The leaves of a list. Basic elements are packed; the only ones among the wire types are
/// integers of 8 bytes.
fn leaves<T: HashTreeRoot>(elements: &[T], hasher: &impl Sha256Hasher) -> Vec<Node> {
    if !T::is_basic_type() {
        return elements.iter().map(|element| element.hash_tree_root(hasher)).collect();
    }
    let pack_four = |four: &[T]| {
        let mut node = Node::default();
        for (place, element) in node.chunks_exact_mut(8).zip(four) {
            place.copy_from_slice(&element.hash_tree_root(hasher)[..8]);
        }
        node
    };
    elements.chunks(4).map(pack_four).collect()
}

impl<T: HashTreeRoot, const LIMIT: usize> HashTreeRoot for List<T, LIMIT> {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        let chunk_limit = if T::is_basic_type() { LIMIT.div_ceil(4) } else { LIMIT };
        let leaves = leaves(self.as_slice(), hasher);
        let root = merkleize(hasher, &leaves, Some(chunk_limit));
        mix_in_length(hasher, &root, self.as_slice().len())
    }
}

impl<T: HashTreeRoot> HashTreeRoot for ProgressiveList<T> {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        let root = merkleize_progressive(hasher, &leaves(&self.0, hasher));
        mix_in_length(hasher, &root, self.0.len())
    }
}

impl HashTreeRoot for HexBytes {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        let root = merkleize_progressive(hasher, &pack(&self.0));
        mix_in_length(hasher, &root, self.0.len())
    }
}

impl<const LIMIT: usize> HashTreeRoot for ByteList<LIMIT> {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        let root = merkleize(hasher, &pack(self.as_bytes()), Some(LIMIT.div_ceil(32)));
        mix_in_length(hasher, &root, self.as_bytes().len())
    }
}

impl<const LIMIT: usize> Bitlist<LIMIT> {
    /// The root as a `Bitlist[limit]`, for a limit that depends on fork and preset.
    pub fn root_with_limit(
        &self,
        limit: usize,
        hasher: &impl Sha256Hasher,
    ) -> Result<Node, TooLong> {
        if self.len() > limit {
            return Err(TooLong { unit: "bits", limit, found: self.len() });
        }
        let chunks = pack(self.as_bytes());
        let root = merkleize(hasher, &chunks, Some(limit.div_ceil(BITS_PER_CHUNK)));
        Ok(mix_in_length(hasher, &root, self.len()))
    }

    /// The root as a `ProgressiveBitlist` (EIP-7916).
    pub fn progressive_root(&self, hasher: &impl Sha256Hasher) -> Node {
        let root = merkleize_progressive(hasher, &pack(self.as_bytes()));
        mix_in_length(hasher, &root, self.len())
    }
}

impl<const LIMIT: usize> HashTreeRoot for Bitlist<LIMIT> {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        let root = merkleize(hasher, &pack(self.as_bytes()), Some(LIMIT.div_ceil(BITS_PER_CHUNK)));
        mix_in_length(hasher, &root, self.len())
    }
}

impl HashTreeRoot for Bitvector {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        merkleize(hasher, &pack(&self.0), None)
    }
}

impl HashTreeRoot for DepositProof {
    fn hash_tree_root(&self, hasher: &impl Sha256Hasher) -> Node {
        merkleize(hasher, &leaves(self.nodes(), hasher), None)
    }
}
