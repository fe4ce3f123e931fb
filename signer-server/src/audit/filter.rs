//! What to read from the audit trail.

use serde::Serialize;
use signer_client::wire::PublicKey;

use super::{Entry, Outcome};
use crate::duty::DutyType;

/// Most rows of one page.
pub const MAX_PAGE: usize = 1_000;

/// Which rows to read, newest first. Every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Most rows to return; above [`MAX_PAGE`] it counts as that.
    pub limit: usize,
    /// Only rows before this one: the cursor of the page before.
    pub before_id: Option<i64>,
    /// Only requests for this key.
    pub key: Option<PublicKey>,
    /// Only requests of this type.
    pub duty_type: Option<DutyType>,
    /// Only requests that ended so.
    pub outcome: Option<Outcome>,
}

/// One page of the audit trail, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// The rows.
    pub entries: Vec<Entry>,
    /// Cursor for the next page; absent when there is nothing older.
    #[serde(rename = "next")]
    pub next_before_id: Option<i64>,
}
