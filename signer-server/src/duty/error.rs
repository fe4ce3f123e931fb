//! Why a request's body can't become a duty. Every variant is the client's fault (status 400), and
//! its text is one line that says what is wrong and where.

use std::fmt;

use signer_client::wire::{Epoch, Fork, ForkVersion, Root, collections::TooLong};

use super::DutyType;

/// A refused body, with its type as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct DutyFailure {
    /// The type that the body names, if it could be read.
    pub duty_type: Option<DutyType>,
    /// What is wrong.
    pub error: DutyError,
}

/// What is wrong with a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DutyError {
    /// There is no body.
    #[error("the request has no body")]
    EmptyBody,
    /// The body is JSON of another kind, or no JSON at all.
    #[error("the body is not a JSON object")]
    NotAnObject,
    /// The body is not the JSON that it must be.
    #[error("{}{reason} (line {line}, column {column})", at(path))]
    Json {
        /// The member, such as `attestation.source.epoch`; empty for the body itself.
        path: String,
        /// What the parser says.
        reason: String,
        /// Line in the body, from 1.
        line: usize,
        /// Column in bytes, from 1.
        column: usize,
    },
    /// There is no member `type`.
    #[error("missing member type")]
    MissingType,
    /// The member `type` names nothing that this signer signs.
    #[error("unknown type {name:?}")]
    UnknownType {
        /// The name, shortened if long.
        name: String,
    },
    /// The member that holds the object is missing.
    #[error("missing member {key}, which holds the object of type {}", duty_type.name())]
    MissingObject {
        /// The type.
        duty_type: DutyType,
        /// Name of the missing member.
        key: &'static str,
    },
    /// The type needs `fork_info`.
    #[error("missing member fork_info, which type {} needs", duty_type.name())]
    MissingForkInfo {
        /// The type.
        duty_type: DutyType,
    },
    /// A member that the fork demands is missing.
    #[error("missing member {path}, which {fork} demands")]
    MissingMember {
        /// The member.
        path: &'static str,
        /// The fork.
        fork: Fork,
    },
    /// A member is there that the fork does not know.
    #[error("member {path} contradicts {decided_by}: {fork} has no such member")]
    UnexpectedMember {
        /// The member.
        path: &'static str,
        /// The object's fork.
        fork: Fork,
        /// What says so.
        decided_by: ForkSource,
    },
    /// A block's wrapper says no `version`.
    #[error("{key}: missing member version")]
    MissingVersion {
        /// The wrapper.
        key: &'static str,
    },
    /// The wrapper's `version` is no fork.
    #[error("{key}.version: unknown fork name {name:?}")]
    UnknownForkName {
        /// The wrapper.
        key: &'static str,
        /// The name, shortened if long.
        name: String,
    },
    /// The wrapper and `fork_info` place the object in forks that hash it differently.
    #[error("{key}.version {wrapper} contradicts {decided_by}, which selects {fork}")]
    Contradiction {
        /// The wrapper.
        key: &'static str,
        /// Its `version`.
        wrapper: Fork,
        /// The other fork.
        fork: Fork,
        /// What says so.
        decided_by: ForkSource,
    },
    /// The type does not exist in the object's fork, in this form.
    #[error("type {} is not used in {fork}, the object's fork by {decided_by}", duty_type.name())]
    WrongFork {
        /// The type.
        duty_type: DutyType,
        /// The object's fork.
        fork: Fork,
        /// What says so.
        decided_by: ForkSource,
    },
    /// The object's shape in its fork is not final, so that this signer does not know it.
    #[error("type {} of {fork} is not known yet ({fork} by {decided_by})", duty_type.name())]
    UnknownShape {
        /// The type.
        duty_type: DutyType,
        /// The object's fork.
        fork: Fork,
        /// What says so.
        decided_by: ForkSource,
    },
    /// A bit field has not the number of bits that the preset demands.
    #[error(
        "{path}: expected exactly {expected} bits and unused ones zero, found {found_bytes} bytes"
    )]
    WrongBits {
        /// The member.
        path: &'static str,
        /// Number of bits demanded.
        expected: usize,
        /// Number of bytes found.
        found_bytes: usize,
    },
    /// A bit field has more bits than fork and preset allow.
    #[error("{path}: {error}")]
    TooManyBits {
        /// The member.
        path: &'static str,
        /// How many.
        error: TooLong,
    },
    /// The client computed another signing root.
    #[error(
        "signing root {sent} was sent, but the object's is {computed} \
         (domain {domain}{})", made_of(*version)
    )]
    RootMismatch {
        /// What the client sent.
        sent: Root,
        /// What the object has.
        computed: Root,
        /// The domain used.
        domain: Box<Root>,
        /// The fork version that the domain was made of; `None` when the client sent the domain.
        version: Option<ForkVersion>,
    },
    /// A `GENERIC` request contradicts itself, or asks for what could be slashed.
    #[error(transparent)]
    Generic(#[from] GenericError),
}

/// What is wrong with a `GENERIC` request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenericError {
    /// Both spellings are there, and nothing says which one is meant.
    #[error("type GENERIC has either signing_data or merkle_root with domain, not both")]
    TwoSpellings,
    /// One half of a spelling is missing.
    #[error("missing member {path}, which type GENERIC needs")]
    Incomplete {
        /// The member.
        path: &'static str,
    },
    /// Blocks and attestations have their own types, in which slashing protection can read them.
    #[error(
        "type GENERIC does not sign {what} (domain {domain}): use type {instead}, or let the \
         signer accept it together with {key} by --allow-generic-slashable-domains=true"
    )]
    Slashable {
        /// What the domain is for.
        what: &'static str,
        /// The type that signs it.
        instead: &'static str,
        /// The member that would hold the object.
        key: &'static str,
        /// The domain.
        domain: Box<Root>,
    },
    /// Slashing protection can't read a root.
    #[error("missing member {key}, which type GENERIC needs to sign {what} (domain {domain})")]
    NoObject {
        /// What the domain is for.
        what: &'static str,
        /// The missing member.
        key: &'static str,
        /// The domain.
        domain: Box<Root>,
    },
    /// The object that slashing protection would see is not the one that would be signed.
    #[error("{key} has the root {computed}, but the root to sign is {sent}")]
    OtherObject {
        /// The member that holds the object.
        key: &'static str,
        /// The root that was sent.
        sent: Box<Root>,
        /// The object's root.
        computed: Box<Root>,
    },
    /// The domain is of no fork of the chain that slashing protection would record.
    #[error("domain {domain} does not belong to {chain}")]
    OtherChain {
        /// The domain.
        domain: Box<Root>,
        /// The chain: by `fork_info`, or by the network of the signer.
        chain: String,
    },
}

fn made_of(version: Option<ForkVersion>) -> String {
    version.map(|version| format!(", fork version {version}")).unwrap_or_default()
}

/// What says which fork an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkSource {
    /// The fork version that `fork_info` selects for the object's epoch.
    ForkInfo {
        /// The version.
        version: ForkVersion,
        /// The epoch.
        epoch: Epoch,
    },
    /// The `version` of the wrapper.
    Wrapper,
    /// The network's schedule.
    Schedule {
        /// The object's epoch.
        epoch: Epoch,
    },
}

impl fmt::Display for ForkSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ForkInfo { version, epoch } => {
                write!(formatter, "fork_info (version {version} at epoch {epoch})")
            }
            Self::Wrapper => formatter.write_str("the object's version"),
            Self::Schedule { epoch } => {
                write!(formatter, "the network's schedule (epoch {epoch})")
            }
        }
    }
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}: ") }
}
