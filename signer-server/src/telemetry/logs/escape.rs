//! Text from outside must not look like the log's own lines or columns, nor hide what it says.

use std::fmt::Write;

/// Characters that end a line, move the cursor, or change the order of what is shown: controls
/// (C0, C1, delete), Unicode's line and paragraph separators, and its directional formatting.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{2028}' | '\u{2029}' | '\u{061c}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// For plain text: such a character becomes a visible escape, as in Rust's string literals.
pub(crate) fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_deceptive(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// For a finished JSON text: such a character, which JSON allows inside its strings, becomes a
/// JSON escape of the same meaning.
pub(crate) fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_deceptive(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECEPTIVE: &str = "a\nb\r\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}é";

    #[test]
    fn plain_text_stays_on_one_line() {
        assert_eq!(plain(DECEPTIVE), r"a\nb\r\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}é");
        assert_eq!(plain(r"C:\keys | é"), r"C:\keys | é");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let text = serde_json::to_string(DECEPTIVE).unwrap();
        let escaped = json(&text);
        assert!(!escaped.contains(is_deceptive), "{escaped}");
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), DECEPTIVE);
    }
}
