//! Who the client is, and whom it trusts, on TLS connections.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use p12_keystore::{KeyStore, KeyStoreEntry, Pkcs12ImportPolicy};
use zeroize::Zeroizing;

use super::SetupError;

/// TLS options of one endpoint. TLS 1.2 and 1.3.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Certificates of the authorities that may vouch for the signer, in PEM; no others are then
    /// trusted. Without it, those of the operating system.
    pub authorities_pem: Option<Vec<u8>>,
    /// The client's certificate and key, if the signer wants one.
    pub identity: Option<ClientIdentity>,
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsOptions")
            .field("own_authorities", &self.authorities_pem.is_some())
            .field("identity", &self.identity)
            .finish()
    }
}

/// A client certificate with its chain and its private key.
#[derive(Clone)]
pub struct ClientIdentity {
    identity: reqwest::Identity,
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientIdentity(..)")
    }
}

impl ClientIdentity {
    /// From PEM: the chain, the client's own certificate first, and one private key (PKCS#8, PKCS#1
    /// or SEC 1, not encrypted). Both may be in the same file.
    ///
    /// # Errors
    /// [`SetupError::Identity`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, SetupError> {
        let mut text = Zeroizing::new(Vec::with_capacity(chain.len() + key.len() + 1));
        text.extend_from_slice(chain);
        if chain != key {
            text.push(b'\n');
            text.extend_from_slice(key);
        }
        let marker = b"PRIVATE KEY-----";
        let begins = text.windows(marker.len()).filter(|window| *window == marker).count() / 2;
        if begins != 1 {
            return Err(SetupError::Identity("expected exactly one private key in PEM"));
        }
        let identity = reqwest::Identity::from_pem(&text).map_err(|_| {
            SetupError::Identity("expected a certificate and a private key, not encrypted, in PEM")
        })?;
        Ok(Self { identity })
    }

    /// From a PKCS#12 file with one private key and its chain.
    ///
    /// # Errors
    /// [`SetupError::Identity`].
    pub fn from_pkcs12(file: &[u8], password: &str) -> Result<Self, SetupError> {
        let store =
            KeyStore::from_pkcs12(file, password, Pkcs12ImportPolicy::Strict).map_err(|_| {
                SetupError::Identity(
                    "the PKCS#12 file or its password is wrong, or it is of an unknown kind",
                )
            })?;
        let mut chains = store.entries().filter_map(|(_, entry)| match entry {
            KeyStoreEntry::PrivateKeyChain(chain) => Some(chain),
            _ => None,
        });
        let (Some(chain), None) = (chains.next(), chains.next()) else {
            return Err(SetupError::Identity(
                "expected exactly one private key with its certificate in the PKCS#12 file",
            ));
        };
        let mut certificates = Vec::new();
        for certificate in chain.certs() {
            append_pem(&mut certificates, "CERTIFICATE", certificate.as_der());
        }
        let mut key = Zeroizing::new(Vec::new());
        append_pem(&mut key, "PRIVATE KEY", chain.key().as_der());
        Self::from_pem(&certificates, &key)
    }

    pub(super) fn get(&self) -> reqwest::Identity {
        self.identity.clone()
    }
}

/// Appends one PEM section (RFC 7468).
fn append_pem(text: &mut Vec<u8>, label: &str, der: &[u8]) {
    text.extend_from_slice(format!("-----BEGIN {label}-----\n").as_bytes());
    let encoded = Zeroizing::new(STANDARD.encode(der));
    for line in encoded.as_bytes().chunks(64) {
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text.extend_from_slice(format!("-----END {label}-----\n").as_bytes());
}
