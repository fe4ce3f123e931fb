//! Encodings of bytes and integers.

use super::*;

#[test]
fn hex_is_read_in_any_case_with_or_without_prefix() {
    let version = ForkVersion([0xab, 0, 0, 1]);
    for text in ["0xab000001", "AB000001", "0xAb000001"] {
        assert_eq!(text.parse(), Ok(version));
    }
    assert_eq!(version.to_string(), "0xab000001");
}

#[test]
fn wrong_lengths_and_digits_are_refused() {
    for text in ["0x", "0xab0000", "0xab00000102", "0xab00000", "0Xab000001", "0x0xab00"] {
        assert!(text.parse::<ForkVersion>().is_err(), "{text}");
    }
    assert_eq!("0xzz000001".parse::<ForkVersion>(), Err(HexError::InvalidDigit));
}

#[test]
fn short_roots_are_padded_on_the_left() {
    let mut expected = [0; 32];
    expected[31] = 7;
    assert_eq!("0x07".parse(), Ok(Root(expected)));
    assert_eq!("0x".parse(), Ok(Root::ZERO));
    assert!("00".repeat(33).parse::<Root>().is_err());
}

#[test]
fn integers_are_read_as_string_or_number() {
    for json in ["\"5\"", "5", "\"005\""] {
        assert_eq!(serde_json::from_str::<Slot>(json).unwrap(), Slot(5));
    }
    assert_eq!(serde_json::from_str::<Epoch>("\"18446744073709551615\"").unwrap(), Epoch(u64::MAX));
    for json in
        ["\"18446744073709551616\"", "-1", "\"-1\"", "1.5", "\"0x5\"", "\"+5\"", "\"\"", "null"]
    {
        assert!(serde_json::from_str::<Slot>(json).is_err(), "{json}");
    }
    assert_eq!(serde_json::to_string(&Slot(7)).unwrap(), "\"7\"");
}

#[test]
fn wide_integers_are_decimal_text() {
    let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    for (text, bytes) in [("0", [0; 32]), (largest, [0xff; 32])] {
        let integer: Uint256 = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert_eq!(integer.0, bytes);
        assert_eq!(integer.to_string(), text);
    }
    assert_eq!(serde_json::from_str::<Uint256>("258").unwrap().to_string(), "258");
    assert_eq!(serde_json::from_str::<Uint256>("\"258\"").unwrap().0[..3], [2, 1, 0]);
    let too_wide = largest.replace("935", "936");
    for text in [&*too_wide, "", "-1", "0x1", "1e3", "+1"] {
        assert!(serde_json::from_str::<Uint256>(&format!("\"{text}\"")).is_err(), "{text}");
    }
}
