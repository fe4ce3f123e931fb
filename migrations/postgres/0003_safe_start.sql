-- What a safe start leaves for later. It raises the floors of all keys to the time of the start.

-- Floors of the keys that are registered from now on: a key that the database does not know may
-- have been known to the one that was lost. NULL before the first safe start.
ALTER TABLE sp_meta ADD COLUMN first_floor_epoch bigint CHECK (first_floor_epoch >= 0);
ALTER TABLE sp_meta ADD COLUMN first_floor_slot bigint CHECK (first_floor_slot >= 0);

-- When a safe start last gave the database a new identity.
ALTER TABLE sp_meta ADD COLUMN safe_start_at timestamptz;

-- As before, but a new key begins at the first floors.
CREATE OR REPLACE FUNCTION sp_register(pubkeys bytea[]) RETURNS TABLE (id integer, pubkey bytea)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  -- Waits for a safe start that is under way, or makes it wait: either the keys are here when it
  -- raises the floors, or the first floors are there for the statements below.
  PERFORM FROM sp_meta FOR KEY SHARE;
  -- A row that is there is not tried again: each try would use up a number.
  INSERT INTO validator (pubkey)
    SELECT DISTINCT k.key FROM unnest(pubkeys) AS k (key)
    WHERE NOT EXISTS (SELECT FROM validator v WHERE v.pubkey = k.key)
    ORDER BY k.key
    ON CONFLICT DO NOTHING;
  INSERT INTO att_state (validator_id, floor_source, floor_target, max_source, max_target)
    SELECT v.id, f.floor, f.floor, f.floor, f.floor
    FROM validator v
      CROSS JOIN (SELECT coalesce(m.first_floor_epoch, -1) AS floor FROM sp_meta m) f
    WHERE v.pubkey = ANY (pubkeys)
      AND NOT EXISTS (SELECT FROM att_state s WHERE s.validator_id = v.id)
    ORDER BY v.id
    ON CONFLICT DO NOTHING;
  INSERT INTO blk_state (validator_id, floor_slot, max_slot)
    SELECT v.id, f.floor, f.floor
    FROM validator v
      CROSS JOIN (SELECT coalesce(m.first_floor_slot, -1) AS floor FROM sp_meta m) f
    WHERE v.pubkey = ANY (pubkeys)
      AND NOT EXISTS (SELECT FROM blk_state s WHERE s.validator_id = v.id)
    ORDER BY v.id
    ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT v.id, v.pubkey FROM validator v WHERE v.pubkey = ANY (pubkeys);
END $$;

-- Raises the floors of all keys, and of those that are registered later. None goes down. Tells how
-- many keys there are.
--
-- Locks in the order of everybody else: the database as a whole, then the states of attestations,
-- then those of blocks, each in the order of their ids.
CREATE FUNCTION sp_raise_all_floors(epoch bigint, slot bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  keys bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  PERFORM FROM sp_meta FOR UPDATE;
  PERFORM FROM att_state s ORDER BY s.validator_id FOR NO KEY UPDATE;
  PERFORM FROM blk_state s ORDER BY s.validator_id FOR NO KEY UPDATE;
  -- Statements of their own, which see what the locks waited for.
  UPDATE att_state s SET
    floor_source = GREATEST(s.floor_source, epoch), floor_target = GREATEST(s.floor_target, epoch),
    max_source = GREATEST(s.max_source, epoch), max_target = GREATEST(s.max_target, epoch);
  GET DIAGNOSTICS keys = ROW_COUNT;
  UPDATE blk_state s SET
    floor_slot = GREATEST(s.floor_slot, slot), max_slot = GREATEST(s.max_slot, slot);
  UPDATE sp_meta m SET
    first_floor_epoch = GREATEST(m.first_floor_epoch, epoch),
    first_floor_slot = GREATEST(m.first_floor_slot, slot);
  RETURN keys;
END $$;
