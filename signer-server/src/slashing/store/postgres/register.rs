//! Keys and their ids.

use signer_client::wire::PublicKey;
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::slashing::{StoreError, store::rows::public_key};

/// Makes state for keys that have none and returns the ids of all.
pub(super) async fn register(
    connection: &mut PgConnection,
    keys: &[PublicKey],
) -> Result<Vec<(PublicKey, i32)>, StoreError> {
    ids(sqlx::query("SELECT id, pubkey FROM sp_register($1)"), connection, keys).await
}

/// Finds keys that another signer registered.
pub(super) async fn look_up(
    connection: &mut PgConnection,
    keys: &[PublicKey],
) -> Result<Vec<(PublicKey, i32)>, StoreError> {
    ids(sqlx::query("SELECT id, pubkey FROM validator WHERE pubkey = ANY ($1)"), connection, keys)
        .await
}

/// All keys.
pub(super) async fn all(
    connection: &mut PgConnection,
) -> Result<Vec<(PublicKey, i32)>, StoreError> {
    let rows = sqlx::query("SELECT id, pubkey FROM validator").fetch_all(connection).await?;
    rows.iter().map(key_and_id).collect()
}

async fn ids(
    query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    connection: &mut PgConnection,
    keys: &[PublicKey],
) -> Result<Vec<(PublicKey, i32)>, StoreError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
    query.bind(keys).fetch_all(connection).await?.iter().map(key_and_id).collect()
}

fn key_and_id(row: &PgRow) -> Result<(PublicKey, i32), StoreError> {
    Ok((public_key(row)?, row.try_get("id")?))
}
