//! Bodies of signing requests as validator clients write them, for mainnet.
//!
//! Each function gives what the demo and the behaviour tests need: a valid request of one type at a
//! chosen slot or epoch. Known answers for every fork are fixtures, not these.

use serde_json::{Value, json};

/// Mainnet's genesis validators root.
pub const GENESIS_VALIDATORS_ROOT: &str =
    "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95";
/// Slots per epoch on mainnet.
pub const SLOTS_PER_EPOCH: u64 = 32;
/// An epoch in mainnet's Fulu fork.
pub const EPOCH: u64 = 420_000;
/// The first slot of [`EPOCH`].
pub const SLOT: u64 = EPOCH * SLOTS_PER_EPOCH;

/// The slot that mainnet is in now, by this machine's clock.
pub fn current_slot() -> u64 {
    const GENESIS_TIME: u64 = 1_606_824_023;
    const SECONDS_PER_SLOT: u64 = 12;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs().saturating_sub(GENESIS_TIME) / SECONDS_PER_SLOT)
}

/// `fork_info` in Fulu, which mainnet entered at epoch 411392.
pub fn fulu_fork_info() -> Value {
    fork_info("0x05000000", "0x06000000", 411_392)
}

/// `fork_info` in Gloas, which mainnet has a version but no epoch for.
pub fn gloas_fork_info() -> Value {
    fork_info("0x06000000", "0x07000000", EPOCH)
}

/// A `fork_info` on mainnet.
pub fn fork_info(previous_version: &str, current_version: &str, epoch: u64) -> Value {
    json!({
        "fork": {
            "previous_version": previous_version,
            "current_version": current_version,
            "epoch": epoch.to_string(),
        },
        "genesis_validators_root": GENESIS_VALIDATORS_ROOT,
    })
}

/// A 32-byte root that repeats `byte`.
pub fn root(byte: u8) -> String {
    const_hex::encode_prefixed([byte; 32])
}

fn signature(byte: u8) -> String {
    const_hex::encode_prefixed([byte; 96])
}

fn address(byte: u8) -> String {
    const_hex::encode_prefixed([byte; 20])
}

/// `ATTESTATION` for `target`'s first slot, voting for the block root that repeats `block_byte`.
pub fn attestation(source: u64, target: u64, block_byte: u8) -> Value {
    json!({
        "type": "ATTESTATION",
        "fork_info": fulu_fork_info(),
        "attestation": attestation_data(source, target, block_byte),
    })
}

fn attestation_data(source: u64, target: u64, block_byte: u8) -> Value {
    json!({
        "slot": (target * SLOTS_PER_EPOCH).to_string(),
        "index": "0",
        "beacon_block_root": root(block_byte),
        "source": { "epoch": source.to_string(), "root": root(0x51) },
        "target": { "epoch": target.to_string(), "root": root(0x52) },
    })
}

/// `BLOCK_V2` in Fulu as a header whose body root repeats `body_byte`.
pub fn block(slot: u64, body_byte: u8) -> Value {
    json!({
        "type": "BLOCK_V2",
        "fork_info": fulu_fork_info(),
        "beacon_block": {
            "version": "FULU",
            "block_header": {
                "slot": slot.to_string(),
                "proposer_index": "7",
                "parent_root": root(0x61),
                "state_root": root(0x62),
                "body_root": root(body_byte),
            },
        },
    })
}

/// `AGGREGATION_SLOT`: the selection proof of an attestation aggregator.
pub fn aggregation_slot(slot: u64) -> Value {
    json!({
        "type": "AGGREGATION_SLOT",
        "fork_info": fulu_fork_info(),
        "aggregation_slot": { "slot": slot.to_string() },
    })
}

/// `RANDAO_REVEAL` of an epoch.
pub fn randao_reveal(epoch: u64) -> Value {
    json!({
        "type": "RANDAO_REVEAL",
        "fork_info": fulu_fork_info(),
        "randao_reveal": { "epoch": epoch.to_string() },
    })
}

/// `BLOCK`: a phase 0 block with an empty body, in mainnet's first fork.
pub fn phase0_block(slot: u64) -> Value {
    json!({
        "type": "BLOCK",
        "fork_info": fork_info("0x00000000", "0x00000000", 0),
        "block": {
            "slot": slot.to_string(),
            "proposer_index": "7",
            "parent_root": root(0x61),
            "state_root": root(0x62),
            "body": {
                "randao_reveal": signature(0x63),
                "eth1_data": {
                    "deposit_root": root(0x64),
                    "deposit_count": "21063",
                    "block_hash": root(0x65),
                },
                "graffiti": root(0x66),
                "proposer_slashings": [],
                "attester_slashings": [],
                "attestations": [],
                "deposits": [],
                "voluntary_exits": [],
            },
        },
    })
}

fn electra_aggregate() -> Value {
    json!({
        "aggregator_index": "7",
        "aggregate": {
            "aggregation_bits": "0xffff03",
            "data": attestation_data(EPOCH - 1, EPOCH, 0x53),
            "signature": signature(0x54),
            "committee_bits": "0x0100000000000000",
        },
        "selection_proof": signature(0x55),
    })
}

/// One valid request of every type, in the order in which the demo shows them. The blocks and the
/// attestation are newer from one to the next, so that a fresh key may sign all of them.
#[expect(clippy::too_many_lines, reason = "a list of objects, one after another")]
pub fn one_of_every_type(public_key: &str) -> Vec<Value> {
    let fulu = fulu_fork_info();
    let gloas = gloas_fork_info();
    vec![
        phase0_block(1000),
        block(SLOT, 0x67),
        attestation(EPOCH - 1, EPOCH, 0x53),
        aggregation_slot(SLOT),
        json!({
            "type": "AGGREGATE_AND_PROOF",
            "fork_info": fulu,
            "aggregate_and_proof": electra_aggregate(),
        }),
        json!({
            "type": "AGGREGATE_AND_PROOF_V2",
            "fork_info": fulu,
            "aggregate_and_proof": { "version": "FULU", "data": electra_aggregate() },
        }),
        randao_reveal(EPOCH),
        json!({
            "type": "VOLUNTARY_EXIT",
            "fork_info": fulu,
            "voluntary_exit": { "epoch": EPOCH.to_string(), "validator_index": "7" },
        }),
        json!({
            "type": "DEPOSIT",
            "deposit": {
                "pubkey": public_key,
                "withdrawal_credentials": root(0x01),
                "amount": "32000000000",
                "genesis_fork_version": "0x00000000",
            },
        }),
        json!({
            "type": "SYNC_COMMITTEE_MESSAGE",
            "fork_info": fulu,
            "sync_committee_message": { "beacon_block_root": root(0x53), "slot": SLOT.to_string() },
        }),
        json!({
            "type": "SYNC_COMMITTEE_SELECTION_PROOF",
            "fork_info": fulu,
            "sync_aggregator_selection_data": {
                "slot": SLOT.to_string(),
                "subcommittee_index": "2",
            },
        }),
        json!({
            "type": "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF",
            "fork_info": fulu,
            "contribution_and_proof": {
                "aggregator_index": "7",
                "selection_proof": signature(0x55),
                "contribution": {
                    "slot": SLOT.to_string(),
                    "beacon_block_root": root(0x53),
                    "subcommittee_index": "2",
                    "aggregation_bits": "0xffffffffffffffffffffffffffffffff",
                    "signature": signature(0x54),
                },
            },
        }),
        json!({
            "type": "VALIDATOR_REGISTRATION",
            "validator_registration": {
                "fee_recipient": address(0x71),
                "gas_limit": "45000000",
                "timestamp": "1763700000",
                "pubkey": public_key,
            },
        }),
        json!({
            "type": "EXECUTION_PAYLOAD_BID",
            "fork_info": gloas,
            "execution_payload_bid": { "version": "GLOAS", "data": execution_payload_bid() },
        }),
        json!({
            "type": "EXECUTION_PAYLOAD_ENVELOPE",
            "fork_info": gloas,
            "execution_payload_envelope": {
                "version": "GLOAS",
                "data": execution_payload_envelope(),
            },
        }),
        json!({
            "type": "PAYLOAD_ATTESTATION_MESSAGE",
            "fork_info": gloas,
            "payload_attestation_message": {
                "version": "GLOAS",
                "data": {
                    "beacon_block_root": root(0x53),
                    "slot": SLOT.to_string(),
                    "payload_present": true,
                    "blob_data_available": true,
                },
            },
        }),
        json!({
            "type": "PROPOSER_PREFERENCES",
            "fork_info": gloas,
            "proposer_preferences": {
                "version": "GLOAS",
                "data": {
                    "dependent_root": root(0x72),
                    "proposal_slot": (SLOT + 5).to_string(),
                    "validator_index": "7",
                    "fee_recipient": address(0x71),
                    "target_gas_limit": "45000000",
                },
            },
        }),
        json!({
            "type": "BUILDER_REQUEST_AUTH",
            "builder_request_auth": {
                "version": "GLOAS",
                "data": { "data": "0x6d6964736c6f74", "slot": SLOT.to_string() },
            },
        }),
        generic(0x73),
    ]
}

/// `GENERIC`: the root that repeats `root_byte`, under a domain of no type that the chain uses.
pub fn generic(root_byte: u8) -> Value {
    json!({
        "type": "GENERIC",
        "signing_data": {
            "object_root": root(root_byte),
            "domain": const_hex::encode_prefixed([[0x6d, 0x73, 0, 1], [0x74; 4]].concat().repeat(4)),
        },
    })
}

fn execution_payload_bid() -> Value {
    json!({
        "parent_block_hash": root(0x81),
        "parent_block_root": root(0x53),
        "block_hash": root(0x82),
        "prev_randao": root(0x83),
        "fee_recipient": address(0x71),
        "gas_limit": "60000000",
        "builder_index": "11",
        "slot": SLOT.to_string(),
        "value": "25000000",
        "execution_payment": "0",
        "blob_kzg_commitments": [const_hex::encode_prefixed([0x84; 48])],
        "execution_requests_root": root(0x85),
    })
}

fn execution_payload_envelope() -> Value {
    json!({
        "payload": {
            "parent_hash": root(0x81),
            "fee_recipient": address(0x71),
            "state_root": root(0x86),
            "receipts_root": root(0x87),
            "logs_bloom": const_hex::encode_prefixed([0; 256]),
            "prev_randao": root(0x83),
            "block_number": "25000000",
            "gas_limit": "60000000",
            "gas_used": "21000",
            "timestamp": "1780000000",
            "extra_data": "0x6d6964736c6f74",
            "base_fee_per_gas": "7000000000",
            "block_hash": root(0x82),
            "transactions": ["0x02f87001"],
            "withdrawals": [{
                "index": "1",
                "validator_index": "7",
                "address": address(0x72),
                "amount": "32000000",
            }],
            "blob_gas_used": "0",
            "excess_blob_gas": "0",
            "block_access_list": "0x",
            "slot_number": SLOT.to_string(),
        },
        "execution_requests": {
            "deposits": [],
            "withdrawals": [],
            "consolidations": [],
            "builder_deposits": [],
            "builder_exits": [],
        },
        "builder_index": "11",
        "beacon_block_root": root(0x53),
        "parent_beacon_block_root": root(0x88),
    })
}
