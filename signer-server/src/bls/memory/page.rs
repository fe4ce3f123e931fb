//! One page of memory straight from the operating system, cut into slots for secret scalars.
//!
//! Invariants, which the `unsafe` blocks rest on:
//! - a bit of [`Page::taken`] is set exactly while one [`Slot`] with that index exists, so a slot
//!   is the only way to its 32 bytes;
//! - a slot keeps its page alive, so the memory is mapped for as long as anything points there;
//! - a slot that is not taken holds zeros.

#![expect(unsafe_code, reason = "pages that can be locked come from the operating system only")]

use std::{
    alloc::{Layout, handle_alloc_error},
    ffi::c_void,
    ptr::{self, NonNull},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::{
    io,
    mm::{self, MapFlags, ProtFlags},
};
use zeroize::Zeroize;

use crate::bls::curve::Scalar;

/// A page: 128 slots of 32 bytes where the system's pages have 4 KiB, more where they are larger.
/// Unmapped, and so unlocked, when the last slot is gone.
pub(super) struct Page {
    start: NonNull<Scalar>,
    /// A bit for each slot: set while the slot is taken.
    taken: Box<[AtomicU64]>,
    /// Whether the system keeps the page out of swap.
    pub(super) is_locked: bool,
}

// SAFETY: the pointer is to memory of the page alone, which belongs to no thread, and the module's
// invariants let only one slot reach each part of it.
unsafe impl Send for Page {}
// SAFETY: as above; what is shared between threads, `taken`, is atomic.
unsafe impl Sync for Page {}

impl Page {
    /// Takes a page of zeros, which stays out of core dumps, from the system. It is not locked yet.
    ///
    /// A system without memory ends the program, as it does for a `Box`.
    pub(super) fn map() -> Self {
        let size = rustix::param::page_size();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: with a null address the system chooses a place where nothing else is mapped.
        let mapped =
            unsafe { mm::mmap_anonymous(ptr::null_mut(), size, protection, MapFlags::PRIVATE) };
        let Some(start) = mapped.ok().and_then(|start| NonNull::new(start.cast())) else {
            handle_alloc_error(Layout::new::<[Scalar; 128]>());
        };
        let words = size / size_of::<Scalar>() / 64;
        let taken = (0..words).map(|_| AtomicU64::new(0)).collect();
        let page = Self { start, taken, is_locked: false };
        page.exclude_from_core_dumps();
        page
    }

    /// Asks the system to keep the page out of swap.
    ///
    /// # Errors
    /// When the system refuses, mostly because more would be locked than `RLIMIT_MEMLOCK` allows.
    pub(super) fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is this page's own mapping; locking changes none of its bytes.
        unsafe { mm::mlock(self.address(), self.size()) }
    }

    #[cfg(target_os = "linux")]
    fn exclude_from_core_dumps(&self) {
        // SAFETY: the range is this page's own mapping; the advice changes none of its bytes.
        let result = unsafe { mm::madvise(self.address(), self.size(), mm::Advice::LinuxDontDump) };
        // The process forbids core dumps as a whole; this is for when an operator allows them.
        if let Err(error) = result {
            tracing::debug!(%error, "secret keys can't be excluded from core dumps");
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "only Linux can exclude single pages")]
    fn exclude_from_core_dumps(&self) {}

    /// Takes a free slot; `None` when the page is full.
    pub(super) fn take(self: &Arc<Self>) -> Option<Slot> {
        for (position, word) in self.taken.iter().enumerate() {
            let mut seen = word.load(Ordering::Relaxed);
            while seen != u64::MAX {
                let free = seen.trailing_ones() as usize;
                let bit = 1 << free;
                // Pairs with the release in `Slot::drop`: its zeros are seen before our bytes.
                seen = word.fetch_or(bit, Ordering::Acquire);
                if seen & bit == 0 {
                    return Some(Slot { page: Arc::clone(self), index: position * 64 + free });
                }
            }
        }
        None
    }

    /// How many slots are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.iter().map(|word| word.load(Ordering::Relaxed).count_ones() as usize).sum()
    }

    fn address(&self) -> *mut c_void {
        self.start.as_ptr().cast()
    }

    /// Size in bytes.
    fn size(&self) -> usize {
        self.taken.len() * 64 * size_of::<Scalar>()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the range is this page's own mapping, and every slot that could point into it
        // kept the page alive.
        let result = unsafe { mm::munmap(self.address(), self.size()) };
        if let Err(error) = result {
            tracing::debug!(%error, "an empty page of secret keys could not be given back");
        }
    }
}

/// The right to 32 bytes of a page. Given back as zeros when dropped.
pub(super) struct Slot {
    page: Arc<Page>,
    index: usize,
}

impl Slot {
    /// Whether the system keeps the slot's page out of swap.
    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.page.is_locked
    }

    /// What the slot holds; zeros at first.
    pub(super) fn scalar(&self) -> &Scalar {
        // SAFETY: the index is below the number of slots in the page, the memory is mapped and
        // initialised, and only this slot reaches it; who holds `&self` keeps writers away.
        unsafe { self.page.start.add(self.index).as_ref() }
    }

    /// What the slot holds, to be changed in place.
    pub(super) fn scalar_mut(&mut self) -> &mut Scalar {
        // SAFETY: as in `scalar`; `&mut self` is the only borrow of this slot.
        unsafe { self.page.start.add(self.index).as_mut() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.scalar_mut().zeroize();
        self.page.taken[self.index / 64].fetch_and(!(1 << (self.index % 64)), Ordering::Release);
    }
}
