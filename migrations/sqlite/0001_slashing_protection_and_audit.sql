-- Slashing protection (EIP-3076) and the audit trail, for one process that owns the file.
--
-- Slots and epochs are below 2^63. In the state tables -1 stands for "none yet".
-- Roots are 32 bytes; a root that is unknown is NULL and equals no other root.
-- Times are microseconds since 1970-01-01 UTC.

-- What holds for the whole database; exactly one row.
CREATE TABLE sp_meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- Identity of this database, also written to the markers that are kept apart from it.
  cluster BLOB NOT NULL CHECK (length(cluster) = 16),
  -- NULL until the network or the first protected signature pins it.
  genesis_validators_root BLOB CHECK (length(genesis_validators_root) = 32),
  -- Nothing at or above these is signed.
  high_epoch INTEGER CHECK (high_epoch >= 0),
  high_slot INTEGER CHECK (high_slot >= 0),
  -- Transactions that recorded blocks or attestations: a database with fewer than before has lost
  -- records, even if no maximum tells.
  batches INTEGER NOT NULL DEFAULT 0 CHECK (batches >= 0),
  CHECK ((high_epoch IS NULL) = (high_slot IS NULL))
) STRICT;

CREATE TABLE validator (
  id INTEGER PRIMARY KEY,
  pubkey BLOB NOT NULL UNIQUE CHECK (length(pubkey) = 48)
) STRICT;

-- Floors: nothing at or below (source: below) is signed unless it repeats a stored record.
-- Maxima: never below any stored record or floor of the key. Neither ever decreases.
CREATE TABLE att_state (
  validator_id INTEGER PRIMARY KEY REFERENCES validator (id),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  floor_source INTEGER NOT NULL DEFAULT -1,
  floor_target INTEGER NOT NULL DEFAULT -1,
  max_source INTEGER NOT NULL DEFAULT -1,
  max_target INTEGER NOT NULL DEFAULT -1,
  CHECK ((floor_source < 0) = (floor_target < 0)),
  CHECK ((max_source < 0) = (max_target < 0)),
  CHECK (floor_source <= max_source AND floor_target <= max_target)
) STRICT;

CREATE TABLE blk_state (
  validator_id INTEGER PRIMARY KEY REFERENCES validator (id),
  enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
  floor_slot INTEGER NOT NULL DEFAULT -1,
  max_slot INTEGER NOT NULL DEFAULT -1,
  CHECK (floor_slot <= max_slot)
) STRICT;

-- origin: 0 signed here, 1 imported. The primary keys are the last guard against a double vote or
-- a double proposal, should the state above ever be wrong.
CREATE TABLE signed_attestation (
  validator_id INTEGER NOT NULL,
  target_epoch INTEGER NOT NULL CHECK (target_epoch >= 0),
  source_epoch INTEGER NOT NULL CHECK (source_epoch >= 0),
  signing_root BLOB CHECK (length(signing_root) = 32),
  signed_at INTEGER NOT NULL,
  origin INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (validator_id, target_epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE signed_block (
  validator_id INTEGER NOT NULL,
  slot INTEGER NOT NULL CHECK (slot >= 0),
  signing_root BLOB CHECK (length(signing_root) = 32),
  signed_at INTEGER NOT NULL,
  origin INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (validator_id, slot)
) STRICT, WITHOUT ROWID;

-- One row per signing request. Ids ascend in the order in which requests arrived.
CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,
  instance TEXT NOT NULL,
  client_address TEXT,
  -- Name from the client's certificate or token.
  client_name TEXT,
  client_fingerprint TEXT,
  -- The requested key; `identifier` is what the request named when that is no public key.
  public_key BLOB CHECK (length(public_key) = 48),
  identifier TEXT,
  duty_type TEXT,
  slot INTEGER,
  epoch INTEGER,
  signing_root BLOB CHECK (length(signing_root) = 32),
  outcome TEXT NOT NULL,
  reason TEXT,
  -- Microseconds waited for a signing thread, spent in this database, and spent signing.
  queue_us INTEGER,
  database_us INTEGER,
  bls_us INTEGER
) STRICT;
