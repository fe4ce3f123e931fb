-- Letting whole partitions of old records and old audit rows go. The functions run with their
-- owner's rights, so that a signer that may not change the schema can prune; who may call them is
-- for the owner to say (GRANT EXECUTE).

-- Drops partition `number` and returns how many rows it had, if each of them may go: its target is
-- below `first_kept` of its key, and the key's floors forbid everything that the row forbids. NULL
-- when one may not, or when there is no such partition.
--
-- From the look to the drop nobody may write to the partition. Readers and those who write to the
-- others are held up only for the drop itself; when it does not get its turn soon it gives up
-- (lock_not_available), and nothing has happened.
CREATE FUNCTION sp_drop_attestation_partition(
  number bigint, vids integer[], first_kept bigint[]
) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  name CONSTANT text := 'signed_attestation_p' || number;
  total bigint;
  staying bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(name)
                   AND inhparent = 'signed_attestation'::regclass) THEN
    RETURN NULL;
  END IF;
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', name);
  EXECUTE format(
    'SELECT count(*), count(*) FILTER (WHERE k.id IS NULL OR h.target_epoch >= k.first_kept
       OR s.validator_id IS NULL OR h.target_epoch > s.floor_target
       OR h.source_epoch > s.floor_source)
     FROM %I h LEFT JOIN unnest($1, $2) AS k (id, first_kept) ON k.id = h.validator_id
       LEFT JOIN att_state s ON s.validator_id = h.validator_id', name)
    INTO total, staying USING vids, first_kept;
  IF staying > 0 THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('lock_timeout', '100ms', true);
  LOCK TABLE ONLY signed_attestation IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('DROP TABLE %I', name);
  RETURN total;
END $$;

-- Drops the audit's partition of a day, counted from 1970-01-01, and returns how many rows it had,
-- if all of them have ids below `first_kept`. NULL when not, or when there is no such partition.
CREATE FUNCTION sp_drop_audit_partition(day bigint, first_kept bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  name CONSTANT text := 'audit_d' || to_char(date '1970-01-01' + day::integer, 'YYYYMMDD');
  total bigint;
  staying bigint;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(name)
                   AND inhparent = 'audit'::regclass) THEN
    RETURN NULL;
  END IF;
  EXECUTE format('LOCK TABLE %I IN SHARE MODE', name);
  EXECUTE format('SELECT count(*), count(*) FILTER (WHERE id >= $1) FROM %I', name)
    INTO total, staying USING first_kept;
  IF staying > 0 THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('lock_timeout', '100ms', true);
  LOCK TABLE ONLY audit IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('DROP TABLE %I', name);
  RETURN total;
END $$;

REVOKE EXECUTE ON FUNCTION sp_drop_attestation_partition(bigint, integer[], bigint[]),
  sp_drop_audit_partition(bigint, bigint) FROM PUBLIC;
