//! Keystores of interop keys (EIP-2335), for a signer to be measured.
//!
//! Everybody knows these secrets, so the password is a formality and its derivation is made cheap:
//! a signer loads thousands of them in seconds.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit as _, StreamCipher as _},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{LoadChain, keys::interop_public_key};
use crate::interop::interop_secret_key;

/// Rounds of PBKDF2.
const ROUNDS: u32 = 16;
/// The password of every keystore.
const PASSWORD: &str = "interop keys have no secrets";

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeystoreFolders {
    /// Keystores, `NAME.json`.
    pub keystores: PathBuf,
    /// Passwords, `NAME.txt` for each keystore.
    pub passwords: PathBuf,
    /// Configuration of a made-up chain for `--network`.
    pub network: PathBuf,
}

/// Why the files can't be made.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// A file or folder can't be written.
    #[error("can't write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(#[from] getrandom::Error),
}

/// Writes the keystores of the first `count` interop keys with their passwords, and the
/// configuration of a chain with slots of this length, into a folder. `each` is told the number
/// that is done. A network configuration that is there already stays.
///
/// # Errors
/// See [`KeystoreError`].
pub fn make_keystores(
    folder: &Path,
    count: u64,
    slot_ms: u64,
    mut each: impl FnMut(u64),
) -> Result<KeystoreFolders, KeystoreError> {
    let folders = KeystoreFolders {
        keystores: folder.join("keystores"),
        passwords: folder.join("passwords"),
        network: folder.join("network.yaml"),
    };
    for path in [&folders.keystores, &folders.passwords] {
        fs::create_dir_all(path)
            .map_err(|source| KeystoreError::Write { path: path.clone(), source })?;
    }
    if !folders.network.exists() {
        write(&folders.network, &LoadChain::random(slot_ms)?.network_file())?;
    }
    for index in 0..count {
        let name = format!("interop-{index:06}");
        write(&folders.keystores.join(&name).with_extension("json"), &keystore(index)?)?;
        write(&folders.passwords.join(&name).with_extension("txt"), PASSWORD)?;
        each(index + 1);
    }
    Ok(folders)
}

fn write(path: &Path, text: &str) -> Result<(), KeystoreError> {
    fs::write(path, text).map_err(|source| KeystoreError::Write { path: path.to_owned(), source })
}

/// The JSON of one keystore, version 4.
fn keystore(index: u64) -> Result<String, KeystoreError> {
    let (mut salt, mut iv, mut id) = ([0; 32], [0; 16], [0; 16]);
    for random in [salt.as_mut_slice(), &mut iv, &mut id] {
        getrandom::fill(random)?;
    }
    let mut derived = [0; 32];
    pbkdf2::pbkdf2_hmac::<pbkdf2::sha2::Sha256>(PASSWORD.as_bytes(), &salt, ROUNDS, &mut derived);
    let (cipher_key, checksum_key) = derived.split_at(16);
    let mut secret = interop_secret_key(index);
    let mut key = [0; 16];
    key.copy_from_slice(cipher_key);
    Ctr128BE::<Aes128>::new(&key.into(), &iv.into()).apply_keystream(secret.as_mut_slice());
    let checksum = Sha256::new_with_prefix(checksum_key).chain_update(secret.as_slice()).finalize();
    let keystore = json!({
        "version": 4,
        "uuid": uuid::Builder::from_random_bytes(id).into_uuid().to_string(),
        "description": "interop key: its secret is public knowledge",
        "path": format!("m/12381/3600/{index}/0/0"),
        "pubkey": const_hex::encode(interop_public_key(index).0),
        "crypto": {
            "kdf": {
                "function": "pbkdf2",
                "params": {
                    "dklen": 32,
                    "c": ROUNDS,
                    "prf": "hmac-sha256",
                    "salt": const_hex::encode(salt),
                },
                "message": "",
            },
            "checksum": {
                "function": "sha256",
                "params": {},
                "message": const_hex::encode(checksum),
            },
            "cipher": {
                "function": "aes-128-ctr",
                "params": { "iv": const_hex::encode(iv) },
                "message": const_hex::encode(secret.as_slice()),
            },
        },
    });
    Ok(format!("{keystore:#}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut done = Vec::new();
        let folders = make_keystores(folder.path(), 2, 12_000, |count| done.push(count)).unwrap();
        assert_eq!(done, [1, 2]);
        let network = fs::read_to_string(&folders.network).unwrap();
        make_keystores(folder.path(), 3, 2_000, |_| ()).unwrap();
        assert_eq!(fs::read_to_string(&folders.network).unwrap(), network);
        assert_eq!(fs::read_dir(folders.keystores).unwrap().count(), 3);
        assert_eq!(fs::read_dir(folders.passwords).unwrap().count(), 3);
    }

    #[test]
    fn a_folder_that_is_a_file_is_an_error_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keystores");
        fs::write(&file, "").unwrap();
        let error = make_keystores(folder.path(), 1, 12_000, |_| ()).unwrap_err();
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
}
