//! What a start does on either database: it asks the markers, and tells them what the operator has
//! confirmed.

use std::path::Path;

use uuid::Uuid;

use crate::slashing::{
    CONFIRM_OPTION, OpenError, SAFE_START_OPTION, SafeFloors,
    marker::{Identity, Marker, Places},
};

/// Markers that the database must agree with: none once the operator has confirmed.
pub(super) fn known_markers(
    places: Option<&Places>,
    accept: bool,
) -> Result<Vec<Marker>, OpenError> {
    match places.map(Places::read) {
        None => Ok(vec![]),
        Some(_) if accept => Ok(vec![]),
        Some(markers) => markers.map_err(OpenError::Marker),
    }
}

/// Refuses a database that is not the one of all these markers.
pub(super) fn refuse_replaced(
    markers: &[Marker],
    found: Uuid,
    path: &Path,
) -> Result<(), OpenError> {
    match markers.iter().find(|marker| marker.memory.identity.cluster != found) {
        Some(marker) => Err(OpenError::DatabaseReplaced {
            marker: marker.path.clone(),
            database: path.to_owned(),
            expected: marker.memory.identity.cluster,
            found,
        }),
        None => Ok(()),
    }
}

/// The operator has confirmed: from now on the markers remember this database.
pub(super) fn confirm(
    places: &Places,
    identity: &Identity,
    transactions: u64,
    path: &Path,
    safely: bool,
) -> Result<(), OpenError> {
    if safely {
        return places.confirm(identity, transactions, path).map_err(OpenError::Marker);
    }
    let markers = places.read();
    let agrees = |Marker { memory, .. }: &Marker| {
        identity.is_remembered_by(&memory.identity)
            && memory.transactions <= transactions
            && memory.halted.is_none()
    };
    if markers.as_ref().is_ok_and(|markers| markers.iter().all(agrees)) {
        tracing::warn!(
            "{CONFIRM_OPTION} confirms nothing: the slashing protection database is the one that \
             was in use. Take the option away; left in place it would accept a lost database, too"
        );
        return Ok(());
    }
    tracing::warn!(
        database = %path.display(), cluster = %identity.cluster,
        "this slashing protection database was confirmed by {CONFIRM_OPTION}: what was signed with \
         another one is not known here. Take the option away now"
    );
    places.confirm(identity, transactions, path).map_err(OpenError::Marker)
}

/// What the operator must know of the floors of so many keys.
pub(super) fn tell_of_safe_start(path: &Path, floors: SafeFloors, keys: u64) {
    let SafeFloors { epoch, slot } = floors;
    tracing::warn!(
        database = %path.display(), keys, %epoch, %slot,
        "{SAFE_START_OPTION}: no key attests to a target up to this epoch or proposes up to this \
         slot, and none attests before the chain has justified this epoch. Take the option away \
         now: every start with it costs each key one duty"
    );
}
