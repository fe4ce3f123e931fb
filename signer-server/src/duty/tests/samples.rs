//! One well-formed request of each type, built from the typed requests of the client.

use serde_json::Value;
use signer_client::wire::{
    Address, AggregateAndProof, AggregationBits, AggregationSlot, Attestation, AttestationData,
    BeaconBlock, BeaconBlockBody, BeaconBlockHeader, Bitvector, BlockV2, BuilderRequestAuth,
    ByteList, Checkpoint, ContributionAndProof, Deposit, DepositMessage, Epoch, ExecutionPayload,
    ExecutionPayloadBid, ExecutionPayloadEnvelope, ExecutionRequests, Fork, ForkInfo, ForkVersion,
    ForkVersions, HexBytes, KzgCommitment, List, LogsBloom, PayloadAttestationData,
    ProgressiveList, ProposerPreferences, PublicKey, QuotedU64, RandaoReveal, Root, SignPayload,
    SignRequest, Signature, SigningData, Slot, SyncAggregatorSelectionData,
    SyncCommitteeContribution, SyncCommitteeMessage, Uint256, ValidatorRegistration, Versioned,
    VoluntaryExit,
    block::{Eth1Data, SyncAggregate},
};

use crate::duty::DutyType;

pub(super) const GENESIS_VALIDATORS_ROOT: Root = Root([0x4b; 32]);

/// The fork info of a mainnet client while `fork` is current.
pub(super) fn fork_info(fork: Fork) -> ForkInfo {
    let number = Fork::ALL.iter().position(|known| *known == fork).unwrap();
    let version = |number: usize| ForkVersion([u8::try_from(number).unwrap(), 0, 0, 0]);
    ForkInfo {
        fork: ForkVersions {
            previous_version: version(number.saturating_sub(1)),
            current_version: version(number),
            epoch: Epoch(0),
        },
        genesis_validators_root: GENESIS_VALIDATORS_ROOT,
    }
}

/// A request of that type in a fork that has it.
pub(super) fn sample(duty_type: DutyType) -> Value {
    let fork = match duty_type {
        DutyType::Block => Fork::Phase0,
        DutyType::ExecutionPayloadBid
        | DutyType::ExecutionPayloadEnvelope
        | DutyType::PayloadAttestationMessage
        | DutyType::ProposerPreferences
        | DutyType::BuilderRequestAuth => Fork::Gloas,
        _ => Fork::Fulu,
    };
    let fork_info = match duty_type {
        DutyType::Deposit
        | DutyType::ValidatorRegistration
        | DutyType::BuilderRequestAuth
        | DutyType::Generic => None,
        _ => Some(fork_info(fork)),
    };
    let request = SignRequest { fork_info, signing_root: None, payload: payload(duty_type, fork) };
    serde_json::to_value(request).unwrap()
}

#[expect(clippy::too_many_lines, reason = "one arm for each type")]
fn payload(duty_type: DutyType, fork: Fork) -> SignPayload {
    let slot = Slot(3201);
    let number = QuotedU64(7);
    match duty_type {
        DutyType::Block => SignPayload::Block(Box::new(block(fork))),
        DutyType::BlockV2 => SignPayload::BlockV2(Box::new(BlockV2::Header {
            version: fork,
            block_header: BeaconBlockHeader {
                slot,
                proposer_index: number,
                parent_root: Root([1; 32]),
                state_root: Root([2; 32]),
                body_root: Root([3; 32]),
            },
        })),
        DutyType::Attestation => SignPayload::Attestation(attestation_data()),
        DutyType::AggregationSlot => SignPayload::AggregationSlot(AggregationSlot { slot }),
        DutyType::AggregateAndProof => {
            SignPayload::AggregateAndProof(Box::new(aggregate_and_proof(fork)))
        }
        DutyType::AggregateAndProofV2 => SignPayload::AggregateAndProofV2(Box::new(Versioned {
            version: fork,
            data: aggregate_and_proof(fork),
        })),
        DutyType::RandaoReveal => SignPayload::RandaoReveal(RandaoReveal { epoch: Epoch(100) }),
        DutyType::VoluntaryExit => {
            SignPayload::VoluntaryExit(VoluntaryExit { epoch: Epoch(100), validator_index: number })
        }
        DutyType::Deposit => SignPayload::Deposit(Deposit {
            message: DepositMessage {
                pubkey: PublicKey([4; 48]),
                withdrawal_credentials: Root([5; 32]),
                amount: QuotedU64(32_000_000_000),
            },
            genesis_fork_version: ForkVersion::ZERO,
        }),
        DutyType::SyncCommitteeMessage => SignPayload::SyncCommitteeMessage(SyncCommitteeMessage {
            beacon_block_root: Root([6; 32]),
            slot,
        }),
        DutyType::SyncCommitteeSelectionProof => {
            SignPayload::SyncCommitteeSelectionProof(SyncAggregatorSelectionData {
                slot,
                subcommittee_index: QuotedU64(3),
            })
        }
        DutyType::SyncCommitteeContributionAndProof => {
            SignPayload::SyncCommitteeContributionAndProof(Box::new(ContributionAndProof {
                aggregator_index: number,
                contribution: SyncCommitteeContribution {
                    slot,
                    beacon_block_root: Root([7; 32]),
                    subcommittee_index: QuotedU64(2),
                    aggregation_bits: Bitvector(vec![0x55; 16]),
                    signature: Signature([8; 96]),
                },
                selection_proof: Signature([9; 96]),
            }))
        }
        DutyType::ValidatorRegistration => {
            SignPayload::ValidatorRegistration(ValidatorRegistration {
                fee_recipient: Address([10; 20]),
                gas_limit: QuotedU64(36_000_000),
                timestamp: QuotedU64(1_700_000_000),
                pubkey: PublicKey([11; 48]),
            })
        }
        DutyType::ExecutionPayloadBid => SignPayload::ExecutionPayloadBid(Box::new(Versioned {
            version: fork,
            data: ExecutionPayloadBid {
                parent_block_hash: Root([1; 32]),
                parent_block_root: Root([2; 32]),
                block_hash: Root([3; 32]),
                prev_randao: Root([4; 32]),
                fee_recipient: Address([5; 20]),
                gas_limit: number,
                builder_index: number,
                slot,
                value: number,
                execution_payment: QuotedU64(0),
                blob_kzg_commitments: ProgressiveList(vec![KzgCommitment([6; 48])]),
                execution_requests_root: Root([7; 32]),
            },
        })),
        DutyType::ExecutionPayloadEnvelope => {
            let data = envelope(slot);
            SignPayload::ExecutionPayloadEnvelope(Box::new(Versioned { version: fork, data }))
        }
        DutyType::PayloadAttestationMessage => SignPayload::PayloadAttestationMessage(Versioned {
            version: fork,
            data: PayloadAttestationData {
                beacon_block_root: Root([1; 32]),
                slot,
                payload_present: true,
                blob_data_available: false,
            },
        }),
        DutyType::ProposerPreferences => SignPayload::ProposerPreferences(Versioned {
            version: fork,
            data: ProposerPreferences {
                dependent_root: Root([1; 32]),
                proposal_slot: slot,
                validator_index: number,
                fee_recipient: Address([2; 20]),
                target_gas_limit: number,
            },
        }),
        DutyType::BuilderRequestAuth => SignPayload::BuilderRequestAuth(Versioned {
            version: fork,
            data: BuilderRequestAuth {
                data: ByteList::try_from(b"https://builder.example.com".to_vec()).unwrap(),
                slot,
            },
        }),
        DutyType::Generic => SignPayload::Generic(SigningData {
            object_root: Root([1; 32]),
            domain: Root([0x0d; 32]),
        }),
    }
}

fn attestation_data() -> AttestationData {
    AttestationData {
        slot: Slot(3201),
        index: QuotedU64(0),
        beacon_block_root: Root([12; 32]),
        source: Checkpoint { epoch: Epoch(99), root: Root([13; 32]) },
        target: Checkpoint { epoch: Epoch(100), root: Root([14; 32]) },
    }
}

pub(super) fn aggregate_and_proof(fork: Fork) -> AggregateAndProof {
    AggregateAndProof {
        aggregator_index: QuotedU64(15),
        aggregate: Attestation {
            aggregation_bits: AggregationBits::from_bits(&[true, false, true]).unwrap(),
            data: attestation_data(),
            signature: Signature([16; 96]),
            committee_bits: (fork >= Fork::Electra)
                .then(|| Bitvector(vec![1, 0, 0, 0, 0, 0, 0, 0])),
        },
        selection_proof: Signature([17; 96]),
    }
}

pub(super) fn block(fork: Fork) -> BeaconBlock {
    BeaconBlock {
        slot: Slot(3201),
        proposer_index: QuotedU64(18),
        parent_root: Root([19; 32]),
        state_root: Root([20; 32]),
        body: BeaconBlockBody {
            randao_reveal: Signature([21; 96]),
            eth1_data: Eth1Data {
                deposit_root: Root([22; 32]),
                deposit_count: QuotedU64(23),
                block_hash: Root([24; 32]),
            },
            graffiti: Root([25; 32]),
            proposer_slashings: List::default(),
            attester_slashings: List::default(),
            attestations: List::default(),
            deposits: List::default(),
            voluntary_exits: List::default(),
            sync_aggregate: (fork >= Fork::Altair).then(|| SyncAggregate {
                sync_committee_bits: Bitvector(vec![0xff; 64]),
                sync_committee_signature: Signature([26; 96]),
            }),
        },
    }
}

fn envelope(slot: Slot) -> ExecutionPayloadEnvelope {
    ExecutionPayloadEnvelope {
        payload: ExecutionPayload {
            parent_hash: Root([1; 32]),
            fee_recipient: Address([2; 20]),
            state_root: Root([3; 32]),
            receipts_root: Root([4; 32]),
            logs_bloom: LogsBloom([5; 256]),
            prev_randao: Root([6; 32]),
            block_number: QuotedU64(7),
            gas_limit: QuotedU64(8),
            gas_used: QuotedU64(9),
            timestamp: QuotedU64(10),
            extra_data: ByteList::default(),
            base_fee_per_gas: Uint256([11; 32]),
            block_hash: Root([12; 32]),
            transactions: ProgressiveList(vec![HexBytes(vec![13; 100])]),
            withdrawals: ProgressiveList::default(),
            blob_gas_used: QuotedU64(14),
            excess_blob_gas: QuotedU64(15),
            block_access_list: HexBytes(vec![16; 33]),
            slot_number: slot,
        },
        execution_requests: ExecutionRequests::default(),
        builder_index: QuotedU64(17),
        beacon_block_root: Root([18; 32]),
        parent_beacon_block_root: Root([19; 32]),
    }
}
