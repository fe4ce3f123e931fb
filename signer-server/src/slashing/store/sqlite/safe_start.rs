//! Making a database safe that may not know everything that was signed.

use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use crate::slashing::{SafeFloors, StoreError, store::rows::to_stored};

const ATTESTATIONS: &str = "UPDATE att_state SET \
     floor_source = max(floor_source, $1), floor_target = max(floor_target, $1), \
     max_source = max(max_source, $1), max_target = max(max_target, $1)";

const BLOCKS: &str =
    "UPDATE blk_state SET floor_slot = max(floor_slot, $1), max_slot = max(max_slot, $1)";

const KEYS_TO_COME: &str = "UPDATE sp_meta SET \
     first_floor_epoch = max(coalesce(first_floor_epoch, -1), $1), \
     first_floor_slot = max(coalesce(first_floor_slot, -1), $2)";

/// Raises the floors of all keys, and of those that are registered later, in one transaction. None
/// goes down. Returns how many keys there are.
///
/// The database gets a new identity: any other copy of it lacks these floors, and what is signed
/// above them.
pub(super) async fn raise_all_floors(
    connection: &mut SqliteConnection,
    floors: SafeFloors,
) -> Result<u64, StoreError> {
    let (epoch, slot) = (to_stored(floors.epoch.0), to_stored(floors.slot.0));
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let keys = sqlx::query(ATTESTATIONS).bind(epoch).execute(&mut *transaction).await?;
    sqlx::query(BLOCKS).bind(slot).execute(&mut *transaction).await?;
    sqlx::query(KEYS_TO_COME).bind(epoch).bind(slot).execute(&mut *transaction).await?;
    renew_identity(&mut transaction).await?;
    transaction.commit().await?;
    Ok(keys.rows_affected())
}

/// Makes this another database than all its copies.
pub(super) async fn renew_identity(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE sp_meta SET cluster = $1, batches = batches + 1")
        .bind(Uuid::new_v4().as_bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(())
}
