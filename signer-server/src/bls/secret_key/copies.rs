//! Looks through the memory of this process for copies of a secret key.

#![cfg(target_os = "linux")]

use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
};

use zeroize::Zeroizing;

use super::*;

/// What hides the key that is looked for, so that the test is no copy of it.
const MASK: u8 = 0x5a;

/// A secret key, hidden by [`MASK`], unlike anything else in memory.
fn hidden_key() -> [u8; 32] {
    let mut hidden = [0; 32];
    getrandom::fill(&mut hidden).unwrap();
    // The first byte of the key is below the first byte of the group order.
    hidden[0] = 0x41 ^ MASK;
    hidden
}

fn load(hidden: &[u8; 32]) -> SecretKey {
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, hidden) in bytes.iter_mut().zip(hidden) {
        *byte = hidden ^ MASK;
    }
    SecretKey::from_bytes(&bytes).unwrap()
}

/// Writable memory of this process (`proc_pid_maps(5)`), without the huge buffers that key
/// derivation takes in other tests.
fn writable_memory() -> Vec<Range<u64>> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines()
        .filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let parse = |text| u64::from_str_radix(text, 16).ok();
            let range = parse(start)?..parse(end)?;
            (rest.starts_with("rw") && range.end - range.start < 128 << 20).then_some(range)
        })
        .collect()
}

/// Where the hidden bytes lie bare in memory.
fn find(hidden: &[u8; 32]) -> Vec<u64> {
    const CHUNK: usize = 1 << 20;
    let memory = File::open("/proc/self/mem").unwrap();
    // What is read is not counted once more in the place that it is read to.
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    let own = chunk.as_ptr().addr() as u64..chunk.as_ptr().addr() as u64 + CHUNK as u64;
    let first = hidden[0] ^ MASK;
    let mut found = Vec::new();
    for range in writable_memory() {
        let mut start = range.start;
        // Memory that another test has given back meanwhile can't be read.
        while let Ok(length @ 32..) = memory.read_at(&mut chunk, start) {
            let length = length.min(usize::try_from(range.end.saturating_sub(start)).unwrap());
            for (offset, window) in chunk[..length].windows(32).enumerate() {
                let address = start + offset as u64;
                if window[0] == first
                    && window.iter().zip(hidden).all(|(byte, hidden)| byte ^ MASK == *hidden)
                    && !own.contains(&address)
                {
                    found.push(address);
                }
            }
            // The next chunk overlaps, so that nothing is missed at the border.
            start += length as u64 - 31;
            if start + 31 >= range.end {
                break;
            }
        }
    }
    found
}

#[test]
fn loading_and_signing_leave_one_copy_and_dropping_leaves_none() {
    let big_endian = hidden_key();
    let mut little_endian = big_endian;
    little_endian.reverse();
    let key = load(&big_endian);
    key.public_key();
    key.sign(&Root([7; 32]));
    let place = key.0.get().as_ptr().addr() as u64;
    assert_eq!(find(&little_endian), [place]);
    assert!(find(&big_endian).is_empty(), "the bytes that were read are still there");
    drop(key);
    assert!(find(&little_endian).is_empty(), "a dropped key is still there");
}
