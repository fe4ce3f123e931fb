//! Files as other software writes them, and as no software should.

use std::io::Cursor;

use super::{
    super::{
        SurveyedFile,
        parse::{self, FileError, KeyContent, KeyFailure},
    },
    *,
};

type Elements = Vec<Result<KeyContent, KeyFailure>>;

fn read(text: &str) -> Result<(Root, Elements), FileError> {
    let mut elements = Vec::new();
    let metadata = parse::read(text.as_bytes(), |element| {
        elements.push(element);
        true
    })?;
    Ok((metadata.genesis_validators_root, elements))
}

fn hex(byte: &str, times: usize) -> String {
    format!("0x{}", byte.repeat(times))
}

/// A file with one element of `data` per text.
fn file(elements: &[&str]) -> String {
    format!(
        "{{\"metadata\":{{\"interchange_format_version\":\"5\",\
         \"genesis_validators_root\":\"{}\"}},\n\"data\":[\n{}\n]}}",
        hex("11", 32),
        elements.join(",\n")
    )
}

fn one(element: &str) -> Result<KeyContent, KeyFailure> {
    let (_, mut elements) = read(&file(&[element])).unwrap();
    assert_eq!(elements.len(), 1);
    elements.remove(0)
}

fn content(blocks: Vec<RecordedBlock>, attestations: Vec<RecordedAttestation>) -> KeyContent {
    KeyContent { key: KEY, blocks, attestations }
}

#[test]
fn every_spelling_with_the_same_meaning_is_read() {
    let key = hex("ab", 48);
    let (upper, bare) = (format!("0X{}", "AB".repeat(48)), "ab".repeat(48));
    for name in [&key, &upper, &bare] {
        assert_eq!(one(&format!("{{\"pubkey\":\"{name}\"}}")), Ok(content(vec![], vec![])));
    }
    for (number, signing_root, byte) in [
        ("\"7\"", format!("\"{}\"", hex("cd", 32)), 0xcd),
        ("7", format!("\"{}\"", "CD".repeat(32)), 0xcd),
        ("\"007\"", "null".to_owned(), 0),
        ("7", "\"\"".to_owned(), 0),
        ("7", "\"0x\"".to_owned(), 0),
        ("7", format!("\"{}\"", hex("00", 32)), 0),
    ] {
        let element = format!(
            "{{\"signed_attestations\":[{{\"x\":[],\"target_epoch\":{number},\"source_epoch\":\"3\",\
             \"signing_root\":{signing_root}}}],\"unknown\":{{}},\"pubkey\":\"{key}\",\
             \"signed_blocks\":[{{\"slot\":{number},\"signing_root\":{signing_root}}}]}}"
        );
        let expected = content(vec![block(7, byte)], vec![vote(3, 7, byte)]);
        assert_eq!(one(&element), Ok(expected), "{element}");
    }
    let null_lists = format!("{{\"pubkey\":\"{key}\",\"signed_blocks\":null}}");
    assert_eq!(one(&null_lists), Ok(content(vec![], vec![])));
    let largest = format!("{{\"pubkey\":\"{key}\",\"signed_blocks\":[{{\"slot\":{}}}]}}", i64::MAX);
    assert_eq!(one(&largest), Ok(content(vec![block(i64::MAX.cast_unsigned(), 0)], vec![])));
}

#[test]
fn members_may_come_in_any_order_and_unknown_ones_at_any_depth() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let text = format!(
        "{{\"deep\":{deep},\"data\":[{{\"deep\":{deep},\"pubkey\":\"{}\"}}],\"x\":1,\"metadata\":\
         {{\"genesis_validators_root\":\"{}\",\"y\":{{}},\"interchange_format_version\":5}}}}",
        hex("ab", 48),
        hex("22", 32)
    );
    let (root, elements) = read(&text).unwrap();
    assert_eq!(root, Root([0x22; 32]));
    assert_eq!(elements, [Ok(content(vec![], vec![]))]);
}

#[test]
fn bad_value_fails_its_key_and_says_where() {
    let key = hex("ab", 48);
    let entry = |list: &str, entry: &str| {
        format!(
            "{{\n\"pubkey\":\"{key}\",\n\"{list}\":[\n{{\"slot\":\"1\",\"source_epoch\":1,\
                 \"target_epoch\":2}},\n{entry}]}}"
        )
    };
    for (element, path, reason) in [
        (
            entry("signed_blocks", "{\"slot\":\"-1\"}"),
            "signed_blocks[1].slot: ",
            "unsigned decimal",
        ),
        (entry("signed_blocks", "{\"slot\":-1}"), "signed_blocks[1].slot: ", "-1"),
        (entry("signed_blocks", "{\"slot\":1.5}"), "signed_blocks[1].slot: ", "1.5"),
        (
            entry("signed_blocks", "{\"slot\":\"+1\"}"),
            "signed_blocks[1].slot: ",
            "unsigned decimal",
        ),
        (entry("signed_blocks", "{\"slot\":\"\"}"), "signed_blocks[1].slot: ", "unsigned decimal"),
        (entry("signed_blocks", "{\"slot\":\"0x1\"}"), "signed_blocks[1].slot: ", "unsigned"),
        (entry("signed_blocks", "{\"slot\":null}"), "signed_blocks[1].slot: ", "null"),
        (entry("signed_blocks", "{}"), "signed_blocks[1]: ", "missing field `slot`"),
        (entry("signed_blocks", "7"), "signed_blocks[1]: ", "7"),
        (
            entry("signed_blocks", "{\"slot\":\"9223372036854775808\"}"),
            "signed_blocks[1].slot: ",
            "9223372036854775808 is above 9223372036854775807 (2^63 - 1)",
        ),
        (
            entry("signed_blocks", "{\"slot\":18446744073709551615}"),
            "signed_blocks[1].slot: ",
            "18446744073709551615 is above",
        ),
        (
            entry("signed_blocks", "{\"slot\":\"18446744073709551616\"}"),
            "signed_blocks[1].slot: ",
            "64 bits",
        ),
        (
            entry("signed_attestations", "{\"source_epoch\":\"1\",\"target_epoch\":true}"),
            "signed_attestations[1].target_epoch: ",
            "true",
        ),
        (
            entry("signed_blocks", "{\"slot\":\"1\",\"signing_root\":\"0x12\"}"),
            "signed_blocks[1].signing_root: ",
            "64 hexadecimal digits, found 2",
        ),
        (
            entry(
                "signed_blocks",
                &format!("{{\"slot\":1,\"signing_root\":\"{}\"}}", hex("zz", 32)),
            ),
            "signed_blocks[1].signing_root: ",
            "hexadecimal",
        ),
    ] {
        let failure = one(&element).unwrap_err();
        assert_eq!(failure.public_key.as_deref(), Some(&*key), "{element}");
        // Line 1 holds the metadata, line 2 the name of the list.
        assert_eq!((failure.index, failure.line), (0, 7), "{element}: {failure}");
        assert!(failure.reason.starts_with(path), "{element}: {failure}");
        assert!(failure.reason.contains(reason), "{element}: {failure}");
        assert!(!failure.reason.contains(" line "), "one line only: {failure}");
        let text = failure.to_string();
        assert!(text.contains(&key) && text.contains("data[0], line 7"), "{text}");
    }
}

#[test]
fn bad_or_missing_key_is_a_failure_of_its_own_and_others_are_read() {
    let key = hex("ab", 48);
    let good = format!("{{\"pubkey\":\"{key}\"}}");
    let short = format!("{{\"pubkey\":\"{}\"}}", hex("ab", 47));
    let hostile = "{\"pubkey\":\"a\\nb\\u001b[2J\"}";
    let (_, elements) = read(&file(&[&good, &short, "{}", "7", hostile, "null", &good])).unwrap();
    assert_eq!(elements.len(), 7);
    assert!(elements[0].is_ok() && elements[6].is_ok());
    for (index, line, reason) in
        [(1, 4, "48 bytes"), (2, 5, "missing field `pubkey`"), (3, 6, "7"), (5, 8, "null")]
    {
        let failure = elements[usize::try_from(index).unwrap()].as_ref().unwrap_err();
        assert_eq!((failure.index, failure.line), (index, line), "{failure}");
        assert!(failure.reason.contains(reason), "{failure}");
    }
    let failure = elements[4].as_ref().unwrap_err().to_string();
    assert!(!failure.contains('\n') && !failure.contains('\u{1b}'), "{failure:?}");
}

#[test]
fn file_that_is_none_is_refused_with_the_place() {
    let whole = file(&[&format!("{{\"pubkey\":\"{}\",\"signed_blocks\":[]}}", hex("ab", 48))]);
    for length in 0..whole.len() {
        let error = read(&whole[..length]).unwrap_err();
        assert!(matches!(error, FileError::Malformed(_)), "{length}: {error}");
        assert!(error.to_string().contains("line "), "{length}: {error}");
    }
    read(&whole).unwrap();
    let root = hex("11", 32);
    for (text, reason) in [
        (format!("{whole}x"), "trailing characters"),
        (format!("{whole}{whole}"), "trailing characters"),
        ("[]".to_owned(), "object with the members metadata and data"),
        ("{\"metadata\":{}}".to_owned(), "interchange_format_version"),
        (
            format!("{{\"data\":[],\"metadata\":{{\"genesis_validators_root\":\"{root}\"}}}}"),
            "interchange_format_version",
        ),
        ("{\"data\":[]}".to_owned(), "missing field `metadata`"),
        (whole.replace("\"data\"", "\"date\""), "missing field `data`"),
        (whole.replace("\"5\"", "\"4\""), "interchange_format_version is 4"),
        (whole.replace("\"5\"", "6"), "interchange_format_version is 6"),
        (whole.replace("\"5\"", "[]"), "interchange_format_version is not a text"),
        (whole.replace(&root, "0x11"), "64 hexadecimal digits, found 2"),
        (whole.replace("\"data\":[", "\"data\":[],\"data\":["), "duplicate field `data`"),
        (whole.replace("\"data\":[", "\"data\":{},\"x\":["), "list of keys"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
    }
}

#[test]
fn failing_input_is_told_from_a_bad_file() {
    struct Broken;
    impl std::io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let error = parse::read(Broken, |_| true).unwrap_err();
    assert!(matches!(&error, FileError::Unreadable(_)), "{error}");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

#[test]
fn survey_leaves_out_every_element_of_a_key_with_a_bad_one() {
    let (good, bad) = (hex("0a", 48), hex("0b", 48));
    let entries = "\"signed_blocks\":[{\"slot\":1},{\"slot\":2}],\
                   \"signed_attestations\":[{\"source_epoch\":1,\"target_epoch\":2}]";
    let text = file(&[
        &format!("{{\"pubkey\":\"{bad}\",{entries}}}"),
        &format!("{{\"pubkey\":\"{good}\",{entries}}}"),
        &format!("{{\"pubkey\":\"{bad}\",\"signed_blocks\":[{{\"slot\":\"x\"}}]}}"),
        &format!("{{\"pubkey\":\"{good}\",{entries}}}"),
    ]);
    let mut file = SurveyedFile::new(Cursor::new(text)).unwrap();
    let survey = file.survey();
    assert_eq!(survey.keys().copied().collect::<Vec<_>>(), [PublicKey([0x0a; 48])]);
    assert_eq!((survey.attestations, survey.blocks), (2, 4));
    assert_eq!(survey.failures.len(), 1);
    assert_eq!(survey.failures[0].index, 2);

    file.retain(&[PublicKey([0x0a; 48])].into());
    assert_eq!((file.survey().keys().len(), file.survey().failures.len()), (1, 0));
    file.retain(&[PublicKey([0x0b; 48])].into());
    assert_eq!(file.survey().keys().len(), 0);
}
