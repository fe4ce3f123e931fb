//! Refuses folders on network file systems.
//!
//! A database there can be opened by two machines at once, because locks and the order of writes
//! are not what SQLite relies on (sqlite.org/useovernet.html).

use std::{fs, path::Path};

/// Types of network file systems as the kernel lists them.
const NETWORK_TYPES: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.ceph-fuse",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// The type of the network file system that `folder` is on; `None` when it is on none, and where
/// the system does not tell.
pub(super) fn network_file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let folder = fs::canonicalize(folder).ok()?;
    let found = file_system_of(&mounts, &folder)?;
    NETWORK_TYPES.contains(&found).then(|| found.to_owned())
}

/// The type of the file system at an absolute path without links. Of the mounts above the path the
/// innermost counts, of several at one place the last (`proc_pid_mountinfo(5)`).
fn file_system_of<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mut innermost: Option<(usize, &str)> = None;
    for line in mounts.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (mount.split(' ').nth(4), file_system.split(' ').next())
        else {
            continue;
        };
        let point = unescaped(point);
        if path.starts_with(&point) && innermost.is_none_or(|(depth, _)| depth <= point.len()) {
            innermost = Some((point.len(), kind));
        }
    }
    innermost.map(|(_, kind)| kind)
}

/// The kernel writes space, tab, line feed and backslash as three octal digits.
fn unescaped(point: &str) -> String {
    point.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
31 27 0:40 / /data rw,relatime - nfs4 server:/export rw
32 31 0:41 / /data/local rw,relatime master:1 - xfs /dev/vdb rw
33 27 0:42 / /my\\040keys rw - fuse.sshfs me@host: rw
34 27 0:43 / /twice rw - cifs //server/share rw
35 34 0:44 / /twice rw - tmpfs tmpfs rw
nonsense
";

    #[test]
    fn the_innermost_and_latest_mount_counts() {
        for (path, kind) in [
            ("/", "ext4"),
            ("/var/lib/midslot", "ext4"),
            ("/data", "nfs4"),
            ("/data/signer", "nfs4"),
            ("/database", "ext4"),
            ("/data/local/signer", "xfs"),
            ("/my keys/signer", "fuse.sshfs"),
            ("/twice", "tmpfs"),
        ] {
            assert_eq!(file_system_of(MOUNTS, Path::new(path)), Some(kind), "{path}");
        }
        assert_eq!(file_system_of("", Path::new("/")), None);
    }

    #[test]
    fn temporary_folders_of_this_machine_are_local() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(network_file_system(folder.path()), None);
        assert!(fs::read_to_string("/proc/self/mountinfo").is_ok_and(|mounts| {
            file_system_of(&mounts, &fs::canonicalize(folder.path()).unwrap()).is_some()
        }));
    }
}
