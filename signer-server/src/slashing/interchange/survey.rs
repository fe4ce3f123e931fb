//! The first reading of a file: everything that can be wrong is found before anything changes.
//!
//! Only names and counts stay in memory, never records.

use std::{
    collections::{BTreeMap, HashSet},
    io::{Read, Seek},
};

use signer_client::wire::{PublicKey, Root};

use super::{
    import::{ImportError, ImportOptions},
    parse::{self, FileError, KeyFailure},
};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Root of the chain that the records belong to.
    pub genesis_validators_root: Root,
    /// The keys whose records can be taken, with the number of elements of `data` that each has.
    pub(super) keys: BTreeMap<PublicKey, u32>,
    /// The elements of `data` that can't be taken. Nothing of a key with such an element is.
    pub failures: Vec<KeyFailure>,
    /// Attestations of the keys that can be taken, repetitions included.
    pub attestations: u64,
    /// Blocks of the keys that can be taken, repetitions included.
    pub blocks: u64,
}

/// A file that was read once and can be read again.
#[derive(Debug)]
pub struct SurveyedFile<F> {
    pub(super) file: F,
    pub(super) survey: Survey,
}

impl<F: Read + Seek> SurveyedFile<F> {
    /// Reads the whole file. Takes as long as that takes: not for an asynchronous task.
    pub fn new(mut file: F) -> Result<Self, FileError> {
        let mut keys: BTreeMap<PublicKey, (u32, u64, u64)> = BTreeMap::new();
        let mut failures = Vec::new();
        let metadata = parse::read(&mut file, |element| {
            match element {
                Ok(content) => {
                    let (objects, attestations, blocks) = keys.entry(content.key).or_default();
                    *objects += 1;
                    *attestations += content.attestations.len() as u64;
                    *blocks += content.blocks.len() as u64;
                }
                Err(failure) => failures.push(failure),
            }
            true
        })?;
        // A good element of a key with a bad one would be half of what is known.
        let spoiled: HashSet<PublicKey> = failures.iter().filter_map(KeyFailure::key).collect();
        keys.retain(|key, _| !spoiled.contains(key));
        file.rewind()?;
        let survey = Survey {
            genesis_validators_root: metadata.genesis_validators_root,
            failures,
            attestations: keys.values().map(|(_, attestations, _)| attestations).sum(),
            blocks: keys.values().map(|(_, _, blocks)| blocks).sum(),
            keys: keys.into_iter().map(|(key, (objects, _, _))| (key, objects)).collect(),
        };
        Ok(Self { file, survey })
    }

    /// What it holds.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Leaves out every key that `wanted` does not name, and what is wrong with it. A failure that
    /// names no key stays.
    pub fn retain(&mut self, wanted: &HashSet<PublicKey>) {
        self.survey.keys.retain(|key, _| wanted.contains(key));
        let is_wanted =
            |failure: &KeyFailure| failure.key().is_none_or(|key| wanted.contains(&key));
        self.survey.failures.retain(is_wanted);
    }
}

impl Survey {
    /// Fails as an import with these options would for what the file says, whatever the database
    /// holds.
    pub fn check(&self, options: ImportOptions) -> Result<(), ImportError> {
        let found = self.genesis_validators_root;
        if let Some(network) = options.network_genesis_validators_root.filter(|root| *root != found)
        {
            return Err(ImportError::OtherNetwork { found, network });
        }
        if self.failures.is_empty() || options.allow_partial {
            return Ok(());
        }
        Err(ImportError::KeysFailed { failures: self.failures.clone() })
    }

    /// The keys whose records can be taken, ascending.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &PublicKey> {
        self.keys.keys()
    }
}
