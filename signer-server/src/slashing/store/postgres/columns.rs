//! The columns of the audit table, written once for the statements that fill it.

/// Their names.
macro_rules! audit_column_names {
    () => {
        "id, received_at, instance, client_address, client_name, client_fingerprint, public_key, \
         identifier, duty_type, slot, epoch, signing_root, outcome, reason, queue_us, database_us, \
         bls_us"
    };
}

/// The parameters 1 to 17, arrays, as rows with these columns and their place `ord`.
macro_rules! audit_columns_from_arrays {
    () => {
        "unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], \
         $7::bytea[], $8::text[], $9::text[], $10::bigint[], $11::bigint[], $12::bytea[], \
         $13::text[], $14::text[], $15::bigint[], $16::bigint[], $17::bigint[]) WITH ORDINALITY \
         AS entry (id, received_at, instance, client_address, client_name, client_fingerprint, \
         public_key, identifier, duty_type, slot, epoch, signing_root, outcome, reason, queue_us, \
         database_us, bls_us, ord)"
    };
}

pub(super) use {audit_column_names, audit_columns_from_arrays};
