//! How much memory key derivation may take on this machine.

use std::{fs, path::Path};

/// Memory that can be taken without pushing anything else out, in bytes: the smaller of what the
/// machine and the control group (version 2) have left. `None` when the system does not say,
/// which is so on everything but Linux.
pub(super) fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| from_meminfo(&text));
    [machine, control_group_bytes()].into_iter().flatten().min()
}

/// Available memory and free swap from `/proc/meminfo`, whose sizes are in KiB.
fn from_meminfo(meminfo: &str) -> Option<u64> {
    let kib = |name: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some((kib("MemAvailable:")? + kib("SwapFree:").unwrap_or(0)) << 10)
}

/// What the tightest limit of this process' control group and of its parents leaves.
fn control_group_bytes() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = membership.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    root.join(group)
        .ancestors()
        .take_while(|directory| directory.starts_with(root))
        .filter_map(|directory| {
            let read = |name| fs::read_to_string(directory.join(name)).ok();
            left_in_group(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?)
        })
        .min()
}

/// Limit less use, where cached pages of files count as free: the kernel drops them on demand.
fn left_in_group(max: &str, current: &str, stat: &str) -> Option<u64> {
    // The text `max` means that there is no limit.
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let cached: u64 = stat
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| matches!(*name, "active_file" | "inactive_file"))
        .filter_map(|(_, bytes)| bytes.trim().parse::<u64>().ok())
        .sum();
    Some(max.saturating_sub(current.saturating_sub(cached)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_counts_available_memory_and_free_swap() {
        let text =
            "MemTotal:  900 kB\nMemFree:  1 kB\nMemAvailable:   600 kB\nSwapFree:    24 kB\n";
        assert_eq!(from_meminfo(text), Some(624 * 1024));
        assert_eq!(from_meminfo("MemAvailable: 3 kB"), Some(3072));
        assert_eq!(from_meminfo("MemTotal: 3 kB"), None);
        assert_eq!(from_meminfo("MemAvailable: many kB"), None);
    }

    #[test]
    fn a_group_leaves_its_limit_less_what_is_in_real_use() {
        let stat = "anon 300\nfile 250\nactive_file 50\ninactive_file 100\n";
        assert_eq!(left_in_group("1000\n", "500\n", stat), Some(650));
        assert_eq!(left_in_group("100\n", "500\n", stat), Some(0));
        assert_eq!(left_in_group("max\n", "500\n", stat), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        assert!(available_bytes().unwrap() > 1 << 20);
    }
}
