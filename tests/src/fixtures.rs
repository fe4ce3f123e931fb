//! Known answers: files under `tests/fixtures`, whose README says where they come from.

use std::path::{Path, PathBuf};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// One file of signing requests with their known roots and signatures.
#[derive(Debug, Deserialize)]
pub struct SigningFile {
    /// Where the answers come from.
    pub origin: String,
    /// The key that signed, as `0x` text.
    pub public_key: String,
    /// The requests.
    pub cases: Vec<SigningCase>,
}

/// One signing request with its known answer.
#[derive(Debug, Deserialize)]
pub struct SigningCase {
    /// Unique name.
    pub name: String,
    /// A built-in network, or the name of a file under `tests/fixtures/networks`.
    pub network: String,
    /// The request's body.
    pub request: Value,
    /// Its signing root, as `0x` text.
    pub signing_root: String,
    /// The signature, as `0x` text.
    pub signature: String,
}

/// The folder of the fixtures.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The value of `--network` for a case.
pub fn network_option(network: &str) -> String {
    if Path::new(network).extension().is_some_and(|extension| extension == "yaml") {
        folder().join("networks").join(network).display().to_string()
    } else {
        network.to_owned()
    }
}

/// Every JSON file of a folder under `tests/fixtures`, by name.
///
/// # Panics
/// When there is none, or one is not of the expected shape.
pub fn read_all<T: DeserializeOwned>(name: &str) -> Vec<(String, T)> {
    let folder = folder().join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert!(!paths.is_empty(), "no fixtures in {}", folder.display());
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a readable fixture");
            let file = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), file)
        })
        .collect()
}
