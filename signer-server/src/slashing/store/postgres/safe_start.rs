//! Making a database safe that may not know everything that was signed, and telling it from its
//! copies.
//!
//! Other signers may be at work on it. What they sign later obeys the new floors; and because each
//! batch asks whether the database still has the identity that its signer began with, a renewed
//! identity halts them until they are started again. Their markers then remember another database,
//! so that the operator looks at each of them.

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::slashing::{SafeFloors, StoreError, store::rows::to_stored};

/// For so long after a safe start gave the database its identity, another safe start keeps it:
/// signers that are started together do not halt each other.
const TOGETHER: &str = "10 minutes";

const RENEW: &str = "UPDATE sp_meta SET cluster = $1::uuid";

const RENEW_ONCE: &str = "UPDATE sp_meta SET cluster = $1::uuid, safe_start_at = now() \
     WHERE $2 OR safe_start_at IS NULL \
     OR safe_start_at NOT BETWEEN now() - $3::interval AND now()";

/// Raises the floors of all keys, and of those that are registered later, in one transaction. None
/// goes down. Returns how many keys there are.
///
/// The database gets a new identity: any other copy of it lacks these floors, and what is signed
/// above them. Only when another safe start has just given it one may it keep that, and not even
/// then when `has_lost_records`.
pub(super) async fn start_safely(
    connection: &mut PgConnection,
    floors: SafeFloors,
    has_lost_records: bool,
) -> Result<u64, StoreError> {
    let mut transaction = connection.begin().await?;
    let keys: i64 = sqlx::query_scalar("SELECT sp_raise_all_floors($1, $2)")
        .bind(to_stored(floors.epoch.0))
        .bind(to_stored(floors.slot.0))
        .fetch_one(&mut *transaction)
        .await?;
    sqlx::query(RENEW_ONCE)
        .bind(Uuid::new_v4().to_string())
        .bind(has_lost_records)
        .bind(TOGETHER)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(keys.unsigned_abs())
}

/// Makes this another database than all its copies.
pub(super) async fn renew_identity(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query(RENEW).bind(Uuid::new_v4().to_string()).execute(connection).await?;
    Ok(())
}
