//! Real key files for interop keys, whose secrets everybody knows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use signer_server::{
    bls::{CIPHERSUITE, SecretKey},
    keys::{
        interop_secret_key,
        keystore::{KdfParameters, Keystore, Password},
    },
};

/// The public key of an interop key, as `0x` text.
///
/// # Panics
/// Never: every interop key is valid.
pub fn public_key(index: u64) -> String {
    secret_key(index).public_key().to_string()
}

fn secret_key(index: u64) -> SecretKey {
    SecretKey::from_bytes(&interop_secret_key(index)).expect("interop keys are valid")
}

/// Whether `signature` is that of an interop key over `message`.
pub fn is_signed(index: u64, message: &[u8], signature: &str) -> bool {
    verifies(&public_key(index), message, signature)
}

/// Whether `signature` is that of `public_key` (both as `0x` text) over `message`.
pub fn verifies(public_key: &str, message: &[u8], signature: &str) -> bool {
    let Ok(public_key) = const_hex::decode(public_key) else { return false };
    let Ok(signature) = const_hex::decode(signature) else { return false };
    let Ok(public_key) = blst::min_pk::PublicKey::key_validate(&public_key) else { return false };
    let Ok(signature) = blst::min_pk::Signature::sig_validate(&signature, true) else {
        return false;
    };
    signature.verify(true, message, CIPHERSUITE, &[], &public_key, false)
        == blst::BLST_ERROR::BLST_SUCCESS
}

/// Demands that `signature` is that of an interop key over `message`.
///
/// # Panics
/// When it is not.
pub fn assert_signed(index: u64, message: &[u8], signature: &str) {
    assert!(is_signed(index, message, signature), "not a signature of interop key {index}");
}

/// The key configuration file of an interop key in `folder`.
pub fn raw_key_path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("interop-{index}.yaml"))
}

/// Writes an interop key as a `file-raw` key configuration file.
///
/// # Panics
/// When the file can't be written.
pub fn write_raw_key(folder: &Path, index: u64) {
    let hex = const_hex::encode_prefixed(interop_secret_key(index).as_slice());
    let text = format!("type: file-raw\nkeyType: BLS\nprivateKey: \"{hex}\"\n");
    fs::write(raw_key_path(folder, index), text).expect("the key folder is writable");
}

/// How hard a keystore is to decrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// As wallets write it: about a second and 256 MiB.
    Standard,
    /// Next to nothing.
    Cheap,
}

/// A pair of bulk folders: keystores, and a password file for each.
pub struct KeystoreFolders {
    /// Holds `*.json`.
    pub keystores: PathBuf,
    /// Holds `*.txt` of the same names.
    pub passwords: PathBuf,
}

impl KeystoreFolders {
    /// Makes both folders below `folder`.
    ///
    /// # Panics
    /// When they can't be made.
    pub fn in_folder(folder: &Path) -> Self {
        let folders =
            Self { keystores: folder.join("keystores"), passwords: folder.join("passwords") };
        for path in [&folders.keystores, &folders.passwords] {
            fs::create_dir_all(path).expect("a folder");
        }
        folders
    }

    /// The option that names the keystore folder.
    pub fn keystores_option(&self) -> String {
        format!("--keystores-path={}", self.keystores.display())
    }

    /// The option that names the password folder.
    pub fn passwords_option(&self) -> String {
        format!("--keystores-passwords-path={}", self.passwords.display())
    }

    /// The password of an interop key's keystore.
    pub fn password(index: u64) -> String {
        format!("correct horse {index} battery staple")
    }

    /// Writes the keystore of an interop key with its password file.
    ///
    /// # Panics
    /// When a file can't be written.
    pub fn write(&self, index: u64, cost: Cost) {
        let kdf = match cost {
            Cost::Standard => KdfParameters::SCRYPT_STANDARD,
            Cost::Cheap => KdfParameters::Pbkdf2 { rounds: 16 },
        };
        let password = Self::password(index);
        let path = format!("m/12381/3600/{index}/0/0");
        let secret = interop_secret_key(index);
        let keystore = Keystore::encrypt(&secret, &Password::new(&password), kdf, &path)
            .expect("the parameters are within bounds");
        let name = format!("keystore-{index}");
        fs::write(self.keystores.join(format!("{name}.json")), keystore.to_json())
            .expect("a keystore file");
        fs::write(self.passwords.join(format!("{name}.txt")), password).expect("a password file");
    }
}
