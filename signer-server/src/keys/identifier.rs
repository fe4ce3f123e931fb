//! The `{identifier}` segment of a request's path, which names a key.

use signer_client::wire::PublicKey;

/// Reads the hexadecimal form of a public key (48 bytes), in any case, with or without `0x` or
/// `0X`. Anything else names no key: `None`, which the API answers as an unknown key.
pub fn parse_identifier(segment: &str) -> Option<PublicKey> {
    let digits = segment.strip_prefix("0x").or_else(|| segment.strip_prefix("0X"));
    let digits = digits.unwrap_or(segment);
    if digits.len() != 2 * PublicKey::SIZE {
        return None;
    }
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_and_case_do_not_matter() {
        let key = PublicKey([0xab; 48]);
        let digits = "ab".repeat(48);
        for text in [
            digits.clone(),
            digits.to_uppercase(),
            format!("0x{digits}"),
            format!("0X{digits}"),
            format!("0x{}", "aB".repeat(48)),
        ] {
            assert_eq!(parse_identifier(&text), Some(key), "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_key() {
        let digits = "ab".repeat(48);
        for text in [
            "",
            "0x",
            "12345",
            &digits[1..],
            &format!("{digits}00"),
            &format!("0x0x{}", &digits[2..]),
            &format!("0x0x{digits}"),
            &format!(" {}", &digits[1..]),
            &"zz".repeat(48),
            &"é".repeat(48),
        ] {
            assert_eq!(parse_identifier(text), None, "{text}");
        }
    }
}
