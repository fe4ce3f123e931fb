//! What the cache keeps of one root.

use std::{
    mem,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::PointLookup;
use crate::bls::{
    MessagePoint,
    point_table::{PointTable, PointTableBuilder},
};

/// Signatures of a root before a table is begun: a table costs as much as about a dozen of them,
/// and saves more than half of each that follows.
pub(super) const SIGNATURES_BEFORE_TABLE: u32 = 24;

/// Windows of a table that one signature makes besides: about as much work as the signature.
pub(super) const WINDOWS_AT_ONCE: usize = 4;

/// Empty until one thread has hashed the root. A panic leaves it empty.
#[derive(Default)]
pub(super) struct Place {
    point: OnceLock<MessagePoint>,
    /// Signatures without a table.
    signatures: AtomicU32,
    table: RwLock<Option<Arc<PointTable>>>,
    unfinished: Mutex<Unfinished>,
}

/// The table in the making. One thread at a time works on it; the others need not wait for it.
#[derive(Default)]
enum Unfinished {
    #[default]
    NotBegun,
    Begun(Box<PointTableBuilder>),
    Done,
}

impl Place {
    pub(super) fn point(
        &self,
        hash: impl FnOnce() -> MessagePoint,
    ) -> (&MessagePoint, PointLookup) {
        let found = self.point.get().is_some();
        let mut lookup = if found { PointLookup::Hit } else { PointLookup::Wait };
        let point = self.point.get_or_init(|| {
            lookup = PointLookup::Miss;
            hash()
        });
        (point, lookup)
    }

    pub(super) fn table(&self) -> Option<Arc<PointTable>> {
        self.table.read().clone()
    }

    /// Counts a signature, and makes a part of the table when there have been many. Says whether
    /// the table is complete now.
    pub(super) fn help_to_make_table(&self, point: &MessagePoint) -> bool {
        if self.signatures.fetch_add(1, Ordering::Relaxed) < SIGNATURES_BEFORE_TABLE {
            return false;
        }
        let Some(mut unfinished) = self.unfinished.try_lock() else { return false };
        let builder = match mem::replace(&mut *unfinished, Unfinished::Done) {
            Unfinished::NotBegun => PointTableBuilder::new(point),
            Unfinished::Begun(builder) => builder,
            Unfinished::Done => return false,
        };
        match builder.advance(WINDOWS_AT_ONCE) {
            Ok(table) => {
                *self.table.write() = Some(Arc::new(table));
                true
            }
            Err(builder) => {
                *unfinished = Unfinished::Begun(builder);
                false
            }
        }
    }

    /// Gives the table's memory back; a root that goes on being signed gets a new one.
    pub(super) fn drop_table(&self) {
        let mut unfinished = self.unfinished.lock();
        *unfinished = Unfinished::NotBegun;
        self.signatures.store(0, Ordering::Relaxed);
        let table = self.table.write().take();
        drop(unfinished);
        drop(table);
    }
}
