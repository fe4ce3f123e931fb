//! Where secret scalars live: pages that the system keeps out of swap and core dumps.
//!
//! Systems lock whole pages and let a process lock few of them (`RLIMIT_MEMLOCK`, often 8 MiB or
//! less), so scalars lie side by side, 128 to a page of 4 KiB: 100,000 keys need 3.2 MB of locked
//! memory. Loading a key takes a slot and dropping it gives the slot back; signing only reads, and
//! takes no lock.
//!
//! A page that can't be locked is used all the same: a signer that does not sign costs its owner
//! money, and the log and the metrics say that keys may reach the swap space.

mod page;
#[cfg(test)]
mod tests;

use std::sync::{
    Arc, Weak,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rustix::{
    io,
    process::{Resource, getrlimit},
};

use self::page::{Page, Slot};
use super::curve::Scalar;

/// Every key of the process.
static ARENA: Arena = Arena::new(Page::lock);

/// How the secret keys of this process are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockedMemory {
    /// Secret keys in memory.
    pub keys: usize,
    /// Pages of memory that hold them.
    pub pages: usize,
    /// Those of the pages that the system refused to lock: their keys may be written to swap.
    pub pages_not_locked: usize,
}

/// How the secret keys of this process are kept now.
pub fn locked_memory() -> LockedMemory {
    ARENA.report()
}

/// A secret scalar in locked memory, zeroised when dropped.
pub(super) struct LockedScalar(Slot);

impl LockedScalar {
    /// Takes a place for a scalar. It holds zero.
    pub(super) fn zero() -> Self {
        Self(ARENA.take())
    }

    /// The scalar where it lies.
    pub(super) fn get(&self) -> &Scalar {
        self.0.scalar()
    }

    /// The scalar where it lies, to be written in place.
    pub(super) fn get_mut(&mut self) -> &mut Scalar {
        self.0.scalar_mut()
    }
}

/// Pages with free and taken slots. A page lives as long as one of its slots is taken.
struct Arena {
    lock_page: fn(&Page) -> io::Result<()>,
    /// Every page that lives; the last one was the last to have a free slot.
    pages: Mutex<Vec<Weak<Page>>>,
    has_warned: AtomicBool,
}

impl Arena {
    const fn new(lock_page: fn(&Page) -> io::Result<()>) -> Self {
        Self { lock_page, pages: Mutex::new(Vec::new()), has_warned: AtomicBool::new(false) }
    }

    /// Takes a slot out of the page that served last; if that is full, out of any page with a free
    /// slot, or out of a new page. So all pages are looked through once for every page filled.
    fn take(&self) -> Slot {
        let mut pages = self.pages.lock();
        let last = pages.last().and_then(Weak::upgrade);
        if let Some(slot) = last.and_then(|page| page.take()) {
            return slot;
        }
        pages.retain(|page| page.strong_count() > 0);
        for position in (0..pages.len()).rev() {
            if let Some(slot) = pages[position].upgrade().and_then(|page| page.take()) {
                let last = pages.len() - 1;
                pages.swap(position, last);
                return slot;
            }
        }
        let page = Arc::new(self.new_page());
        pages.push(Arc::downgrade(&page));
        page.take().expect("a new page has free slots")
    }

    fn new_page(&self) -> Page {
        let mut page = Page::map();
        match (self.lock_page)(&page) {
            Ok(()) => page.is_locked = true,
            Err(error) => self.warn_once(error),
        }
        page
    }

    fn warn_once(&self, error: io::Errno) {
        if self.has_warned.swap(true, Ordering::Relaxed) {
            return;
        }
        let limit_bytes = getrlimit(Resource::Memlock).current;
        tracing::warn!(
            %error,
            limit_bytes,
            "the system refused to lock the memory of secret keys, so they may be written to swap; \
             signing goes on. Allow 4096 bytes for every 128 keys: `ulimit -l` in a shell, \
             LimitMEMLOCK= in a systemd unit, --ulimit memlock= for a container"
        );
    }

    fn report(&self) -> LockedMemory {
        let pages = self.pages.lock();
        pages.iter().filter_map(Weak::upgrade).fold(LockedMemory::default(), |sum, page| {
            LockedMemory {
                keys: sum.keys + page.taken(),
                pages: sum.pages + 1,
                pages_not_locked: sum.pages_not_locked + usize::from(!page.is_locked),
            }
        })
    }
}
