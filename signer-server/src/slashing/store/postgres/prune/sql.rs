//! The statements of pruning.

use sqlx::{Connection, PgConnection, Row};

use crate::slashing::store::{StoreError, rows::stored_number};

/// Signing goes first: whoever holds a lock is waited for less long than the server takes to look
/// for a deadlock, so that this is always the side that gives up.
const SETTINGS: &str = "SELECT set_config('lock_timeout', '500ms', false), \
     set_config('statement_timeout', '60s', false)";

/// Until the connection ends.
const TAKE_TURN: &str =
    "SELECT pg_try_advisory_lock(hashtext('midslot pruning'), hashtext(current_schema()))";

const NEWEST_ATTESTATIONS: &str = "SELECT v.id, n.newest FROM \
     (SELECT id FROM validator WHERE id > $1 ORDER BY id LIMIT $2) v \
     LEFT JOIN LATERAL (SELECT h.target_epoch AS newest FROM signed_attestation h \
       WHERE h.validator_id = v.id ORDER BY h.target_epoch DESC LIMIT 1) n ON true ORDER BY v.id";

const NEWEST_BLOCKS: &str = "SELECT v.id, n.newest FROM \
     (SELECT id FROM validator WHERE id > $1 ORDER BY id LIMIT $2) v \
     LEFT JOIN LATERAL (SELECT h.slot AS newest FROM signed_block h \
       WHERE h.validator_id = v.id ORDER BY h.slot DESC LIMIT 1) n ON true ORDER BY v.id";

/// Of those keys whose floors are not there yet.
const OLD_ATTESTATIONS: &str = "SELECT k.id, o.source, o.target \
     FROM unnest($1::int[], $2::bigint[]) AS k (id, cut) \
     JOIN att_state s ON s.validator_id = k.id \
     CROSS JOIN LATERAL (SELECT max(h.source_epoch) AS source, max(h.target_epoch) AS target \
       FROM signed_attestation h WHERE h.validator_id = k.id AND h.target_epoch < k.cut \
       AND h.target_epoch < $3) o \
     WHERE o.target > s.floor_target OR o.source > s.floor_source ORDER BY k.id";

const OLD_BLOCKS: &str = "SELECT k.id, o.slot FROM unnest($1::int[], $2::bigint[]) AS k (id, cut) \
     JOIN blk_state s ON s.validator_id = k.id \
     CROSS JOIN LATERAL (SELECT max(h.slot) AS slot FROM signed_block h \
       WHERE h.validator_id = k.id AND h.slot < k.cut) o \
     WHERE o.slot > s.floor_slot ORDER BY k.id";

/// In the order in which signing locks.
const LOCK_ATTESTATIONS: &str = "SELECT FROM att_state WHERE validator_id = ANY ($1) \
     ORDER BY validator_id FOR NO KEY UPDATE";

const LOCK_BLOCKS: &str = "SELECT FROM blk_state WHERE validator_id = ANY ($1) \
     ORDER BY validator_id FOR NO KEY UPDATE";

const RAISE_ATTESTATIONS: &str = "UPDATE att_state s SET \
     floor_source = GREATEST(s.floor_source, t.source), \
     floor_target = GREATEST(s.floor_target, t.target), \
     max_source = GREATEST(s.max_source, t.source), \
     max_target = GREATEST(s.max_target, t.target) \
     FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS t (id, source, target) \
     WHERE s.validator_id = t.id";

const RAISE_BLOCKS: &str = "UPDATE blk_state s SET \
     floor_slot = GREATEST(s.floor_slot, t.slot), max_slot = GREATEST(s.max_slot, t.slot) \
     FROM unnest($1::int[], $2::bigint[]) AS t (id, slot) WHERE s.validator_id = t.id";

/// A row goes only if the floors of its key forbid all that it forbids.
const DELETE_ATTESTATIONS: &str = "WITH gone AS MATERIALIZED (SELECT h.* \
       FROM unnest($1::int[], $2::bigint[]) AS k (id, cut) \
       JOIN att_state s ON s.validator_id = k.id \
       CROSS JOIN LATERAL (SELECT h.validator_id, h.target_epoch FROM signed_attestation h \
         WHERE h.validator_id = k.id AND h.target_epoch < k.cut AND h.target_epoch < $3 \
         AND h.target_epoch <= s.floor_target AND h.source_epoch <= s.floor_source) h \
       LIMIT $4) \
     DELETE FROM signed_attestation d USING gone g WHERE d.validator_id = g.validator_id \
       AND d.target_epoch = g.target_epoch AND d.target_epoch < $3";

const DELETE_BLOCKS: &str = "WITH gone AS MATERIALIZED (SELECT h.* \
       FROM unnest($1::int[], $2::bigint[]) AS k (id, cut) \
       JOIN blk_state s ON s.validator_id = k.id \
       CROSS JOIN LATERAL (SELECT h.validator_id, h.slot FROM signed_block h \
         WHERE h.validator_id = k.id AND h.slot < k.cut AND h.slot <= s.floor_slot) h \
       LIMIT $3) \
     DELETE FROM signed_block d USING gone g \
     WHERE d.validator_id = g.validator_id AND d.slot = g.slot";

/// Prepares a connection and takes the turn; `false` when another signer prunes.
pub(super) async fn take_turn(connection: &mut PgConnection) -> Result<bool, StoreError> {
    sqlx::query(SETTINGS).execute(&mut *connection).await?;
    Ok(sqlx::query_scalar(TAKE_TURN).fetch_one(connection).await?)
}

async fn newest(
    connection: &mut PgConnection,
    statement: &'static str,
    after: i32,
    keys: i64,
) -> Result<Vec<(i32, Option<u64>)>, StoreError> {
    let rows = sqlx::query(statement).bind(after).bind(keys).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, stored_number(row, "newest")?))).collect()
}

/// The highest target of each of the next keys, by id.
pub(super) async fn newest_attestations(
    connection: &mut PgConnection,
    after: i32,
    keys: i64,
) -> Result<Vec<(i32, Option<u64>)>, StoreError> {
    newest(connection, NEWEST_ATTESTATIONS, after, keys).await
}

/// The highest slot of each of the next keys, by id.
pub(super) async fn newest_blocks(
    connection: &mut PgConnection,
    after: i32,
    keys: i64,
) -> Result<Vec<(i32, Option<u64>)>, StoreError> {
    newest(connection, NEWEST_BLOCKS, after, keys).await
}

fn must_reach(moved: u64, keys: usize) -> Result<(), StoreError> {
    match (keys as u64).saturating_sub(moved) {
        0 => Ok(()),
        missing => Err(StoreError::StateMissing { missing }),
    }
}

/// Raises floors to what goes of these keys. No cut is above `highest`.
pub(super) async fn raise_attestation_floors(
    connection: &mut PgConnection,
    ids: &[i32],
    cuts: &[i64],
    highest: i64,
) -> Result<(), StoreError> {
    let old = sqlx::query(OLD_ATTESTATIONS).bind(ids).bind(cuts).bind(highest);
    let (mut ids, mut sources, mut targets) = (Vec::new(), Vec::new(), Vec::new());
    for row in old.fetch_all(&mut *connection).await? {
        ids.push(row.try_get::<i32, _>("id")?);
        sources.push(row.try_get::<i64, _>("source")?);
        targets.push(row.try_get::<i64, _>("target")?);
    }
    if ids.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK_ATTESTATIONS).bind(&ids).execute(&mut *transaction).await?;
    let raise = sqlx::query(RAISE_ATTESTATIONS).bind(&ids).bind(sources).bind(targets);
    must_reach(raise.execute(&mut *transaction).await?.rows_affected(), ids.len())?;
    Ok(transaction.commit().await?)
}

/// The same for blocks.
pub(super) async fn raise_block_floors(
    connection: &mut PgConnection,
    ids: &[i32],
    cuts: &[i64],
) -> Result<(), StoreError> {
    let (mut moved, mut slots) = (Vec::new(), Vec::new());
    let old = sqlx::query(OLD_BLOCKS).bind(ids).bind(cuts);
    for row in old.fetch_all(&mut *connection).await? {
        moved.push(row.try_get::<i32, _>("id")?);
        slots.push(row.try_get::<i64, _>("slot")?);
    }
    if moved.is_empty() {
        return Ok(());
    }
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK_BLOCKS).bind(&moved).execute(&mut *transaction).await?;
    let raise = sqlx::query(RAISE_BLOCKS).bind(&moved).bind(slots);
    must_reach(raise.execute(&mut *transaction).await?.rows_affected(), moved.len())?;
    Ok(transaction.commit().await?)
}

/// Drops a partition and tells how many rows it had; `None` when some of them stay.
pub(super) async fn drop_partition(
    connection: &mut PgConnection,
    number: i64,
    ids: &[i32],
    cuts: &[i64],
) -> Result<Option<u64>, StoreError> {
    let rows: Option<i64> = sqlx::query_scalar("SELECT sp_drop_attestation_partition($1, $2, $3)")
        .bind(number)
        .bind(ids)
        .bind(cuts)
        .fetch_one(connection)
        .await?;
    Ok(rows.map(i64::unsigned_abs))
}

/// Deletes at most `limit` of the rows below the cuts; returns how many went.
pub(super) async fn delete_attestations(
    connection: &mut PgConnection,
    ids: &[i32],
    cuts: &[i64],
    highest: i64,
    limit: i64,
) -> Result<u64, StoreError> {
    let delete = sqlx::query(DELETE_ATTESTATIONS).bind(ids).bind(cuts).bind(highest).bind(limit);
    Ok(delete.execute(connection).await?.rows_affected())
}

/// The same for blocks.
pub(super) async fn delete_blocks(
    connection: &mut PgConnection,
    ids: &[i32],
    cuts: &[i64],
    limit: i64,
) -> Result<u64, StoreError> {
    let delete = sqlx::query(DELETE_BLOCKS).bind(ids).bind(cuts).bind(limit);
    Ok(delete.execute(connection).await?.rows_affected())
}
