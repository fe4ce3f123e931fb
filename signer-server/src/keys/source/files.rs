//! Reading key files with care: listed by extension, bounded in size, watched for changes.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use zeroize::Zeroizing;

use super::LoadFailure;

/// Bound on the size of a keystore, in bytes; usual ones have less than a thousand.
pub(super) const MAX_KEYSTORE_BYTES: u64 = 1 << 20;
/// Bound on the size of a password file, in bytes.
pub(super) const MAX_PASSWORD_BYTES: u64 = 1 << 20;

/// A file and how it looked just before it was read.
#[derive(Clone)]
pub(in crate::keys) struct Watched {
    path: PathBuf,
    stamp: Stamp,
}

impl Watched {
    /// Whether the file looks as it did. A file that can't be looked at has changed.
    pub(in crate::keys) fn is_unchanged(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|metadata| Stamp::new(&metadata) == self.stamp)
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Device, inode and time of the last change of the inode: notices files that were swapped
    /// for others with the same size and date.
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Stamp {
    fn new(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: {
                use std::os::unix::fs::MetadataExt;
                (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
            },
        }
    }
}

/// The direct children with one of the extensions, in any case, in ascending order. Folders are
/// left out; links are followed.
pub(super) fn children(directory: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, LoadFailure> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(LoadFailure::Folder)? {
        let path = entry.map_err(LoadFailure::Folder)?.path();
        let fits = path.extension().is_some_and(|found| {
            extensions.iter().any(|wanted| found.eq_ignore_ascii_case(wanted))
        });
        if fits && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Reads a whole file of at most `limit_bytes` bytes and adds it to `watched`.
pub(super) fn read(
    path: &Path,
    limit_bytes: u64,
    watched: &mut Vec<Watched>,
) -> Result<Zeroizing<Vec<u8>>, LoadFailure> {
    let failed = |source: io::Error| LoadFailure::File { path: path.to_owned(), source };
    // Asked before the file is opened: opening a pipe would wait for its writer.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(LoadFailure::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let too_large = || LoadFailure::TooLarge { path: path.to_owned(), limit_bytes };
    if metadata.len() > limit_bytes {
        return Err(too_large());
    }
    watched.push(Watched { path: path.to_owned(), stamp: Stamp::new(&metadata) });
    // One byte more than expected, so that the buffer need not grow and leave a copy behind.
    let capacity = usize::try_from(metadata.len()).map_err(|_| too_large())?.saturating_add(1);
    let mut content = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut content).map_err(failed)?;
    // The file may have grown since it was measured.
    if content.len() as u64 > limit_bytes {
        return Err(too_large());
    }
    Ok(content)
}

/// The content as text.
pub(super) fn text<'a>(path: &Path, content: &'a [u8]) -> Result<&'a str, LoadFailure> {
    std::str::from_utf8(content).map_err(|_| LoadFailure::NotText { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_by_extension_in_any_case() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.JSON", "c.json.bak", "json", ".json", "d.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("folder.json")).unwrap();
        let names: Vec<_> = children(folder.path(), &["json"])
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.JSON", "b.json"]);
        let missing = children(&folder.path().join("missing"), &["json"]);
        assert!(matches!(missing, Err(LoadFailure::Folder(_))));
    }

    #[test]
    fn files_are_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "12345").unwrap();
        let mut watched = Vec::new();
        assert_eq!(read(&path, 5, &mut watched).unwrap().as_slice(), b"12345");
        assert!(matches!(
            read(&path, 4, &mut watched),
            Err(LoadFailure::TooLarge { limit_bytes: 4, .. })
        ));
        assert!(matches!(read(folder.path(), 5, &mut watched), Err(LoadFailure::NotAFile { .. })));
        assert!(matches!(
            read(&folder.path().join("missing"), 5, &mut watched),
            Err(LoadFailure::File { .. })
        ));
        assert_eq!(watched.len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_refused_instead_of_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe.json");
        let status = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        assert!(matches!(read(&path, 5, &mut Vec::new()), Err(LoadFailure::NotAFile { .. })));
    }

    #[test]
    fn changes_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "1").unwrap();
        let mut watched = Vec::new();
        read(&path, 5, &mut watched).unwrap();
        assert!(watched[0].is_unchanged());
        fs::write(&path, "12").unwrap();
        assert!(!watched[0].is_unchanged());
        fs::remove_file(&path).unwrap();
        assert!(!watched[0].is_unchanged());
    }
}
