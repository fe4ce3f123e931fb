-- Keys that are registered after the records were moved to another database.

-- Whether the records were moved away: whatever is asked here, the other database answers for it.
ALTER TABLE sp_meta ADD COLUMN has_departed boolean NOT NULL DEFAULT false;

DO $$
DECLARE
  moves bigint := 0;
BEGIN
  IF to_regclass('midslot_move') IS NOT NULL THEN
    SELECT count(*) INTO moves FROM midslot_move;
  END IF;
  UPDATE sp_meta SET has_departed = moves > 0;
END $$;

-- As before, but in a database whose records have departed a new key begins switched off: the other
-- database does not know of it, and could let it sign the opposite.
CREATE OR REPLACE FUNCTION sp_register(pubkeys bytea[]) RETURNS TABLE (id integer, pubkey bytea)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  -- Waits for a safe start or a departure that is under way, or makes it wait: either the keys are
  -- here when it changes all of them, or the statements below see what it left.
  PERFORM FROM sp_meta FOR KEY SHARE;
  -- A row that is there is not tried again: each try would use up a number.
  INSERT INTO validator (pubkey)
    SELECT DISTINCT k.key FROM unnest(pubkeys) AS k (key)
    WHERE NOT EXISTS (SELECT FROM validator v WHERE v.pubkey = k.key)
    ORDER BY k.key
    ON CONFLICT DO NOTHING;
  INSERT INTO att_state (validator_id, enabled, floor_source, floor_target, max_source, max_target)
    SELECT v.id, f.enabled, f.floor, f.floor, f.floor, f.floor
    FROM validator v
      CROSS JOIN (SELECT NOT m.has_departed AS enabled, coalesce(m.first_floor_epoch, -1) AS floor
                  FROM sp_meta m) f
    WHERE v.pubkey = ANY (pubkeys)
      AND NOT EXISTS (SELECT FROM att_state s WHERE s.validator_id = v.id)
    ORDER BY v.id
    ON CONFLICT DO NOTHING;
  INSERT INTO blk_state (validator_id, enabled, floor_slot, max_slot)
    SELECT v.id, f.enabled, f.floor, f.floor
    FROM validator v
      CROSS JOIN (SELECT NOT m.has_departed AS enabled, coalesce(m.first_floor_slot, -1) AS floor
                  FROM sp_meta m) f
    WHERE v.pubkey = ANY (pubkeys)
      AND NOT EXISTS (SELECT FROM blk_state s WHERE s.validator_id = v.id)
    ORDER BY v.id
    ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT v.id, v.pubkey FROM validator v WHERE v.pubkey = ANY (pubkeys);
END $$;
