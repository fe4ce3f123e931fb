//! Signing roots of attestations and block headers, computed from a request's body by the text of
//! the consensus specifications (phase0: `hash_tree_root`, `compute_domain`, `compute_signing_root`)
//! and by nothing of the signer.

use anyhow::{Context, Result};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::requests::SLOTS_PER_EPOCH;

type Root = [u8; 32];

/// `DOMAIN_BEACON_PROPOSER` and `DOMAIN_BEACON_ATTESTER`.
const PROPOSER: [u8; 4] = [0, 0, 0, 0];
const ATTESTER: [u8; 4] = [1, 0, 0, 0];

/// The signing root of the body of an `ATTESTATION`.
///
/// # Errors
/// When the body has another shape.
pub fn attestation(body: &Value) -> Result<Root> {
    let data = &body["attestation"];
    let object = merkle(&[
        number(&data["slot"])?,
        number(&data["index"])?,
        root(&data["beacon_block_root"])?,
        checkpoint(&data["source"])?,
        checkpoint(&data["target"])?,
    ]);
    signing_root(object, ATTESTER, integer(&data["target"]["epoch"])?, &body["fork_info"])
}

/// The signing root of the body of a `BLOCK_V2` with a block header.
///
/// # Errors
/// When the body has another shape.
pub fn block_header(body: &Value) -> Result<Root> {
    let header = &body["beacon_block"]["block_header"];
    let object = merkle(&[
        number(&header["slot"])?,
        number(&header["proposer_index"])?,
        root(&header["parent_root"])?,
        root(&header["state_root"])?,
        root(&header["body_root"])?,
    ]);
    let epoch = integer(&header["slot"])? / SLOTS_PER_EPOCH;
    signing_root(object, PROPOSER, epoch, &body["fork_info"])
}

fn signing_root(object: Root, domain_type: [u8; 4], epoch: u64, fork_info: &Value) -> Result<Root> {
    let fork = &fork_info["fork"];
    let is_new = epoch >= integer(&fork["epoch"])?;
    let version = &fork[if is_new { "current_version" } else { "previous_version" }];
    let mut version_chunk = [0; 32];
    const_hex::decode_to_slice(text(version)?, &mut version_chunk[..4])?;
    let fork_data = merkle(&[version_chunk, root(&fork_info["genesis_validators_root"])?]);
    let mut domain = [0; 32];
    domain[..4].copy_from_slice(&domain_type);
    domain[4..].copy_from_slice(&fork_data[..28]);
    Ok(merkle(&[object, domain]))
}

fn checkpoint(value: &Value) -> Result<Root> {
    Ok(merkle(&[number(&value["epoch"])?, root(&value["root"])?]))
}

/// The root of a container from the roots of its members.
fn merkle(members: &[Root]) -> Root {
    let mut level = members.to_vec();
    level.resize(members.len().next_power_of_two(), [0; 32]);
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| Sha256::digest(pair.concat()).into()).collect();
    }
    level[0]
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().with_context(|| format!("no text: {value}"))
}

fn integer(value: &Value) -> Result<u64> {
    Ok(text(value)?.parse()?)
}

fn number(value: &Value) -> Result<Root> {
    let mut chunk = [0; 32];
    chunk[..8].copy_from_slice(&integer(value)?.to_le_bytes());
    Ok(chunk)
}

fn root(value: &Value) -> Result<Root> {
    let mut root = [0; 32];
    const_hex::decode_to_slice(text(value)?, &mut root)?;
    Ok(root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, SigningFile};

    #[test]
    fn roots_are_those_of_other_software() {
        let (mut attestations, mut headers) = (0, 0);
        for (_, file) in fixtures::read_all::<SigningFile>("signing") {
            // Presets with other epochs need another division.
            for case in file.cases.iter().filter(|case| case.network == "mainnet") {
                let body = &case.request;
                let found = if body["type"] == "ATTESTATION" {
                    attestations += 1;
                    attestation(body)
                } else if body["beacon_block"]["block_header"].is_object() {
                    headers += 1;
                    block_header(body)
                } else {
                    continue;
                };
                let found = found.unwrap_or_else(|error| panic!("{}: {error}", case.name));
                assert_eq!(const_hex::encode_prefixed(found), case.signing_root, "{}", case.name);
            }
        }
        assert!(attestations > 0 && headers > 0, "{attestations} and {headers}");
    }
}
