-- Floors of the keys that are registered from now on. A safe start sets them: a key that the
-- database does not know may have been known to the one that was lost. NULL before the first.
ALTER TABLE sp_meta ADD COLUMN first_floor_epoch INTEGER CHECK (first_floor_epoch >= 0);
ALTER TABLE sp_meta ADD COLUMN first_floor_slot INTEGER CHECK (first_floor_slot >= 0);
