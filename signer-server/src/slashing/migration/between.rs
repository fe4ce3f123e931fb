//! From one of our databases to another; the steps and their order are in the documentation of the
//! module above.

use signer_client::wire::Root;

use super::{
    Compared, Database, MoveError, MoveReport, compare::gaps, copy::copy, take_high_watermark,
};
use crate::slashing::{StoreError, interchange::KeyOutcome, store::records::Snapshot};

/// Moves everything, or goes on where an earlier run stopped.
pub(in crate::slashing) async fn relocate(
    source: &mut impl Database,
    target: &mut impl Database,
    network: Option<Root>,
) -> Result<MoveReport, MoveError> {
    let (from, to) = (source.cluster(), target.cluster());
    if from == to {
        return Err(MoveError::SameDatabase);
    }
    let comes_back = match target.departure().await? {
        Some(departure) if departure.target != from => {
            return Err(MoveError::TargetMoved { moved_to: departure.target });
        }
        departure => departure.is_some(),
    };
    let departure = match source.departure().await? {
        Some(departure) if departure.target != to => {
            return Err(MoveError::MovedElsewhere { moved_to: departure.target, found: to });
        }
        Some(departure) if departure.is_complete => {
            let compared = compare(source, target).await?;
            let (outcomes, enabled) = (Vec::new(), Vec::new());
            return Ok(MoveReport { outcomes, compared, enabled, was_complete: true });
        }
        departure => departure,
    };

    let mut outcomes = Vec::new();
    let departure = if let Some(departure) = departure {
        departure
    } else {
        // The long copy comes first: what can go wrong goes wrong while the source signs.
        outcomes = copy_all(source, target, network).await?;
        source.depart(to).await?;
        let departure = source.departure().await?;
        departure.ok_or(StoreError::ImpossibleValue { column: "midslot_move.target" })?
    };
    let rest = copy_all(source, target, network).await?;
    if outcomes.is_empty() {
        outcomes = rest;
    }
    take_high_watermark(source.high_watermark(), target, comes_back).await?;
    let compared = compare(source, target).await?;
    target.arrive(&departure.enabled).await?;
    source.complete_departure().await?;
    Ok(MoveReport { outcomes, compared, enabled: departure.enabled, was_complete: false })
}

/// Every key, switched off, and every record.
async fn copy_all(
    source: &mut impl Database,
    target: &mut impl Database,
    network: Option<Root>,
) -> Result<Vec<KeyOutcome>, MoveError> {
    let mut records = source.begin_export().await?;
    let chain = match (records.genesis_validators_root(), network) {
        (Some(found), Some(network)) if found != network => {
            return Err(MoveError::OtherNetwork { found, network });
        }
        (chain, network) => chain.or(network).ok_or(MoveError::NoChain)?,
    };
    let keys = records.keys().to_vec();
    target.switch_off(&keys).await?;
    Ok(copy(&mut records, chain, target).await?)
}

async fn compare(
    source: &mut impl Database,
    target: &mut impl Database,
) -> Result<Compared, MoveError> {
    let mut records = source.begin_export().await?;
    let mut copied = target.begin_export().await?;
    match gaps(&mut records, &mut copied).await? {
        (compared, gaps) if gaps.is_empty() => Ok(compared),
        (_, gaps) => Err(MoveError::Incomplete { gaps }),
    }
}
