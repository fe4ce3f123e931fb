//! Passwords of keystores, normalised as EIP-2335 asks.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A password ready for key derivation, zeroised when dropped. Has no `Debug` on purpose.
///
/// EIP-2335, "Password requirements": Unicode form NFKD, then without the control characters C0
/// (U+0000 to U+001F), Delete (U+007F) and C1 (U+0080 to U+009F), encoded as UTF-8. A line break
/// at the end of a password file disappears by this rule; spaces stay.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Normalises the text of a password.
    pub fn new(text: &str) -> Self {
        let normalised = || text.nfkd().filter(|character| !character.is_control());
        // Measured first: a string that grows would leave copies of the password behind.
        let length = normalised().map(char::len_utf8).sum();
        let mut password = Zeroizing::new(String::with_capacity(length));
        password.extend(normalised());
        Self(password)
    }

    /// The bytes that key derivation takes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_specification() {
        // EIP-2335, "Test Cases": the encoded password.
        let expected = const_hex::decode("7465737470617373776f7264f09f9491").unwrap();
        assert_eq!(Password::new("𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑").as_bytes(), expected);
    }

    #[test]
    fn control_characters_go_and_spaces_stay() {
        assert_eq!(Password::new("\u{0}a b\t\u{7f}\u{80}\u{9f}c \r\n").as_bytes(), b"a bc ");
        // U+00A0 is just above C1; compatibility decomposition makes it a plain space.
        assert_eq!(Password::new("\u{a0}").as_bytes(), b" ");
        assert_eq!(Password::new("é").as_bytes(), "e\u{301}".as_bytes());
    }
}
