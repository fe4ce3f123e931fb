use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const VECTOR_PASSWORD: &str = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑";
const VECTOR_SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const VECTOR_PUBLIC_KEY: &str = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07";

/// EIP-2335, "Test Cases", scrypt.
const SCRYPT_VECTOR: &str = r#"{
    "crypto": {
        "kdf": {
            "function": "scrypt",
            "params": {
                "dklen": 32, "n": 262144, "p": 1, "r": 8,
                "salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
            },
            "message": ""
        },
        "checksum": {
            "function": "sha256",
            "params": {},
            "message": "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"
        },
        "cipher": {
            "function": "aes-128-ctr",
            "params": { "iv": "264daa3f303d7259501c93d997d84fe6" },
            "message": "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"
        }
    },
    "description": "This is a test keystore that uses scrypt to secure the secret.",
    "pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
    "path": "m/12381/60/3141592653/589793238",
    "uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f",
    "version": 4
}"#;

/// EIP-2335, "Test Cases", PBKDF2.
const PBKDF2_VECTOR: &str = r#"{
    "crypto": {
        "kdf": {
            "function": "pbkdf2",
            "params": {
                "dklen": 32, "c": 262144, "prf": "hmac-sha256",
                "salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
            },
            "message": ""
        },
        "checksum": {
            "function": "sha256",
            "params": {},
            "message": "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1"
        },
        "cipher": {
            "function": "aes-128-ctr",
            "params": { "iv": "264daa3f303d7259501c93d997d84fe6" },
            "message": "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad"
        }
    },
    "description": "This is a test keystore that uses PBKDF2 to secure the secret.",
    "pubkey": "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07",
    "path": "m/12381/60/0/0",
    "uuid": "64625def-3331-4eea-ab6f-782f3ed16a83",
    "version": 4
}"#;

const CHEAP_SCRYPT: KdfParameters = KdfParameters::Scrypt { n: 4, r: 8, p: 1 };
const CHEAP_PBKDF2: KdfParameters = KdfParameters::Pbkdf2 { rounds: 2 };

fn secret() -> Zeroizing<[u8; 32]> {
    Zeroizing::new(const_hex::decode_to_array(VECTOR_SECRET).unwrap())
}

/// The JSON of a cheap keystore for the password "a password".
fn cheap(kdf: KdfParameters) -> Value {
    let keystore =
        Keystore::encrypt(&secret(), &Password::new("a password"), kdf, "m/12381/3600/0/0/0");
    serde_json::from_str(&keystore.unwrap().to_json()).unwrap()
}

fn open(document: &Value) -> Result<PublicKey, KeystoreError> {
    let keystore = Keystore::parse(document.to_string().as_bytes())?;
    keystore.decrypt(&Password::new("a password")).map(|(_, public_key)| public_key)
}

/// The error of a keystore with one member replaced (or removed, by null).
fn error_with(pointer: &str, value: Value) -> KeystoreError {
    let mut document = cheap(CHEAP_SCRYPT);
    *document.pointer_mut(pointer).unwrap() = value;
    open(&document).unwrap_err()
}

#[test]
fn official_vectors_decrypt() {
    for vector in [SCRYPT_VECTOR, PBKDF2_VECTOR] {
        let keystore = Keystore::parse(vector.as_bytes()).unwrap();
        let password = Password::new(VECTOR_PASSWORD);
        assert_eq!(keystore.decrypt_secret(&password).unwrap(), secret());
        let (secret_key, public_key) = keystore.decrypt(&password).unwrap();
        assert_eq!(public_key, VECTOR_PUBLIC_KEY.parse().unwrap());
        assert_eq!(secret_key.public_key(), public_key);
    }
}

#[test]
fn what_is_encrypted_decrypts() {
    for kdf in [CHEAP_SCRYPT, CHEAP_PBKDF2] {
        let password = Password::new("pässword ");
        let made = Keystore::encrypt(&secret(), &password, kdf, "m/12381/3600/0/0/0").unwrap();
        let read = Keystore::parse(made.to_json().as_bytes()).unwrap();
        assert_eq!(read.kdf, kdf);
        assert_eq!(read.path.as_deref(), Some("m/12381/3600/0/0/0"));
        assert_eq!(read.uuid, made.uuid);
        assert_eq!(read.decrypt_secret(&password).unwrap(), secret());
        assert_eq!(read.to_json(), made.to_json());
    }
}

#[test]
fn encryption_is_fresh_every_time() {
    let first = cheap(CHEAP_SCRYPT);
    let second = cheap(CHEAP_SCRYPT);
    for pointer in ["/crypto/kdf/params/salt", "/crypto/cipher/params/iv", "/uuid"] {
        assert_ne!(first.pointer(pointer).unwrap(), second.pointer(pointer).unwrap());
    }
    let uuid = first["uuid"].as_str().unwrap();
    assert_eq!(uuid.parse::<uuid::Uuid>().unwrap().get_version_num(), 4);
}

#[test]
fn encryption_refuses_what_is_no_key_or_no_parameter() {
    let password = Password::new("a");
    let zero = Keystore::encrypt(&Zeroizing::new([0; 32]), &password, CHEAP_SCRYPT, "");
    assert!(matches!(zero, Err(KeystoreError::Secret(_))));
    let odd = KdfParameters::Scrypt { n: 3, r: 8, p: 1 };
    let odd = Keystore::encrypt(&secret(), &password, odd, "");
    assert!(matches!(odd, Err(KeystoreError::OutOfBounds { .. })));
}

#[test]
fn a_wrong_password_is_a_checksum_error_that_does_not_repeat_it() {
    let keystore = Keystore::parse(cheap(CHEAP_PBKDF2).to_string().as_bytes()).unwrap();
    for wrong in ["a passwork", "a password ", ""] {
        let Err(error) = keystore.decrypt(&Password::new(wrong)) else {
            panic!("the password {wrong:?} opened the keystore");
        };
        assert!(matches!(error, KeystoreError::Checksum));
        assert!(!error.to_string().contains("passwork"));
    }
    // Control characters are not part of a password.
    assert!(keystore.decrypt(&Password::new("a password\r\n")).is_ok());
}

#[test]
fn damage_is_noticed() {
    let flipped = json!("00".repeat(32));
    for pointer in ["/crypto/checksum/message", "/crypto/cipher/message"] {
        assert!(matches!(error_with(pointer, flipped.clone()), KeystoreError::Checksum));
    }
    let truncated = &cheap(CHEAP_SCRYPT).to_string()[..100];
    assert!(matches!(
        Keystore::parse(truncated.as_bytes()),
        Err(KeystoreError::NotJson { line: 1, column: 100 })
    ));
    for not_json in ["", "{", "\u{0}", &"[".repeat(1 << 20)] {
        assert!(matches!(Keystore::parse(not_json.as_bytes()), Err(KeystoreError::NotJson { .. })));
    }
    assert!(matches!(Keystore::parse(b"[4]"), Err(KeystoreError::WrongType { .. })));
}

#[test]
fn missing_members_are_named() {
    for pointer in [
        "/version",
        "/crypto",
        "/crypto/kdf",
        "/crypto/kdf/function",
        "/crypto/kdf/params/dklen",
        "/crypto/kdf/params/n",
        "/crypto/kdf/params/r",
        "/crypto/kdf/params/p",
        "/crypto/kdf/params/salt",
        "/crypto/checksum/function",
        "/crypto/checksum/message",
        "/crypto/cipher/function",
        "/crypto/cipher/params/iv",
        "/crypto/cipher/message",
    ] {
        let KeystoreError::Missing { member } = error_with(pointer, Value::Null) else {
            panic!("{pointer} may be missing");
        };
        assert!(member.starts_with(&pointer[1..].replace('/', ".")), "{pointer}: {member}");
    }
    let mut without_prf = cheap(CHEAP_PBKDF2);
    without_prf["crypto"]["kdf"]["params"]["prf"] = Value::Null;
    assert_eq!(open(&without_prf).unwrap_err().to_string(), "`crypto.kdf.params.prf` is missing");
}

#[test]
fn members_that_say_nothing_new_may_be_missing() {
    let mut document = cheap(CHEAP_SCRYPT);
    for member in ["pubkey", "path", "uuid"] {
        document.as_object_mut().unwrap().remove(member);
    }
    assert_eq!(open(&document).unwrap(), VECTOR_PUBLIC_KEY.parse().unwrap());
}

#[test]
fn unknown_functions_and_versions_are_named() {
    for (pointer, name) in [
        ("/crypto/kdf/function", "argon2id"),
        ("/crypto/checksum/function", "blake3"),
        ("/crypto/cipher/function", "aes-256-gcm"),
    ] {
        let error = error_with(pointer, json!(name));
        assert!(matches!(error, KeystoreError::UnsupportedFunction { .. }));
        assert!(error.to_string().contains(name), "{error}");
        assert!(error.to_string().contains(&pointer[1..].replace('/', ".")), "{error}");
    }
    let mut document = cheap(CHEAP_PBKDF2);
    document["crypto"]["kdf"]["params"]["prf"] = json!("hmac-sha512\n");
    let error = open(&document).unwrap_err().to_string();
    assert!(error.contains(r#""hmac-sha512\n""#), "{error}");
    assert!(matches!(
        error_with("/version", json!(3)),
        KeystoreError::UnsupportedVersion { found: 3 }
    ));
}

#[test]
fn parameters_out_of_bounds_are_refused_before_any_work() {
    for (pointer, value) in [
        ("/crypto/kdf/params/n", json!(1_u64 << 40)),
        ("/crypto/kdf/params/n", json!(u64::MAX)),
        ("/crypto/kdf/params/n", json!(5)),
        ("/crypto/kdf/params/r", json!(u32::MAX)),
        ("/crypto/kdf/params/p", json!(0)),
        ("/crypto/kdf/params/dklen", json!(31)),
        ("/crypto/cipher/params/iv", json!("00".repeat(7))),
        ("/crypto/cipher/params/iv", json!("00".repeat(17))),
        ("/crypto/cipher/message", json!("00".repeat(31))),
        ("/crypto/checksum/message", json!("")),
        ("/pubkey", json!("0x1234")),
    ] {
        let error = error_with(pointer, value);
        assert!(matches!(error, KeystoreError::OutOfBounds { .. }), "{pointer}: {error}");
    }
    for (pointer, value) in [
        ("/crypto/kdf/params/n", json!("4")),
        ("/crypto/kdf/params/n", json!(-4)),
        ("/crypto/kdf/params/n", json!(4.5)),
        ("/crypto/kdf/params/r", json!(1_u64 << 32)),
        ("/crypto/cipher/message", json!(7)),
    ] {
        let error = error_with(pointer, value);
        assert!(matches!(error, KeystoreError::WrongType { .. }), "{pointer}: {error}");
    }
    for text in ["abc", "zz", "0x0x"] {
        let error = error_with("/crypto/kdf/params/salt", json!(text));
        assert!(matches!(error, KeystoreError::NotHex { .. }), "{text}: {error}");
    }
}

#[test]
fn a_short_counter_block_is_filled_up_on_its_right() {
    let mut document = cheap(CHEAP_SCRYPT);
    let mut keystore = Keystore::parse(document.to_string().as_bytes()).unwrap();
    let derived = keystore.kdf.derive(&Password::new("a password"), &keystore.salt).unwrap();
    keystore.iv = [9; 16];
    keystore.iv[8..].fill(0);
    let mut ciphertext = *secret();
    apply_cipher(&derived, &keystore.iv, &mut ciphertext);
    document["crypto"]["cipher"]["params"]["iv"] = json!("09".repeat(8));
    document["crypto"]["cipher"]["message"] = json!(const_hex::encode(ciphertext));
    document["crypto"]["checksum"]["message"] =
        json!(const_hex::encode(checksum(&derived, &ciphertext)));
    assert_eq!(open(&document).unwrap(), VECTOR_PUBLIC_KEY.parse().unwrap());
}

#[test]
fn a_longer_derived_key_is_the_same_key() {
    for kdf in [CHEAP_SCRYPT, CHEAP_PBKDF2] {
        let mut document = cheap(kdf);
        document["crypto"]["kdf"]["params"]["dklen"] = json!(64);
        assert_eq!(open(&document).unwrap(), VECTOR_PUBLIC_KEY.parse().unwrap());
    }
}

#[test]
fn the_public_key_must_be_the_derived_one() {
    let mut document = cheap(CHEAP_SCRYPT);
    for same in [
        VECTOR_PUBLIC_KEY.to_owned(),
        format!("0x{VECTOR_PUBLIC_KEY}"),
        VECTOR_PUBLIC_KEY.to_uppercase(),
        String::new(),
    ] {
        document["pubkey"] = json!(same);
        assert!(open(&document).is_ok(), "{same}");
    }
    let other = format!("a{}", &VECTOR_PUBLIC_KEY[1..]);
    document["pubkey"] = json!(other);
    let error = open(&document).unwrap_err().to_string();
    assert!(error.contains(&other) && error.contains(VECTOR_PUBLIC_KEY), "{error}");
}

#[test]
fn a_decrypted_value_that_is_no_secret_key_is_refused() {
    let mut document = cheap(CHEAP_SCRYPT);
    let keystore = Keystore::parse(document.to_string().as_bytes()).unwrap();
    let derived = keystore.kdf.derive(&Password::new("a password"), &keystore.salt).unwrap();
    let mut ciphertext = [0xff; 32];
    apply_cipher(&derived, &keystore.iv, &mut ciphertext);
    document["crypto"]["cipher"]["message"] = json!(const_hex::encode(ciphertext));
    document["crypto"]["checksum"]["message"] =
        json!(const_hex::encode(checksum(&derived, &ciphertext)));
    let error = open(&document).unwrap_err();
    assert!(matches!(error, KeystoreError::Secret(_)));
    assert!(!error.to_string().contains("ffff"));
}

proptest! {
    /// Every change of a keystore is read or refused, and opens only with the right outcome.
    #[test]
    fn mutated_keystores_never_panic(
        pbkdf2: bool,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let kdf = if pbkdf2 { CHEAP_PBKDF2 } else { CHEAP_SCRYPT };
        let mut json = cheap(kdf).to_string().into_bytes();
        for (place, byte) in edits {
            let place = place.index(json.len());
            json[place] = byte;
        }
        if let Some(cut) = cut {
            json.truncate(cut.index(json.len()));
        }
        if let Ok(keystore) = Keystore::parse(&json) {
            // A changed digit may ask for real work, which this test has no time for.
            let cheap = keystore.memory_bytes() < 1 << 20
                && !matches!(keystore.kdf, KdfParameters::Pbkdf2 { rounds } if rounds > 100);
            if cheap && let Ok((_, public_key)) = keystore.decrypt(&Password::new("a password")) {
                prop_assert_eq!(public_key, VECTOR_PUBLIC_KEY.parse().unwrap());
            }
        }
    }
}
