//! The address of a beacon node, which may hold secrets.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::percent_decode_str;
use reqwest::{Url, header::HeaderValue};
use zeroize::Zeroizing;

/// Why a text is no address of a beacon node. Never carries the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// It is no URL at all, or one of another kind.
    #[error("expected an address such as http://localhost:5052")]
    NotHttp,
    /// Paths of the Beacon API are put behind the address.
    #[error("the address of a beacon node must end with its path, without ? and #")]
    AfterPath,
}

/// Where a beacon node is. User and password in the address (`http://user:password@host:5052`)
/// become an `Authorization` header (RFC 7617), and neither they nor the path, in which some
/// providers have a token, are ever shown.
#[derive(Clone)]
pub struct BeaconAddress {
    base: Url,
    authorization: Option<HeaderValue>,
}

impl BeaconAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, BadAddress> {
        let mut base = Url::parse(text).map_err(|_| BadAddress::NotHttp)?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(BadAddress::NotHttp);
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(BadAddress::AfterPath);
        }
        let authorization = authorization(&base)?;
        let is_stripped = base.set_username("").is_ok() && base.set_password(None).is_ok();
        if !is_stripped {
            return Err(BadAddress::NotHttp);
        }
        Ok(Self { base, authorization })
    }

    /// Whether the connection is encrypted.
    pub(super) fn is_https(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The full address of a path of the Beacon API.
    pub(super) fn of_path(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// The `Authorization` header, if the address has a user.
    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

fn authorization(url: &Url) -> Result<Option<HeaderValue>, BadAddress> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut pair = Zeroizing::new(Vec::new());
    pair.extend(percent_decode_str(url.username()));
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
    let mut value = HeaderValue::from_str(&text).map_err(|_| BadAddress::NotHttp)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Scheme, host and port.
impl fmt::Display for BeaconAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.base.origin().ascii_serialization())
    }
}

impl fmt::Debug for BeaconAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BeaconAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_an_address_are_sent_and_never_shown() {
        let address = BeaconAddress::parse("http://us%40er:pa%3Ass@node:5052/token/").unwrap();
        // base64 of "us@er:pa:ss".
        assert_eq!(address.authorization().unwrap(), "Basic dXNAZXI6cGE6c3M=");
        assert!(address.authorization().unwrap().is_sensitive());
        assert_eq!(address.of_path("/eth/v1/x"), "http://node:5052/token/eth/v1/x");
        assert_eq!(address.to_string(), "http://node:5052");
        assert_eq!(format!("{address:?}"), "BeaconAddress(http://node:5052)");
    }

    #[test]
    fn an_address_without_user_has_no_header() {
        let address = BeaconAddress::parse("https://node").unwrap();
        assert!(address.authorization().is_none() && address.is_https());
        assert_eq!(address.of_path("/eth"), "https://node/eth");
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for (text, error) in [
            ("", BadAddress::NotHttp),
            ("localhost:5052", BadAddress::NotHttp),
            ("ftp://user:secret@host", BadAddress::NotHttp),
            ("unix:/secret", BadAddress::NotHttp),
            ("http://", BadAddress::NotHttp),
            ("http://host/?token=secret", BadAddress::AfterPath),
            ("http://host/#secret", BadAddress::AfterPath),
        ] {
            let found = BeaconAddress::parse(text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("secret"));
        }
    }
}
