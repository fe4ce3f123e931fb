use std::{
    io::{self as std_io, Write},
    thread,
};

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Slots in a page of this system.
fn slots() -> usize {
    rustix::param::page_size() / 32
}

/// An arena of its own, so that keys of other tests don't show.
fn arena() -> &'static Arena {
    Box::leak(Box::new(Arena::new(Page::lock)))
}

fn report(keys: usize, pages: usize, pages_not_locked: usize) -> LockedMemory {
    LockedMemory { keys, pages, pages_not_locked }
}

#[test]
fn slots_share_pages_and_keep_what_is_theirs() {
    let arena = arena();
    let mut slots: Vec<_> = (0..=slots() * 2).map(|_| arena.take()).collect();
    for (number, slot) in slots.iter_mut().enumerate() {
        assert_eq!(*slot.scalar(), [0; 32]);
        slot.scalar_mut()[..8].copy_from_slice(&number.to_le_bytes());
        slot.scalar_mut()[31] = 1;
    }
    for (number, slot) in slots.iter().enumerate() {
        assert_eq!(slot.scalar()[..8], number.to_le_bytes());
    }
    let found = arena.report();
    assert_eq!((found.keys, found.pages), (slots.len(), 3));
}

#[test]
fn a_dropped_slot_is_zeroed_and_used_again() {
    let arena = arena();
    // The second slot keeps the page.
    let (mut first, _second) = (arena.take(), arena.take());
    first.scalar_mut().fill(0xaa);
    let place = first.scalar().as_ptr();
    drop(first);
    assert_eq!(arena.report().keys, 1);
    let again = arena.take();
    assert_eq!(again.scalar().as_ptr(), place);
    assert_eq!(*again.scalar(), [0; 32]);
}

#[test]
fn free_slots_of_older_pages_are_found_before_a_page_is_added() {
    let arena = arena();
    let mut taken: Vec<_> = (0..slots() * 3).map(|_| arena.take()).collect();
    taken.remove(slots() + 5);
    taken.remove(3);
    taken.push(arena.take());
    taken.push(arena.take());
    assert_eq!(arena.report().pages, 3);
    taken.push(arena.take());
    assert_eq!(arena.report().pages, 4);
}

#[test]
fn an_empty_page_is_freed() {
    let arena = arena();
    let first: Vec<_> = (0..slots()).map(|_| arena.take()).collect();
    let second = arena.take();
    drop(first);
    let found = arena.report();
    assert_eq!((found.keys, found.pages), (1, 1));
    drop(second);
    assert_eq!(arena.report(), LockedMemory::default());
    assert_eq!(*arena.take().scalar(), [0; 32]);
}

#[test]
fn threads_never_get_the_same_slot() {
    let arena = arena();
    thread::scope(|scope| {
        for thread in 1..=8_u8 {
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..2_000_usize {
                    let mut slot = arena.take();
                    assert_eq!(*slot.scalar(), [0; 32]);
                    slot.scalar_mut().fill(thread);
                    held.push(slot);
                    if held.len() > 200 {
                        let slot = held.swap_remove(round * 7 % held.len());
                        assert_eq!(*slot.scalar(), [thread; 32]);
                    }
                }
                assert!(held.iter().all(|slot| *slot.scalar() == [thread; 32]));
            });
        }
    });
    assert_eq!(arena.report(), LockedMemory::default());
}

/// What the kernel says of the mapping that holds this address (`proc_pid_smaps(5)`).
#[cfg(target_os = "linux")]
fn kernel_flags(address: usize) -> Vec<String> {
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut is_here = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let bounds = range.and_then(|(start, end)| {
            let parse = |text| usize::from_str_radix(text, 16).ok();
            Some(parse(start)?..parse(end)?)
        });
        if let Some(bounds) = bounds {
            is_here = bounds.contains(&address);
        } else if let (true, Some(flags)) = (is_here, line.strip_prefix("VmFlags:")) {
            return flags.split_ascii_whitespace().map(str::to_owned).collect();
        }
    }
    panic!("{address:#x} is not mapped");
}

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_confirms_the_lock_and_the_exclusion_from_dumps() {
    let slot = arena().take();
    let refused = Box::leak(Box::new(Arena::new(|_| Err(io::Errno::NOMEM)))).take();
    for (slot, must_be_unlocked) in [(slot, false), (refused, true)] {
        let flags = kernel_flags(slot.scalar().as_ptr().addr());
        assert!(flags.contains(&"dd".to_owned()), "not excluded from dumps: {flags:?}");
        let is_locked = flags.contains(&"lo".to_owned());
        assert_eq!(is_locked, slot.is_locked(), "{flags:?}");
        assert!(!(is_locked && must_be_unlocked), "{flags:?}");
    }
}

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std_io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std_io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn a_system_that_locks_nothing_gets_one_warning_and_keys_are_kept() {
    let arena: &'static Arena = Box::leak(Box::new(Arena::new(|_| Err(io::Errno::AGAIN))));
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(lines.clone()).finish();
    let held: Vec<_> = tracing::subscriber::with_default(subscriber, || {
        (0..=slots()).map(|_| arena.take()).collect()
    });
    assert_eq!(arena.report(), report(held.len(), 2, 2));
    let log = String::from_utf8(lines.0.lock().clone()).unwrap();
    assert_eq!(log.matches("refused to lock").count(), 1, "{log}");
    assert!(log.contains("LimitMEMLOCK"), "{log}");
}

#[test]
fn keys_of_the_process_are_reported() {
    let before = LockedScalar::zero();
    assert_eq!(*before.get(), [0; 32]);
    let found = locked_memory();
    assert!(found.keys >= 1 && found.pages >= 1, "{found:?}");
    assert!(found.pages_not_locked <= found.pages, "{found:?}");
}
