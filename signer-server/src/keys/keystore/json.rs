//! The JSON form of a keystore (EIP-2335, "JSON schema").
//!
//! Members are fetched by hand instead of by a derived decoder, because a decoder's messages
//! repeat the value that they refuse.

use serde_json::{Value, json};

use super::{KdfParameters, Keystore, KeystoreError};

/// A member's name on every level, and the same as one text for messages.
macro_rules! member {
    ($first:literal $(. $next:literal)*) => {
        Member { keys: &[$first $(, $next)*], path: concat!($first $(, ".", $next)*) }
    };
}

#[derive(Clone, Copy)]
struct Member {
    keys: &'static [&'static str],
    path: &'static str,
}

impl Member {
    /// The value, unless it is absent or null.
    fn find(self, document: &Value) -> Option<&Value> {
        let mut value = document;
        for key in self.keys {
            value = value.get(key)?;
        }
        (!value.is_null()).then_some(value)
    }

    fn require(self, document: &Value) -> Result<&Value, KeystoreError> {
        self.find(document).ok_or(KeystoreError::Missing { member: self.path })
    }

    fn wrong_type(self, expected: &'static str) -> KeystoreError {
        KeystoreError::WrongType { member: self.path, expected }
    }

    fn integer<T: TryFrom<u64>>(self, document: &Value) -> Result<T, KeystoreError> {
        let number = self.require(document)?.as_u64();
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.wrong_type("a whole number that is not out of range"))
    }

    fn text(self, document: &Value) -> Result<&str, KeystoreError> {
        self.require(document)?.as_str().ok_or_else(|| self.wrong_type("text"))
    }

    fn optional_text(self, document: &Value) -> Result<Option<&str>, KeystoreError> {
        self.find(document).map(|_| self.text(document)).transpose()
    }

    fn bytes(self, document: &Value) -> Result<Vec<u8>, KeystoreError> {
        let text = self.text(document)?;
        const_hex::decode(text).map_err(|_| KeystoreError::NotHex { member: self.path })
    }

    /// 32 bytes.
    fn word(self, document: &Value) -> Result<[u8; 32], KeystoreError> {
        let bytes = self.bytes(document)?;
        bytes.try_into().map_err(|_| self.out_of_bounds("32 bytes long"))
    }

    fn out_of_bounds(self, rule: &'static str) -> KeystoreError {
        KeystoreError::OutOfBounds { member: self.path, rule }
    }

    fn unsupported(self, found: &str, supported: &'static str) -> KeystoreError {
        let found = found.chars().take(32).flat_map(char::escape_debug).collect();
        KeystoreError::UnsupportedFunction { member: self.path, found, supported }
    }

    fn expect_function(self, document: &Value, name: &'static str) -> Result<(), KeystoreError> {
        let found = self.text(document)?;
        if found == name { Ok(()) } else { Err(self.unsupported(found, name)) }
    }
}

pub(super) fn read(json: &[u8]) -> Result<Keystore, KeystoreError> {
    let document: Value = serde_json::from_slice(json)
        .map_err(|error| KeystoreError::NotJson { line: error.line(), column: error.column() })?;
    let document = &document;
    if !document.is_object() {
        return Err(KeystoreError::WrongType {
            member: "keystore",
            expected: "an object with the members of EIP-2335",
        });
    }
    let version = member!("version").integer::<u64>(document)?;
    if version != 4 {
        return Err(KeystoreError::UnsupportedVersion { found: version });
    }
    member!("crypto"."checksum"."function").expect_function(document, "sha256")?;
    member!("crypto"."cipher"."function").expect_function(document, "aes-128-ctr")?;
    Ok(Keystore {
        kdf: read_kdf(document)?,
        salt: member!("crypto"."kdf"."params"."salt").bytes(document)?,
        checksum: member!("crypto"."checksum"."message").word(document)?,
        iv: read_iv(document)?,
        ciphertext: member!("crypto"."cipher"."message").word(document)?,
        public_key: read_public_key(document)?,
        path: member!("path").optional_text(document)?.map(str::to_owned),
        uuid: member!("uuid").optional_text(document)?.map(str::to_owned),
    })
}

fn read_kdf(document: &Value) -> Result<KdfParameters, KeystoreError> {
    let function = member!("crypto"."kdf"."function");
    let parameters = match function.text(document)? {
        "scrypt" => KdfParameters::Scrypt {
            n: member!("crypto"."kdf"."params"."n").integer(document)?,
            r: member!("crypto"."kdf"."params"."r").integer(document)?,
            p: member!("crypto"."kdf"."params"."p").integer(document)?,
        },
        "pbkdf2" => {
            member!("crypto"."kdf"."params"."prf").expect_function(document, "hmac-sha256")?;
            KdfParameters::Pbkdf2 {
                rounds: member!("crypto"."kdf"."params"."c").integer(document)?,
            }
        }
        other => return Err(function.unsupported(other, "scrypt, pbkdf2")),
    };
    let length = member!("crypto"."kdf"."params"."dklen");
    if length.integer::<u64>(document)? < 32 {
        return Err(length.out_of_bounds("at least 32"));
    }
    parameters.check()
}

/// A short counter block is filled up with zeros on its right, as Java's cipher does.
fn read_iv(document: &Value) -> Result<[u8; 16], KeystoreError> {
    let member = member!("crypto"."cipher"."params"."iv");
    let bytes = member.bytes(document)?;
    if !(8..=16).contains(&bytes.len()) {
        return Err(member.out_of_bounds("8 to 16 bytes long"));
    }
    let mut iv = [0; 16];
    iv[..bytes.len()].copy_from_slice(&bytes);
    Ok(iv)
}

fn read_public_key(
    document: &Value,
) -> Result<Option<signer_client::wire::PublicKey>, KeystoreError> {
    let member = member!("pubkey");
    match member.optional_text(document)? {
        None | Some("") => Ok(None),
        Some(text) => crate::keys::parse_identifier(text)
            .map(Some)
            .ok_or_else(|| member.out_of_bounds("hexadecimal text of 48 bytes")),
    }
}

pub(super) fn write(keystore: &Keystore) -> String {
    let (function, mut params) = match keystore.kdf {
        KdfParameters::Scrypt { n, r, p } => ("scrypt", json!({ "n": n, "r": r, "p": p })),
        KdfParameters::Pbkdf2 { rounds } => {
            ("pbkdf2", json!({ "c": rounds, "prf": "hmac-sha256" }))
        }
    };
    params["dklen"] = json!(32);
    params["salt"] = json!(const_hex::encode(&keystore.salt));
    let mut document = json!({
        "crypto": {
            "kdf": { "function": function, "params": params, "message": "" },
            "checksum": {
                "function": "sha256",
                "params": {},
                "message": const_hex::encode(keystore.checksum),
            },
            "cipher": {
                "function": "aes-128-ctr",
                "params": { "iv": const_hex::encode(keystore.iv) },
                "message": const_hex::encode(keystore.ciphertext),
            },
        },
        "path": keystore.path.as_deref().unwrap_or_default(),
        "version": 4,
    });
    if let Some(public_key) = keystore.public_key {
        document["pubkey"] = json!(const_hex::encode(public_key.0));
    }
    if let Some(uuid) = &keystore.uuid {
        document["uuid"] = json!(uuid);
    }
    format!("{document:#}")
}
