//! Deleting audit rows that were kept long enough.

use super::StoreError;
use crate::audit::RowClass;

/// What became of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Rows that were deleted.
    pub(crate) deleted: u64,
    /// Nothing that has expired is left of the class.
    pub(crate) finished: bool,
}

/// A store that can delete expired audit rows.
pub(crate) trait AuditRetention {
    /// Deletes some of the rows of `class` that arrived before `cutoff_us` (microseconds since
    /// 1970-01-01 UTC). One call takes a few milliseconds at most, because signing may wait for it;
    /// the caller repeats it until it is finished. Nothing but audit rows is ever touched, and the
    /// newest row stays, so that its id is never given out again.
    fn delete_expired_audit(
        &mut self,
        class: RowClass,
        cutoff_us: i64,
    ) -> impl Future<Output = Result<Swept, StoreError>> + Send;
}
