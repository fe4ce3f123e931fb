//! `eth2 export`: write slashing protection records to a file or to standard output.
//!
//! A file is written beside its place under another name, made durable, and then renamed: whoever
//! finds it finds all of it.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use signer_client::wire::PublicKey;

use crate::{config::Config, slashing::Selection};

use super::{CommandError, block_on, network_root, open, say};

/// The name that means standard output.
const STDOUT: &str = "-";

/// Exports all keys, or these, of the configured database, which must exist.
pub fn run(config: &Config, to: &Path, keys: Option<&[PublicKey]>) -> Result<(), CommandError> {
    let network_root = network_root(config)?;
    let selection = keys.map_or(Selection::All, Selection::Keys);
    let unwritable = |source| CommandError::Unwritable { path: to.to_owned(), source };
    block_on(async {
        let mut database = open(config, false).await?;
        let count = if to == Path::new(STDOUT) {
            let mut output = BufWriter::new(io::stdout());
            database.export(selection, network_root, &mut output).await?
        } else {
            let mut draft = Draft::new(to).map_err(unwritable)?;
            let count = database.export(selection, network_root, &mut draft.file).await?;
            draft.publish().map_err(unwritable)?;
            count
        };
        say(format_args!("Exported {count} keys to {}", to.display()));
        database.close().await.map_err(CommandError::Close)
    })
}

/// A file that is not in its place yet. Dropped before that, it is removed.
struct Draft {
    file: BufWriter<File>,
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    fn new(place: &Path) -> io::Result<Self> {
        let place = match fs::canonicalize(place) {
            // A link stays a link.
            Ok(existing) if existing.is_file() => existing,
            Ok(_) => {
                return Err(io::Error::other(
                    "it is there and is no regular file; use - for standard output",
                ));
            }
            Err(_) => place.to_owned(),
        };
        let mut name = OsString::from(".");
        name.push(
            place.file_name().ok_or_else(|| io::Error::other("it is not the name of a file"))?,
        );
        name.push(format!(".{}.part", std::process::id()));
        let path = place.with_file_name(name);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { file: BufWriter::with_capacity(1 << 16, file), path, place })
    }

    /// Moves the file to its place, durably.
    fn publish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.path, &self.place)?;
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the renaming there is nothing to remove.
        drop(fs::remove_file(&self.path));
    }
}
