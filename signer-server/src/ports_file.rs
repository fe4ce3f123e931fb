//! `web3signer.ports` in the data folder: which ports are open, for scripts that asked for any.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Web3Signer's name of the file.
const NAME: &str = "web3signer.ports";

/// The written file. Removed when dropped.
pub(crate) struct PortsFile(PathBuf);

impl PortsFile {
    /// Writes the open ports as Java properties. A reader sees the whole file or none.
    ///
    /// # Errors
    /// When the folder can't be written to.
    pub(crate) fn write(folder: &Path, http: u16, metrics: Option<u16>) -> io::Result<Self> {
        let metrics = metrics.map(|port| format!("metrics-port={port}\n")).unwrap_or_default();
        let text = format!("http-port={http}\n{metrics}");
        let path = folder.join(NAME);
        let unfinished = folder.join(format!("{NAME}.new"));
        fs::write(&unfinished, text)?;
        fs::rename(&unfinished, &path)?;
        Ok(Self(path))
    }
}

impl Drop for PortsFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the ports file could not be removed");
        }
    }
}
