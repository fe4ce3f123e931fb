-- Slashing protection (EIP-3076) and the audit trail, shared by any number of signers.
--
-- Slots and epochs are below 2^63. In the state tables -1 stands for "none yet".
-- Roots are 32 bytes; a root that is unknown is NULL and equals no other root.
-- There are no foreign keys and no second indexes on the tables that every signature writes.

-- What holds for the whole database; exactly one row.
CREATE TABLE sp_meta (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- Identity of this database, also written to the markers that are kept apart from it.
  cluster uuid NOT NULL,
  -- NULL until the network or the first protected signature pins it.
  genesis_validators_root bytea CHECK (octet_length(genesis_validators_root) = 32),
  -- Nothing at or above these is signed.
  high_epoch bigint CHECK (high_epoch >= 0),
  high_slot bigint CHECK (high_slot >= 0),
  CHECK ((high_epoch IS NULL) = (high_slot IS NULL))
);

CREATE TABLE validator (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pubkey bytea NOT NULL UNIQUE CHECK (octet_length(pubkey) = 48)
);

-- Floors: nothing at or below (source: below) is signed unless it repeats a stored record.
-- Maxima: never below any stored record or floor of the key. Neither ever decreases.
-- Two tables, so that a block never waits behind a batch of attestations. Half-filled pages leave
-- room for the new version of a row beside the old one.
CREATE TABLE att_state (
  validator_id integer PRIMARY KEY,
  enabled boolean NOT NULL DEFAULT true,
  floor_source bigint NOT NULL DEFAULT -1,
  floor_target bigint NOT NULL DEFAULT -1,
  max_source bigint NOT NULL DEFAULT -1,
  max_target bigint NOT NULL DEFAULT -1,
  CHECK ((floor_source < 0) = (floor_target < 0)),
  CHECK ((max_source < 0) = (max_target < 0)),
  CHECK (floor_source <= max_source AND floor_target <= max_target)
) WITH (fillfactor = 50);

CREATE TABLE blk_state (
  validator_id integer PRIMARY KEY,
  enabled boolean NOT NULL DEFAULT true,
  floor_slot bigint NOT NULL DEFAULT -1,
  max_slot bigint NOT NULL DEFAULT -1,
  CHECK (floor_slot <= max_slot)
) WITH (fillfactor = 50);

-- origin: 0 signed here, 1 imported. The primary keys are the last guard against a double vote or
-- a double proposal, should the state above ever be wrong.
-- Partition n holds the target epochs from 225 n (about one day of mainnet), so that pruning drops
-- whole tables.
CREATE TABLE signed_attestation (
  validator_id integer NOT NULL,
  target_epoch bigint NOT NULL CHECK (target_epoch >= 0),
  source_epoch bigint NOT NULL CHECK (source_epoch >= 0),
  signing_root bytea CHECK (octet_length(signing_root) = 32),
  signed_at timestamptz NOT NULL DEFAULT now(),
  origin smallint NOT NULL DEFAULT 0,
  PRIMARY KEY (validator_id, target_epoch)
) PARTITION BY RANGE (target_epoch);

CREATE TABLE signed_block (
  validator_id integer NOT NULL,
  slot bigint NOT NULL CHECK (slot >= 0),
  signing_root bytea CHECK (octet_length(signing_root) = 32),
  signed_at timestamptz NOT NULL DEFAULT now(),
  origin smallint NOT NULL DEFAULT 0,
  PRIMARY KEY (validator_id, slot)
);

-- One row per signing request. An id is 1024 times the microseconds since 1970-01-01 UTC plus the
-- number of the signer, so that ids of all signers ascend with time. Partitioned by day.
CREATE TABLE audit (
  id bigint PRIMARY KEY CHECK (id >= 0),
  -- Microseconds since 1970-01-01 UTC.
  received_at bigint NOT NULL,
  instance text NOT NULL,
  client_address text,
  -- Name from the client's certificate or token.
  client_name text,
  client_fingerprint text,
  -- The requested key; `identifier` is what the request named when that is no public key.
  public_key bytea CHECK (octet_length(public_key) = 48),
  identifier text,
  duty_type text,
  slot bigint,
  epoch bigint,
  signing_root bytea CHECK (octet_length(signing_root) = 32),
  outcome text NOT NULL,
  reason text,
  -- Microseconds waited for a signing thread, spent in this database, and spent signing.
  queue_us bigint,
  database_us bigint,
  bls_us bigint
) PARTITION BY RANGE (id);

-- Numbers of the signers in audit ids.
CREATE SEQUENCE signer_instance;

-- Makes the partitions of these numbers where they are missing. A table is filled with nothing and
-- then attached, which does not hold up those who write to the others. It runs with its owner's
-- rights, so that a signer that may not change the schema still gets its partitions.
CREATE FUNCTION sp_make_attestation_partitions(numbers bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  epochs CONSTANT bigint := 225;
  number bigint;
  name text;
  upper text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('midslot partitions'), hashtext(current_schema()));
  FOR number IN SELECT DISTINCT n FROM unnest(numbers) AS n WHERE n >= 0 ORDER BY n LOOP
    name := 'signed_attestation_p' || number;
    CONTINUE WHEN to_regclass(name) IS NOT NULL;
    upper := CASE WHEN number >= 9223372036854775807 / epochs THEN 'MAXVALUE'
                  ELSE ((number + 1) * epochs)::text END;
    EXECUTE format('CREATE TABLE %I (LIKE signed_attestation INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE signed_attestation ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, number * epochs, upper);
  END LOOP;
END $$;

-- The same for the days, counted from 1970-01-01, of the audit.
CREATE FUNCTION sp_make_audit_partitions(days bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  ids_per_day CONSTANT bigint := 86400000000 * 1024;
  day bigint;
  name text;
  upper text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('midslot partitions'), hashtext(current_schema()));
  FOR day IN SELECT DISTINCT n FROM unnest(days) AS n WHERE n >= 0 ORDER BY n LOOP
    name := 'audit_d' || to_char(date '1970-01-01' + day::integer, 'YYYYMMDD');
    CONTINUE WHEN to_regclass(name) IS NOT NULL;
    upper := CASE WHEN day >= 9223372036854775807 / ids_per_day THEN 'MAXVALUE'
                  ELSE ((day + 1) * ids_per_day)::text END;
    EXECUTE format('CREATE TABLE %I (LIKE audit INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE audit ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)',
                   name, day * ids_per_day, upper);
  END LOOP;
END $$;

-- Makes state for keys that have none, always in the same order, and tells the ids of all of them.
CREATE FUNCTION sp_register(pubkeys bytea[]) RETURNS TABLE (id integer, pubkey bytea)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  -- A row that is there is not tried again: each try would use up a number.
  INSERT INTO validator (pubkey)
    SELECT DISTINCT k.key FROM unnest(pubkeys) AS k (key)
    WHERE NOT EXISTS (SELECT FROM validator v WHERE v.pubkey = k.key)
    ORDER BY k.key
    ON CONFLICT DO NOTHING;
  INSERT INTO att_state (validator_id)
    SELECT v.id FROM validator v WHERE v.pubkey = ANY (pubkeys)
      AND NOT EXISTS (SELECT FROM att_state s WHERE s.validator_id = v.id)
    ORDER BY v.id
    ON CONFLICT DO NOTHING;
  INSERT INTO blk_state (validator_id)
    SELECT v.id FROM validator v WHERE v.pubkey = ANY (pubkeys)
      AND NOT EXISTS (SELECT FROM blk_state s WHERE s.validator_id = v.id)
    ORDER BY v.id
    ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT v.id, v.pubkey FROM validator v WHERE v.pubkey = ANY (pubkeys);
END $$;

-- Verdicts of the two functions below:
--   1 new, recorded        2 repeat of a record     3 surrounds or is surrounded
--   4 at or below a floor  5 double                 6 at or above the high watermark
--   7 source after target  8 disabled               9 no state
--   10 no chain pinned     11 another chain

-- What only the history of a key tells about an attestation. Call it with the key's state locked.
CREATE FUNCTION sp_attest_by_history(
  vid integer, src bigint, tgt bigint, root bytea, floor_source bigint, floor_target bigint
) RETURNS smallint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  earlier record;
BEGIN
  SELECT a.source_epoch, a.signing_root INTO earlier
    FROM signed_attestation a WHERE a.validator_id = vid AND a.target_epoch = tgt;
  IF FOUND THEN
    -- An unknown root equals nothing, so the comparison with it is never true.
    RETURN CASE WHEN earlier.source_epoch = src AND earlier.signing_root = root THEN 2 ELSE 5 END;
  END IF;
  IF tgt <= floor_target OR src < floor_source THEN
    RETURN 4;
  END IF;
  PERFORM FROM signed_attestation a
    WHERE a.validator_id = vid AND a.target_epoch > tgt AND a.source_epoch < src LIMIT 1;
  IF FOUND THEN
    RETURN 3;
  END IF;
  PERFORM FROM signed_attestation a
    WHERE a.validator_id = vid AND a.target_epoch < tgt AND a.source_epoch > src LIMIT 1;
  IF FOUND THEN
    RETURN 3;
  END IF;
  RETURN 1;
END $$;

-- Judges attestations and records those that are new; `ord` is the place in the arrays.
--
-- A key occurs at most once. The states are locked first, in the order of their ids. The rules are
-- evaluated in a later statement, whose new snapshot sees what the lock waited for: this needs
-- READ COMMITTED and a VOLATILE function. Locking and judging in one statement would let
-- surround votes through.
--
-- `pin` allows the first record of a database to say which chain it protects; it takes one
-- attestation at a time.
CREATE FUNCTION sp_attest(
  vids integer[], srcs bigint[], tgts bigint[], roots bytea[], gvrs bytea[], pin boolean
) RETURNS TABLE (ord bigint, verdict smallint, known_source bigint, known_target bigint, xid bigint)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  -- In force at the end of this transaction, whatever the session or the role say.
  PERFORM set_config('synchronous_commit', 'on', true);
  IF pin THEN
    PERFORM FROM sp_meta FOR UPDATE;
  END IF;
  PERFORM FROM att_state s WHERE s.validator_id = ANY (vids)
    ORDER BY s.validator_id FOR NO KEY UPDATE;
  RETURN QUERY
  WITH r AS MATERIALIZED (
    SELECT t.ord, t.vid, t.src, t.tgt, t.root, t.gvr, s.max_source, s.max_target,
      (CASE
        WHEN s.validator_id IS NULL THEN 9
        WHEN m.genesis_validators_root <> t.gvr THEN 11
        WHEN m.genesis_validators_root IS NULL AND NOT pin THEN 10
        WHEN NOT s.enabled THEN 8
        WHEN t.src > t.tgt THEN 7
        WHEN t.tgt >= m.high_epoch THEN 6
        WHEN t.tgt > s.max_target AND t.tgt > s.floor_target
          AND t.src >= s.max_source AND t.src >= s.floor_source THEN 1
        ELSE sp_attest_by_history(t.vid, t.src, t.tgt, t.root, s.floor_source, s.floor_target)
      END)::smallint AS v
    FROM unnest(vids, srcs, tgts, roots, gvrs) WITH ORDINALITY AS t (vid, src, tgt, root, gvr, ord)
      CROSS JOIN sp_meta m
      LEFT JOIN att_state s ON s.validator_id = t.vid
  ), moved AS (
    UPDATE att_state s SET
      max_source = GREATEST(s.max_source, r.src),
      max_target = GREATEST(s.max_target, r.tgt),
      floor_source = CASE WHEN s.floor_source < 0 THEN r.src ELSE s.floor_source END,
      floor_target = CASE WHEN s.floor_target < 0 THEN r.tgt ELSE s.floor_target END
    FROM r WHERE r.v = 1 AND s.validator_id = r.vid
  ), recorded AS (
    INSERT INTO signed_attestation (validator_id, target_epoch, source_epoch, signing_root)
    SELECT r.vid, r.tgt, r.src, r.root FROM r WHERE r.v = 1
  ), pinned AS (
    UPDATE sp_meta m SET genesis_validators_root = r.gvr
    FROM r WHERE r.v = 1 AND m.genesis_validators_root IS NULL
  )
  SELECT r.ord, r.v, r.max_source, r.max_target, txid_current() FROM r;
END $$;

-- The same for blocks.
CREATE FUNCTION sp_block(
  vids integer[], slots bigint[], roots bytea[], gvrs bytea[], pin boolean
) RETURNS TABLE (ord bigint, verdict smallint, known_slot bigint, xid bigint)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  IF pin THEN
    PERFORM FROM sp_meta FOR UPDATE;
  END IF;
  PERFORM FROM blk_state s WHERE s.validator_id = ANY (vids)
    ORDER BY s.validator_id FOR NO KEY UPDATE;
  RETURN QUERY
  WITH r AS MATERIALIZED (
    SELECT t.ord, t.vid, t.slot, t.root, t.gvr, s.max_slot,
      (CASE
        WHEN s.validator_id IS NULL THEN 9
        WHEN m.genesis_validators_root <> t.gvr THEN 11
        WHEN m.genesis_validators_root IS NULL AND NOT pin THEN 10
        WHEN NOT s.enabled THEN 8
        WHEN t.slot >= m.high_slot THEN 6
        WHEN t.slot > s.max_slot AND t.slot > s.floor_slot THEN 1
        WHEN EXISTS (SELECT FROM signed_block b
                     WHERE b.validator_id = t.vid AND b.slot = t.slot) THEN
          CASE WHEN EXISTS (SELECT FROM signed_block b WHERE b.validator_id = t.vid
                              AND b.slot = t.slot AND b.signing_root = t.root) THEN 2 ELSE 5 END
        WHEN t.slot <= s.floor_slot THEN 4
        ELSE 1
      END)::smallint AS v
    FROM unnest(vids, slots, roots, gvrs) WITH ORDINALITY AS t (vid, slot, root, gvr, ord)
      CROSS JOIN sp_meta m
      LEFT JOIN blk_state s ON s.validator_id = t.vid
  ), moved AS (
    UPDATE blk_state s SET
      max_slot = GREATEST(s.max_slot, r.slot),
      floor_slot = CASE WHEN s.floor_slot < 0 THEN r.slot ELSE s.floor_slot END
    FROM r WHERE r.v = 1 AND s.validator_id = r.vid
  ), recorded AS (
    INSERT INTO signed_block (validator_id, slot, signing_root)
    SELECT r.vid, r.slot, r.root FROM r WHERE r.v = 1
  ), pinned AS (
    UPDATE sp_meta m SET genesis_validators_root = r.gvr
    FROM r WHERE r.v = 1 AND m.genesis_validators_root IS NULL
  )
  SELECT r.ord, r.v, r.max_slot, txid_current() FROM r;
END $$;
