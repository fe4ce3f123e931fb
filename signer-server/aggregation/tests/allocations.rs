//! A worker that keeps its scratch buffers allocates the same for each job, however many there were
//! before: what the outcome holds, and blst's own scratch memory of each blinded check.

#![expect(unsafe_code, reason = "counting allocations takes an allocator")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use blst::min_pk::SecretKey;
use midslot_aggregation::{
    Bits, BitsLen, Child, Group, KeyBytes, KeyTable, NeverStop, NoCache, Options, Overlap,
    Positions, Scratch, SignatureBytes, Single, VerifyMode, aggregate_group,
};

thread_local! {
    /// Allocations and bytes of this thread, so that the test harness does not count.
    static ALLOCATED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

struct Counting;

/// # Safety
///
/// All memory comes from the system's allocator, with the caller's own arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's duties are the same.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn count(size: usize) {
    // Without effect while the thread ends.
    let _ = ALLOCATED.try_with(|it| {
        let (times, bytes) = it.get();
        it.set((times + 1, bytes + size as u64));
    });
}

fn allocated_by(run: impl FnOnce()) -> (u64, u64) {
    let before = ALLOCATED.get();
    run();
    let after = ALLOCATED.get();
    (after.0 - before.0, after.1 - before.1)
}

const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

fn group(len: u16, bad: u16) -> Group {
    let message = [1; 32];
    let (mut keys, mut singles) = (Vec::new(), Vec::new());
    for position in 0..len {
        let mut material = [9; 32];
        material[..2].copy_from_slice(&position.to_le_bytes());
        let secret = SecretKey::key_gen(&material, &[]).expect("32 bytes are enough");
        keys.push(KeyBytes::Compressed(secret.sk_to_pk().compress()));
        let message = if position < bad { [2; 32] } else { message };
        let signature = secret.sign(&message, CIPHERSUITE, &[]).compress();
        let signature = SignatureBytes::Compressed(signature);
        singles.push(Single { positions: Positions::One(position), signature });
    }
    let bits_len = BitsLen::new(u64::from(len)).expect("a length");
    let mut bits = Bits::empty(bits_len);
    bits.insert(len - 1);
    let child = Child { bits: Some(bits), signature: singles[usize::from(len) - 1].signature };
    Group { message, bits_len, keys: Arc::new(KeyTable(keys)), singles, children: vec![child] }
}

#[test]
fn allocations_of_a_job_are_flat_after_warming_up() {
    let groups = [group(64, 0), group(96, 3), group(8, 1)];
    let mut scratch = Scratch::new();
    let entries =
        groups.iter().map(|group| (group.singles.len() + group.children.len()) as u64).sum();
    for verify in [VerifyMode::None, VerifyMode::Aggregate, VerifyMode::Each] {
        let options = Options { verify, overlap: Overlap::Subtract };
        let mut job = || {
            allocated_by(|| {
                for group in &groups {
                    let outcome = aggregate_group(
                        group,
                        options,
                        &mut scratch,
                        &mut NoCache,
                        &[3; 32],
                        &mut NeverStop,
                    );
                    assert!(outcome.aggregate.is_some());
                }
            })
        };
        let cold = job();
        let warm = job();
        println!("{verify:?}: {} allocations of {} bytes in 3 groups", warm.0, warm.1);
        assert!(warm.0 <= cold.0);
        assert!(warm.0 < entries, "{verify:?}: {} allocations for {entries} entries", warm.0);
        for _ in 0..20 {
            assert_eq!(job(), warm, "{verify:?}");
        }
    }
}

#[test]
fn memory_grows_with_the_entries_and_not_with_the_positions_they_claim() {
    const SINGLES: u16 = 600;
    let bits_len = BitsLen::new(512).expect("a length");
    // None of them can be decoded, which is found out after their positions have been looked at.
    let single = |number: u16| {
        let mut bytes = [0; 96];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let positions = Positions::Several((0..512).collect());
        Single { positions, signature: SignatureBytes::Compressed(bytes) }
    };
    let group = Group {
        message: [1; 32],
        bits_len,
        keys: Arc::default(),
        singles: (0..SINGLES).map(single).collect(),
        children: Vec::new(),
    };
    let options = Options { verify: VerifyMode::None, overlap: Overlap::Disjoint };
    let mut scratch = Scratch::new();
    let (_, bytes) = allocated_by(|| {
        let outcome =
            aggregate_group(&group, options, &mut scratch, &mut NoCache, &[3; 32], &mut NeverStop);
        assert_eq!(outcome.rejected.len(), usize::from(SINGLES));
    });
    assert!(bytes < u64::from(SINGLES) * 4096, "{bytes} bytes for {SINGLES} entries");
}
