//! What can be wrong with Web3Signer's rows. Its columns take any number of 20 digits, any length of
//! key and root, and attestations of nobody; none of that may be dropped silently.

use std::fmt;

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::{FIRST_WITH_HIGH_WATERMARK, Web3SignerError};

/// Problems of one kind that are told one by one.
const TOLD_OF_A_KIND: i64 = 100;

/// One row that can't be moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key in hexadecimal, of whatever length; `None` when the row has none.
    pub key: Option<String>,
    /// What is wrong, with the row's values.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, what } = self;
        match key {
            Some(key) => write!(formatter, "0x{key}: {what}"),
            None => formatter.write_str(what),
        }
    }
}

/// What our numbers hold.
macro_rules! out_of_range {
    ($column:literal) => {
        concat!("(", $column, " < 0 OR ", $column, " > 9223372036854775807)")
    };
}

/// Each gives `key` and `what`.
const KINDS: [&str; 5] = [
    "SELECT encode(public_key, 'hex') AS key, format('the key of validator %s has %s bytes instead \
     of 48', id, octet_length(public_key)) AS what FROM validators \
     WHERE octet_length(public_key) <> 48",
    concat!(
        "SELECT encode(v.public_key, 'hex') AS key, format('signed_attestations: row %s (source %s, \
         target %s, root of %s bytes) %s', a.id, a.source_epoch, a.target_epoch, \
         coalesce(octet_length(a.signing_root)::text, 'no'), CASE WHEN a.validator_id IS NULL \
         THEN 'belongs to no key' ELSE 'has an epoch above 2^63 - 1 or a root that is not of 32 \
         bytes' END) AS what \
         FROM signed_attestations a LEFT JOIN validators v ON v.id = a.validator_id \
         WHERE a.validator_id IS NULL OR octet_length(a.signing_root) <> 32 OR ",
        out_of_range!("a.source_epoch"),
        " OR ",
        out_of_range!("a.target_epoch")
    ),
    concat!(
        "SELECT encode(v.public_key, 'hex') AS key, format('signed_blocks: row %s (slot %s, root of \
         %s bytes) has a slot above 2^63 - 1 or a root that is not of 32 bytes', b.id, b.slot, \
         coalesce(octet_length(b.signing_root)::text, 'no')) AS what \
         FROM signed_blocks b LEFT JOIN validators v ON v.id = b.validator_id \
         WHERE octet_length(b.signing_root) <> 32 OR ",
        out_of_range!("b.slot")
    ),
    concat!(
        "SELECT encode(v.public_key, 'hex') AS key, format('low_watermarks: slot %s, source %s, \
         target %s: one is above 2^63 - 1, or only one epoch is set', w.slot, w.source_epoch, \
         w.target_epoch) AS what \
         FROM low_watermarks w LEFT JOIN validators v ON v.id = w.validator_id \
         WHERE v.id IS NULL OR (w.source_epoch IS NULL) <> (w.target_epoch IS NULL) OR ",
        out_of_range!("w.slot"),
        " OR ",
        out_of_range!("w.source_epoch"),
        " OR ",
        out_of_range!("w.target_epoch")
    ),
    "SELECT NULL::text AS key, format('metadata: the genesis validators root has %s bytes instead \
     of 32', octet_length(genesis_validators_root)) AS what FROM metadata \
     WHERE octet_length(genesis_validators_root) <> 32",
];

const HIGH_WATERMARK: &str = concat!(
    "SELECT NULL::text AS key, format('metadata: the high watermark (epoch %s, slot %s) is above \
     2^63 - 1', high_watermark_epoch, high_watermark_slot) AS what FROM metadata WHERE ",
    out_of_range!("high_watermark_epoch"),
    " OR ",
    out_of_range!("high_watermark_slot")
);

/// Records without a chain: what they forbid can't be compared with anything.
const NO_CHAIN: &str = "SELECT NULL::text AS key, 'metadata: there are records, but no genesis \
     validators root' AS what WHERE NOT EXISTS (SELECT FROM metadata WHERE id = 1) \
     AND (EXISTS (SELECT FROM signed_attestations) OR EXISTS (SELECT FROM signed_blocks))";

/// Looks at every row. Of each kind of problem the first hundred are told, and how many there are.
pub(super) async fn find(
    connection: &mut PgConnection,
    version: i32,
) -> Result<Vec<Problem>, Web3SignerError> {
    let high_watermark = (version >= FIRST_WITH_HIGH_WATERMARK).then_some(HIGH_WATERMARK);
    let mut problems = Vec::new();
    for kind in KINDS.into_iter().chain(high_watermark).chain([NO_CHAIN]) {
        let sql = format!(
            "SELECT key, what, count(*) OVER () AS total FROM ({kind}) AS kind \
             ORDER BY key, what LIMIT {TOLD_OF_A_KIND}"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
        for row in &rows {
            problems.push(Problem { key: row.try_get("key")?, what: row.try_get("what")? });
        }
        let total: i64 = rows.first().map_or(Ok(0), |row| row.try_get("total"))?;
        if total > TOLD_OF_A_KIND {
            let what = format!("and {} more of this kind", total - TOLD_OF_A_KIND);
            problems.push(Problem { key: None, what });
        }
    }
    Ok(problems)
}
