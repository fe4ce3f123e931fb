//! A row as it is printed. The same whether it comes from a database or over HTTP.

use serde::{Deserialize, Serialize};

use crate::audit::{Entry, id_text};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RowClient {
    pub(super) address: Option<String>,
    pub(super) name: Option<String>,
    pub(super) fingerprint: Option<String>,
}

/// The members of an audit entry in `openapi/signer.yaml`, in the order in which they are printed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(with = "id_text")]
    pub(super) id: i64,
    pub(super) time: String,
    pub(super) instance: String,
    pub(super) client: RowClient,
    pub(super) key: Option<String>,
    pub(super) identifier: Option<String>,
    #[serde(rename = "type")]
    pub(super) duty_type: Option<String>,
    pub(super) slot: Option<String>,
    pub(super) epoch: Option<String>,
    pub(super) signing_root: Option<String>,
    pub(super) outcome: String,
    pub(super) reason: Option<String>,
    pub(super) queue_us: Option<u64>,
    pub(super) database_us: Option<u64>,
    pub(super) bls_us: Option<u64>,
}

impl Row {
    /// The row of an entry. What its JSON looks like is said in one place only.
    pub(super) fn of(entry: &Entry) -> Result<Self, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(entry)?)
    }
}
