//! The first stage of reading: which type, and the members as raw text.
//!
//! Rules of the API: members in any order, unknown ones ignored, `null` is absent, the type in any
//! case, `signingRoot` and `signing_root` alike.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use signer_client::wire::{Fork, ForkInfo, Root};

use super::{DutyError, DutyType, json};

/// The members of a body that are ever read.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(rename = "type", borrow)]
    type_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    fork_info: Option<&'a RawValue>,
    #[serde(borrow)]
    signing_root: Option<&'a RawValue>,
    #[serde(rename = "signingRoot", borrow)]
    signing_root_camel: Option<&'a RawValue>,

    #[serde(borrow)]
    block: Option<&'a RawValue>,
    #[serde(borrow)]
    beacon_block: Option<&'a RawValue>,
    #[serde(borrow)]
    attestation: Option<&'a RawValue>,
    #[serde(borrow)]
    aggregation_slot: Option<&'a RawValue>,
    #[serde(borrow)]
    aggregate_and_proof: Option<&'a RawValue>,
    #[serde(borrow)]
    randao_reveal: Option<&'a RawValue>,
    #[serde(borrow)]
    voluntary_exit: Option<&'a RawValue>,
    #[serde(borrow)]
    deposit: Option<&'a RawValue>,
    #[serde(borrow)]
    sync_committee_message: Option<&'a RawValue>,
    #[serde(borrow)]
    sync_aggregator_selection_data: Option<&'a RawValue>,
    #[serde(borrow)]
    contribution_and_proof: Option<&'a RawValue>,
    #[serde(borrow)]
    validator_registration: Option<&'a RawValue>,
    #[serde(borrow)]
    execution_payload_bid: Option<&'a RawValue>,
    #[serde(borrow)]
    execution_payload_envelope: Option<&'a RawValue>,
    #[serde(borrow)]
    payload_attestation_message: Option<&'a RawValue>,
    /// Early name of `payload_attestation_message`.
    #[serde(borrow)]
    payload_attestation_data: Option<&'a RawValue>,
    #[serde(borrow)]
    proposer_preferences: Option<&'a RawValue>,
    #[serde(borrow)]
    builder_request_auth: Option<&'a RawValue>,
    /// Early name of `builder_request_auth`.
    #[serde(borrow)]
    request_auth: Option<&'a RawValue>,

    #[serde(borrow)]
    signing_data: Option<&'a RawValue>,
    /// With `domain`, another spelling of `signing_data`.
    #[serde(borrow)]
    merkle_root: Option<&'a RawValue>,
    #[serde(borrow)]
    domain: Option<&'a RawValue>,
    /// The block behind a `GENERIC` request.
    #[serde(borrow)]
    block_header: Option<&'a RawValue>,
}

/// The members that a `GENERIC` request may have beside `signing_data`.
#[derive(Clone, Copy)]
pub(super) struct GenericMembers<'a> {
    pub(super) merkle_root: Option<&'a RawValue>,
    pub(super) domain: Option<&'a RawValue>,
    pub(super) block_header: Option<&'a RawValue>,
    pub(super) attestation: Option<&'a RawValue>,
}

/// An object, and the fork that its wrapper names if it has one.
pub(super) struct Wrapped<T> {
    pub(super) version: Option<Fork>,
    pub(super) object: T,
}

/// `{"version":..,"data":..}`; anything else has not both members.
#[derive(Deserialize)]
struct Wrapper<'a> {
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// A body whose type is known and whose object is there.
pub(super) struct Request<'a> {
    body: &'a [u8],
    pub(super) duty_type: DutyType,
    /// Name of the member that holds the object.
    pub(super) key: &'static str,
    object: Option<&'a RawValue>,
    pub(super) generic: GenericMembers<'a>,
    fork_info: Option<&'a RawValue>,
    /// Both spellings; who sends both means both.
    signing_roots: [(&'static str, Option<&'a RawValue>); 2],
}

impl<'a> Request<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, DutyError> {
        // The decoder would take an array for the members in their order.
        match body.trim_ascii_start().first() {
            None => return Err(DutyError::EmptyBody),
            Some(b'{') => {}
            Some(_) => return Err(DutyError::NotAnObject),
        }
        let members: Members<'a> = json::decode_body(body)?;
        let name = members.type_name.as_deref().ok_or(DutyError::MissingType)?;
        let duty_type = DutyType::from_wire_name(name)
            .ok_or_else(|| DutyError::UnknownType { name: json::shortened(name) })?;
        let (key, object) = members.object(duty_type);
        Ok(Self {
            body,
            duty_type,
            key,
            object,
            generic: GenericMembers {
                merkle_root: members.merkle_root,
                domain: members.domain,
                block_header: members.block_header,
                attestation: members.attestation,
            },
            fork_info: members.fork_info,
            signing_roots: [
                ("signingRoot", members.signing_root_camel),
                ("signing_root", members.signing_root),
            ],
        })
    }

    fn raw_object(&self) -> Result<&'a RawValue, DutyError> {
        let missing = DutyError::MissingObject { duty_type: self.duty_type, key: self.key };
        self.object.ok_or(missing)
    }

    /// Whether the member that holds the object is there.
    pub(super) fn has_object(&self) -> bool {
        self.object.is_some()
    }

    /// The object.
    pub(super) fn object<T: Deserialize<'a>>(&self) -> Result<T, DutyError> {
        self.decode(self.key, self.raw_object()?)
    }

    /// The object, bare or as `{"version":..,"data":..}`.
    pub(super) fn maybe_wrapped<T: Deserialize<'a>>(&self) -> Result<Wrapped<T>, DutyError> {
        let wrapper: Wrapper<'a> = self.object()?;
        let (Some(version), Some(data)) = (wrapper.version, wrapper.data) else {
            return Ok(Wrapped { version: None, object: self.object()? });
        };
        let name: Cow<'a, str> = self.decode(&format!("{}.version", self.key), version)?;
        let fork = name.to_ascii_uppercase().parse().map_err(|_| self.unknown_fork(&name))?;
        let object = self.decode(&format!("{}.data", self.key), data)?;
        Ok(Wrapped { version: Some(fork), object })
    }

    /// The error for a wrapper's `version` that is no fork.
    pub(super) fn unknown_fork(&self, name: &str) -> DutyError {
        DutyError::UnknownForkName { key: self.key, name: json::shortened(name) }
    }

    /// Where the object is signed.
    pub(super) fn fork_info(&self) -> Result<ForkInfo, DutyError> {
        let missing = DutyError::MissingForkInfo { duty_type: self.duty_type };
        self.decode("fork_info", self.fork_info.ok_or(missing)?)
    }

    /// Where the object is signed, for types that can do without it.
    pub(super) fn optional_fork_info(&self) -> Result<Option<ForkInfo>, DutyError> {
        self.fork_info.map(|fork_info| self.decode("fork_info", fork_info)).transpose()
    }

    /// The signing roots that the client sent, usually one or none.
    pub(super) fn sent_roots(&self) -> Result<Vec<Root>, DutyError> {
        let mut roots = Vec::new();
        for (name, root) in self.signing_roots {
            if let Some(root) = root {
                roots.push(self.decode(name, root)?);
            }
        }
        Ok(roots)
    }

    /// Decodes a member of the body, which lies at `path`.
    pub(super) fn decode<T: Deserialize<'a>>(
        &self,
        path: &str,
        part: &'a RawValue,
    ) -> Result<T, DutyError> {
        json::decode(self.body, path, part)
    }
}

impl<'a> Members<'a> {
    /// Name and text of the member that holds the object of that type.
    fn object(&self, duty_type: DutyType) -> (&'static str, Option<&'a RawValue>) {
        match duty_type {
            DutyType::Block => ("block", self.block),
            DutyType::BlockV2 => ("beacon_block", self.beacon_block),
            DutyType::Attestation => ("attestation", self.attestation),
            DutyType::AggregationSlot => ("aggregation_slot", self.aggregation_slot),
            DutyType::AggregateAndProof | DutyType::AggregateAndProofV2 => {
                ("aggregate_and_proof", self.aggregate_and_proof)
            }
            DutyType::RandaoReveal => ("randao_reveal", self.randao_reveal),
            DutyType::VoluntaryExit => ("voluntary_exit", self.voluntary_exit),
            DutyType::Deposit => ("deposit", self.deposit),
            DutyType::SyncCommitteeMessage => {
                ("sync_committee_message", self.sync_committee_message)
            }
            DutyType::SyncCommitteeSelectionProof => {
                ("sync_aggregator_selection_data", self.sync_aggregator_selection_data)
            }
            DutyType::SyncCommitteeContributionAndProof => {
                ("contribution_and_proof", self.contribution_and_proof)
            }
            DutyType::ValidatorRegistration => {
                ("validator_registration", self.validator_registration)
            }
            DutyType::ExecutionPayloadBid => ("execution_payload_bid", self.execution_payload_bid),
            DutyType::ExecutionPayloadEnvelope => {
                ("execution_payload_envelope", self.execution_payload_envelope)
            }
            DutyType::PayloadAttestationMessage => (
                "payload_attestation_message",
                self.payload_attestation_message.or(self.payload_attestation_data),
            ),
            DutyType::ProposerPreferences => ("proposer_preferences", self.proposer_preferences),
            DutyType::BuilderRequestAuth => {
                ("builder_request_auth", self.builder_request_auth.or(self.request_auth))
            }
            DutyType::Generic => ("signing_data", self.signing_data),
        }
    }
}
