//! EIP-2335 keystores, version 4: one secret key of 32 bytes, encrypted by a password.
//!
//! [`Keystore::parse`] checks everything that can be checked without the password, so that key
//! derivation, which is slow and takes up to 1 GiB, only starts on sound parameters.
//! Decryption proves itself twice: by the keystore's checksum and, when the keystore names its
//! public key, by deriving that key again.

mod json;
mod kdf;
mod password;
#[cfg(test)]
mod tests;

use aes::Aes128;
use ctr::{
    Ctr128BE,
    cipher::{KeyIvInit, StreamCipher},
};
use sha2::{Digest, Sha256};
use signer_client::wire::PublicKey;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use kdf::DerivedKey;
pub use kdf::KdfParameters;
pub use password::Password;

use crate::bls::{InvalidSecretKey, SecretKey};

/// Why a keystore can't be read, opened or made. Names members of the file, never their secrets.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The file is not JSON.
    #[error("not valid JSON at line {line}, column {column}")]
    NotJson {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
    },
    /// A member that EIP-2335 requires is absent.
    #[error("`{member}` is missing")]
    Missing {
        /// Path of the member, for example `crypto.kdf.params.salt`.
        member: &'static str,
    },
    /// A member has another type than EIP-2335 says.
    #[error("`{member}` must be {expected}")]
    WrongType {
        /// Path of the member.
        member: &'static str,
        /// What must stand there.
        expected: &'static str,
    },
    /// A member is not hexadecimal text with two digits for every byte.
    #[error("`{member}` is not hexadecimal text")]
    NotHex {
        /// Path of the member.
        member: &'static str,
    },
    /// The keystore has another version than 4.
    #[error("keystore version {found} is not supported, only 4 is")]
    UnsupportedVersion {
        /// The version in the file.
        found: u64,
    },
    /// The keystore uses a function that EIP-2335 does not define.
    #[error("`{member}` is \"{found}\", which is not supported; supported: {supported}")]
    UnsupportedFunction {
        /// Path of the member.
        member: &'static str,
        /// Name of the function in the file, escaped and cut to 32 characters.
        found: String,
        /// Names of the functions that are understood.
        supported: &'static str,
    },
    /// A parameter is outside of its bounds.
    #[error("`{member}` must be {rule}")]
    OutOfBounds {
        /// Path of the member.
        member: &'static str,
        /// The bounds in words.
        rule: &'static str,
    },
    /// The checksum does not fit the password and the encrypted secret.
    #[error("wrong password, or the keystore is damaged: its checksum does not match")]
    Checksum,
    /// The decrypted bytes are not a secret key.
    #[error("the decrypted secret is {0}")]
    Secret(#[from] InvalidSecretKey),
    /// The keystore names another public key than its secret key has.
    #[error("`pubkey` is {named}, but the decrypted secret key belongs to {derived}")]
    PublicKeyMismatch {
        /// The key that the file names.
        named: PublicKey,
        /// The key that the secret key has.
        derived: PublicKey,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
}

/// A parsed keystore. Its parameters are within their bounds.
pub struct Keystore {
    kdf: KdfParameters,
    salt: Vec<u8>,
    /// SHA-256 of the second half of the derived key and the ciphertext.
    checksum: [u8; 32],
    /// Initial counter block of AES-128-CTR.
    iv: [u8; 16],
    ciphertext: [u8; 32],
    public_key: Option<PublicKey>,
    path: Option<String>,
    uuid: Option<String>,
}

impl Keystore {
    /// Reads the JSON form.
    ///
    /// Takes what `Web3Signer` takes: `dklen` of 32 and more, an `iv` of 8 to 16 bytes, hexadecimal
    /// text with and without `0x`, and no `pubkey`, `path` or `uuid`.
    pub fn parse(json: &[u8]) -> Result<Self, KeystoreError> {
        json::read(json)
    }

    /// Encrypts a secret key with a fresh random salt, counter block and UUID.
    ///
    /// `path` is the key's derivation path (EIP-2334), or empty.
    ///
    /// # Errors
    /// When the 32 big-endian bytes are no secret key, the parameters are out of bounds, or the
    /// system has no random bytes.
    pub fn encrypt(
        secret: &Zeroizing<[u8; 32]>,
        password: &Password,
        kdf: KdfParameters,
        path: &str,
    ) -> Result<Self, KeystoreError> {
        let public_key = SecretKey::from_bytes(secret)?.public_key();
        let mut salt = vec![0; 32];
        let mut iv = [0; 16];
        let mut uuid = [0; 16];
        for random in [salt.as_mut_slice(), &mut iv, &mut uuid] {
            getrandom::fill(random).map_err(KeystoreError::Random)?;
        }
        let derived = kdf.derive(password, &salt)?;
        let mut ciphertext = **secret;
        apply_cipher(&derived, &iv, &mut ciphertext);
        Ok(Self {
            kdf,
            checksum: checksum(&derived, &ciphertext),
            salt,
            iv,
            ciphertext,
            public_key: Some(public_key),
            path: Some(path.to_owned()),
            uuid: Some(uuid::Builder::from_random_bytes(uuid).into_uuid().to_string()),
        })
    }

    /// Opens the keystore: the secret key and its public key. Takes as long as its key derivation,
    /// usually 40 ms (PBKDF2) or 0.75 s (scrypt), and [`Self::memory_bytes`] of memory.
    pub fn decrypt(&self, password: &Password) -> Result<(SecretKey, PublicKey), KeystoreError> {
        let secret_key = SecretKey::from_bytes(&self.decrypt_secret(password)?)?;
        let derived = secret_key.public_key();
        match self.public_key {
            Some(named) if named != derived => {
                Err(KeystoreError::PublicKeyMismatch { named, derived })
            }
            _ => Ok((secret_key, derived)),
        }
    }

    fn decrypt_secret(&self, password: &Password) -> Result<Zeroizing<[u8; 32]>, KeystoreError> {
        let derived = self.kdf.derive(password, &self.salt)?;
        let matches = checksum(&derived, &self.ciphertext).ct_eq(&self.checksum);
        if !bool::from(matches) {
            return Err(KeystoreError::Checksum);
        }
        let mut secret = Zeroizing::new(self.ciphertext);
        apply_cipher(&derived, &self.iv, &mut secret);
        Ok(secret)
    }

    /// Memory that [`Self::decrypt`] takes while it runs, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.kdf.memory_bytes()
    }

    /// The public key that the keystore names, which decryption checks.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.public_key
    }

    /// The JSON form, as EIP-2335 gives it.
    pub fn to_json(&self) -> String {
        json::write(self)
    }
}

/// SHA-256 over the second half of the derived key and the ciphertext (EIP-2335, "Checksum").
fn checksum(derived: &DerivedKey, ciphertext: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(derived[1]).chain_update(ciphertext).finalize().into()
}

/// AES-128 in counter mode with the first half of the derived key (EIP-2335, "Cipher"): encrypts
/// and decrypts.
fn apply_cipher(derived: &DerivedKey, iv: &[u8; 16], text: &mut [u8; 32]) {
    Ctr128BE::<Aes128>::new((&derived[0]).into(), iv.into()).apply_keystream(text);
}
