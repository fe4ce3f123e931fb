//! Objects outside the rhythm of slots: exits, deposits and registrations.

use signer_client::wire::{
    Deposit, Fork, ForkInfo, ForkVersion, Root, ValidatorRegistration, VoluntaryExit,
};

use super::{Context, Message};
use crate::duty::{
    DutyError, Position,
    domain::{Domain, DomainType, root_of},
};

/// An exit, whose domain is the hard part.
///
/// Since Deneb exits are signed for Capella for ever (EIP-7044). Clients say so in different ways:
/// some send the versions around Capella, others those of the chain's current fork, and only the
/// latter tell that the chain has passed Deneb. A signing root that comes along settles it: of the
/// domains that the request can mean, the one that gives this root is used. That can't harm, as
/// every one of them is an exit of this validator and exits can't be slashed.
pub(super) fn voluntary_exit(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let exit: VoluntaryExit = context.request.object()?;
    let fork_info = context.request.fork_info()?;
    let object_root = root_of(&exit);
    let domain_of = |version| {
        Domain::compute(DomainType::VOLUNTARY_EXIT, version, fork_info.genesis_validators_root)
    };

    let preferred = exit_version(context, &fork_info, &exit);
    let candidates = [
        context.network.version_of(Fork::Capella),
        Some(fork_info.fork.version_at(exit.epoch)),
        Some(fork_info.fork.current_version),
    ];
    let sent = context.request.sent_roots()?;
    let fits = |version: &ForkVersion| {
        !sent.is_empty()
            && sent.iter().all(|root| *root == domain_of(*version).signing_root(object_root))
    };
    let version = if sent.is_empty() || fits(&preferred) {
        preferred
    } else {
        candidates.into_iter().flatten().find(fits).unwrap_or(preferred)
    };
    Ok(Message {
        object_root,
        domain: domain_of(version),
        position: Some(Position::Epoch(exit.epoch)),
    })
}

/// The version for an exit without further evidence: Capella's if the chain is in Deneb or later,
/// else the one of the exit's epoch.
fn exit_version(
    context: &Context<'_, '_>,
    fork_info: &ForkInfo,
    exit: &VoluntaryExit,
) -> ForkVersion {
    let chain_fork = context.network.fork_with_version(fork_info.fork.current_version);
    let capella = context.network.version_of(Fork::Capella);
    match (chain_fork, capella) {
        (Some(fork), Some(capella)) if fork >= Fork::Deneb => capella,
        _ => fork_info.fork.version_at(exit.epoch),
    }
}

/// A deposit: valid on every fork of its chain, so it names the genesis fork version itself.
pub(super) fn deposit(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let deposit: Deposit = context.request.object()?;
    Ok(Message {
        object_root: root_of(&deposit.message),
        domain: Domain::compute(DomainType::DEPOSIT, deposit.genesis_fork_version, Root::ZERO),
        position: None,
    })
}

/// A registration with builders, who stand outside the chain: the network's genesis fork version
/// and no chain identity. A `fork_info` is ignored.
pub(super) fn validator_registration(context: &Context<'_, '_>) -> Result<Message, DutyError> {
    let registration: ValidatorRegistration = context.request.object()?;
    let version = context.network.genesis_fork_version;
    Ok(Message {
        object_root: root_of(&registration),
        domain: Domain::compute(DomainType::APPLICATION_BUILDER, version, Root::ZERO),
        position: None,
    })
}
