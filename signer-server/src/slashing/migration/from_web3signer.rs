//! Web3Signer's records into a database of ours, and back to Web3Signer; the steps and their order
//! are in the documentation of the module above.

use signer_client::wire::{PublicKey, Root};

use super::{
    Compared, Database, MoveError, MoveReport, Problem,
    compare::{gaps, records_beyond},
    copy::{KEYS_AT_ONCE, copy},
    take_high_watermark,
    web3signer::Web3Signer,
};
use crate::slashing::{
    HighWatermark, PostgresUrl, interchange::merge::KeyImport, store::records::Snapshot,
};

/// What a move would find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Version of Web3Signer's schema.
    pub version: i32,
    /// Its chain; `None` when nothing was ever signed.
    pub chain: Option<Root>,
    /// Where everything stops.
    pub high_watermark: Option<HighWatermark>,
    /// Keys and records.
    pub found: Compared,
    /// The keys that may sign, or could before the fence.
    pub enabled: u64,
    /// The keys whose own records are slashable.
    pub slashable: Vec<PublicKey>,
    /// Rows that can't be moved. While there are any, the other fields but the version are empty.
    pub problems: Vec<Problem>,
    /// An earlier run put the fence up.
    pub is_fenced: bool,
}

/// Looks at everything and changes nothing.
pub(in crate::slashing) async fn inspect(
    url: &PostgresUrl,
    network: Option<Root>,
) -> Result<Inspection, MoveError> {
    let mut source = Web3Signer::look(url).await?;
    let mut inspection = Inspection {
        version: source.version(),
        chain: source.chain(),
        high_watermark: source.high_watermark(),
        found: Compared::default(),
        enabled: source.enabled().len() as u64,
        slashable: Vec::new(),
        problems: source.problems().to_vec(),
        is_fenced: source.fence().is_some(),
    };
    if !inspection.problems.is_empty() {
        return Ok(inspection);
    }
    chain(&source, network)?;
    for some in source.keys().to_vec().chunks(KEYS_AT_ONCE) {
        for records in source.read(some).await? {
            inspection.found.keys += 1;
            inspection.found.attestations += records.attestations.len() as u64;
            inspection.found.blocks += records.blocks.len() as u64;
            let import = KeyImport::from(records);
            if import.is_slashable() {
                inspection.slashable.push(import.key);
            }
        }
    }
    Ok(inspection)
}

/// Moves everything, or goes on where an earlier run stopped.
pub(in crate::slashing) async fn move_in(
    target: &mut impl Database,
    url: &PostgresUrl,
    network: Option<Root>,
) -> Result<MoveReport, MoveError> {
    if let Some(departure) = target.departure().await? {
        return Err(MoveError::TargetMoved { moved_to: departure.target });
    }
    let mut source = lock(url).await?;
    let chain = chain(&source, network)?;
    let identity = target.cluster();
    let fence = source.fence();
    if let Some(fence) = fence {
        check_target(fence.target, identity)?;
        if fence.is_complete {
            let compared = compare(&mut source, target).await?;
            let (outcomes, enabled) = (Vec::new(), Vec::new());
            return Ok(MoveReport { outcomes, compared, enabled, was_complete: true });
        }
    }

    let keys = source.keys().to_vec();
    let enabled = source.enabled();
    target.switch_off(&keys).await?;
    let outcomes = copy(&mut source, chain, target).await?;
    take_high_watermark(source.high_watermark(), target, false).await?;
    let compared = compare(&mut source, target).await?;
    if fence.is_none() {
        source.put_up_fence(identity).await?;
    }
    source.commit().await?;
    // From here on Web3Signer is silent for good.
    target.arrive(&enabled).await?;
    Web3Signer::note_complete(url).await?;
    Ok(MoveReport { outcomes, compared, enabled, was_complete: false })
}

/// Gives the records back. Without `force`, only while Web3Signer knows everything that was signed.
/// Returns how many records it does not know.
pub(in crate::slashing) async fn undo(
    target: &mut impl Database,
    url: &PostgresUrl,
    force: bool,
) -> Result<u64, MoveError> {
    let mut source = lock(url).await?;
    let Some(fence) = source.fence() else { return Err(MoveError::NothingToUndo) };
    check_target(fence.target, target.cluster())?;
    if let Some(departure) = target.departure().await? {
        return Err(MoveError::TargetMoved { moved_to: departure.target });
    }
    let records = signed_since(&mut source, target).await?;
    if records > 0 && !force {
        return Err(MoveError::SignedSince { records });
    }
    let keys = source.keys().to_vec();
    target.switch_off(&keys).await?;
    // A live signer on the same database may have been faster.
    let records = signed_since(&mut source, target).await?;
    if records > 0 && !force {
        target.arrive(&source.enabled()).await?;
        return Err(MoveError::SignedSince { records });
    }
    source.take_fence_away().await?;
    source.commit().await?;
    Ok(records)
}

async fn lock(url: &PostgresUrl) -> Result<Web3Signer, MoveError> {
    let source = Web3Signer::lock(url).await?;
    match source.problems() {
        [] => Ok(source),
        problems => Err(MoveError::Problems { problems: problems.to_vec() }),
    }
}

/// The chain of the records, which must be the network's.
fn chain(source: &Web3Signer, network: Option<Root>) -> Result<Root, MoveError> {
    match (source.chain(), network) {
        (Some(found), Some(network)) if found != network => {
            Err(MoveError::OtherNetwork { found, network })
        }
        (chain, network) => chain.or(network).ok_or(MoveError::NoChain),
    }
}

fn check_target(moved_to: uuid::Uuid, found: uuid::Uuid) -> Result<(), MoveError> {
    if moved_to == found { Ok(()) } else { Err(MoveError::MovedElsewhere { moved_to, found }) }
}

async fn compare(
    source: &mut Web3Signer,
    target: &mut impl Database,
) -> Result<Compared, MoveError> {
    let mut copy = target.begin_export().await?;
    match gaps(source, &mut copy).await? {
        (compared, gaps) if gaps.is_empty() => Ok(compared),
        (_, gaps) => Err(MoveError::Incomplete { gaps }),
    }
}

async fn signed_since(
    source: &mut Web3Signer,
    target: &mut impl Database,
) -> Result<u64, MoveError> {
    let mut copy = target.begin_export().await?;
    Ok(records_beyond(source, &mut copy).await?)
}
