//! Databases as Web3Signer leaves them, and its way of writing to them: what a migration reads, and
//! what it must keep from going on behind its back.

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, Executor, PgConnection};

use super::{PostgresCluster, TestDatabase, cluster::execute};

/// Version that Web3Signer 26 wants, and the only one it starts with.
pub const WEB3SIGNER_VERSION: i32 = 12;

/// Each brings a database to its version from the one before.
const SCHEMA: [(i32, &str); 5] = [
    (8, include_str!("../../fixtures/web3signer-schema/08.sql")),
    (9, include_str!("../../fixtures/web3signer-schema/09.sql")),
    (10, include_str!("../../fixtures/web3signer-schema/10.sql")),
    (11, include_str!("../../fixtures/web3signer-schema/11.sql")),
    (12, include_str!("../../fixtures/web3signer-schema/12.sql")),
];

/// First half of an advisory lock's name; the second is the key's number.
const BLOCK_LOCK: i32 = 0;
const ATTESTATION_LOCK: i32 = 1;

impl PostgresCluster {
    /// A database with Web3Signer's empty tables at this version, 8 to 12.
    ///
    /// # Errors
    /// When the version is another one or the server does not answer.
    pub async fn web3signer_database(&self, version: i32) -> Result<TestDatabase> {
        let known = SCHEMA.iter().any(|&(known, _)| known == version);
        ensure!(known, "no schema of Web3Signer at version {version}");
        let database = self.database().await?;
        let mut connection = database.connect().await?;
        for (_, sql) in SCHEMA.iter().filter(|&&(step, _)| step <= version) {
            execute(&mut connection, (*sql).to_owned()).await?;
        }
        connection.close().await?;
        Ok(database)
    }
}

/// One worker of a Web3Signer: a connection, and what it reads and writes in its transactions, with
/// its locks. Of no further use after an error.
#[derive(Debug)]
pub struct Web3SignerWorker {
    connection: PgConnection,
    version: i32,
}

impl Web3SignerWorker {
    /// Connects as a Web3Signer that was built for this version of the database does.
    ///
    /// # Errors
    /// When the database has another version: Web3Signer refuses to start then.
    pub async fn start(database: &TestDatabase, version: i32) -> Result<Self> {
        let mut connection = database.connect().await?;
        let sql = "SELECT version FROM database_version WHERE id = 1";
        let found: i32 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        ensure!(found == version, "the database has version {found}, not {version}");
        Ok(Self { connection, version })
    }

    /// Registers a key of 48 bytes, as loading it does, and gives its number.
    ///
    /// # Errors
    /// When the database refuses it.
    pub async fn register(&mut self, public_key: &[u8]) -> Result<i32> {
        let sql = if self.version >= 9 {
            "SELECT id FROM upsert_validators(ARRAY[$1::bytea])"
        } else {
            "INSERT INTO validators (public_key) VALUES ($1) \
             ON CONFLICT (public_key) DO UPDATE SET public_key = excluded.public_key RETURNING id"
        };
        Ok(sqlx::query_scalar(sql).bind(public_key).fetch_one(&mut self.connection).await?)
    }

    /// Pins the network on first use; gives whether the pinned one is this.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pin_network(&mut self, genesis_validators_root: &[u8; 32]) -> Result<bool> {
        sqlx::query(
            "INSERT INTO metadata (id, genesis_validators_root) VALUES (1, $1) ON CONFLICT DO NOTHING",
        )
        .bind(&genesis_validators_root[..])
        .execute(&mut self.connection)
        .await?;
        let sql = "SELECT genesis_validators_root = $1 FROM metadata";
        let root = &genesis_validators_root[..];
        Ok(sqlx::query_scalar(sql).bind(root).fetch_one(&mut self.connection).await?)
    }

    /// Asks for leave to sign an attestation, in one transaction; true when the signature would be
    /// released.
    ///
    /// # Errors
    /// When the database does not answer; the signature would be withheld.
    pub async fn may_attest(
        &mut self,
        validator: i32,
        (source, target): (i64, i64),
        root: &[u8; 32],
    ) -> Result<bool> {
        let allowed = self.decide_attestation(validator, (source, target), root).await?;
        self.commit().await?;
        Ok(allowed)
    }

    /// As [`Self::may_attest`] up to its commit: a request in flight, with its locks held.
    ///
    /// # Errors
    /// As [`Self::may_attest`].
    pub async fn decide_attestation(
        &mut self,
        validator: i32,
        (source, target): (i64, i64),
        root: &[u8; 32],
    ) -> Result<bool> {
        self.begin(ATTESTATION_LOCK, validator).await?;
        if source > target || !self.is_enabled(validator).await? {
            return Ok(false);
        }
        if self.version >= 12 {
            let high = "SELECT FROM metadata \
                WHERE $1::int8 >= high_watermark_epoch OR $2::int8 >= high_watermark_epoch";
            if self.finds(sqlx::query(high).bind(source).bind(target)).await? {
                return Ok(false);
            }
        }
        for refusal in [
            "SELECT FROM low_watermarks \
             WHERE validator_id = $1 AND ($2::int8 < source_epoch OR $3::int8 < target_epoch)",
            "SELECT FROM signed_attestations \
             WHERE validator_id = $1 AND source_epoch < $2::int8 AND target_epoch > $3::int8",
            "SELECT FROM signed_attestations \
             WHERE validator_id = $1 AND source_epoch > $2::int8 AND target_epoch < $3::int8",
        ] {
            let refusal = sqlx::query(refusal).bind(validator).bind(source).bind(target);
            if self.finds(refusal).await? {
                return Ok(false);
            }
        }
        let known = "SELECT signing_root IS NOT DISTINCT FROM $3 FROM signed_attestations \
            WHERE validator_id = $1 AND target_epoch = $2::int8";
        let known = sqlx::query_scalar(known).bind(validator).bind(target).bind(&root[..]);
        if let Some(is_same) = known.fetch_optional(&mut self.connection).await? {
            return Ok(is_same);
        }
        let record = "INSERT INTO signed_attestations \
            (validator_id, source_epoch, target_epoch, signing_root) VALUES ($1, $2, $3, $4)";
        let record = sqlx::query(record).bind(validator).bind(source).bind(target).bind(&root[..]);
        self.connection.execute(record).await?;
        let watermark = "INSERT INTO low_watermarks AS low \
            (validator_id, source_epoch, target_epoch) VALUES ($1, $2, $3) \
            ON CONFLICT (validator_id) DO UPDATE SET source_epoch = excluded.source_epoch, \
            target_epoch = excluded.target_epoch WHERE low.target_epoch IS NULL";
        let watermark = sqlx::query(watermark).bind(validator).bind(source).bind(target);
        self.connection.execute(watermark).await?;
        Ok(true)
    }

    /// Asks for leave to sign a block, in one transaction; true when the signature would be released.
    ///
    /// # Errors
    /// When the database does not answer; the signature would be withheld.
    pub async fn may_propose(
        &mut self,
        validator: i32,
        slot: i64,
        root: &[u8; 32],
    ) -> Result<bool> {
        let allowed = self.decide_block(validator, slot, root).await?;
        self.commit().await?;
        Ok(allowed)
    }

    /// As [`Self::may_propose`] up to its commit: a request in flight, with its locks held.
    ///
    /// # Errors
    /// As [`Self::may_propose`].
    pub async fn decide_block(
        &mut self,
        validator: i32,
        slot: i64,
        root: &[u8; 32],
    ) -> Result<bool> {
        self.begin(BLOCK_LOCK, validator).await?;
        if !self.is_enabled(validator).await? {
            return Ok(false);
        }
        if self.version >= 12 {
            let high = "SELECT FROM metadata WHERE $1::int8 >= high_watermark_slot";
            if self.finds(sqlx::query(high).bind(slot)).await? {
                return Ok(false);
            }
        }
        let low = "SELECT FROM low_watermarks WHERE validator_id = $1 AND $2::int8 < slot";
        if self.finds(sqlx::query(low).bind(validator).bind(slot)).await? {
            return Ok(false);
        }
        let known = "SELECT signing_root IS NOT DISTINCT FROM $3 FROM signed_blocks \
            WHERE validator_id = $1 AND slot = $2::int8";
        let known = sqlx::query_scalar(known).bind(validator).bind(slot).bind(&root[..]);
        if let Some(is_same) = known.fetch_optional(&mut self.connection).await? {
            return Ok(is_same);
        }
        let record =
            "INSERT INTO signed_blocks (validator_id, slot, signing_root) VALUES ($1, $2, $3)";
        let record = sqlx::query(record).bind(validator).bind(slot).bind(&root[..]);
        self.connection.execute(record).await?;
        let watermark = "INSERT INTO low_watermarks AS low (validator_id, slot) VALUES ($1, $2) \
            ON CONFLICT (validator_id) DO UPDATE SET slot = excluded.slot WHERE low.slot IS NULL";
        let watermark = sqlx::query(watermark).bind(validator).bind(slot);
        self.connection.execute(watermark).await?;
        Ok(true)
    }

    /// Ends what [`Self::decide_attestation`] or [`Self::decide_block`] began.
    ///
    /// # Errors
    /// When it is not known to be committed.
    pub async fn commit(&mut self) -> Result<()> {
        self.connection.execute("COMMIT").await.context("the outcome is unknown")?;
        Ok(())
    }

    async fn begin(&mut self, kind: i32, validator: i32) -> Result<()> {
        self.connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let lock = sqlx::query("SELECT pg_advisory_xact_lock($1, $2)").bind(kind).bind(validator);
        self.connection.execute(lock).await?;
        Ok(())
    }

    /// Before version 10 every registered key is enabled, and the table is read all the same.
    async fn is_enabled(&mut self, validator: i32) -> Result<bool> {
        let sql = if self.version >= 10 {
            "SELECT enabled FROM validators WHERE id = $1"
        } else {
            "SELECT true FROM validators WHERE id = $1"
        };
        let enabled = sqlx::query_scalar(sql).bind(validator);
        enabled.fetch_optional(&mut self.connection).await?.context("a key that is not registered")
    }

    async fn finds(
        &mut self,
        query: sqlx::query::Query<'_, sqlx::Postgres, sqlx::postgres::PgArguments>,
    ) -> Result<bool> {
        Ok(self.connection.fetch_optional(query).await?.is_some())
    }
}
