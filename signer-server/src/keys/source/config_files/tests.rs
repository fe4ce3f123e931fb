use std::fs;

use proptest::prelude::*;

use super::*;
use crate::keys::keystore::KdfParameters;

const DIGITS: &str = "25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866";
const NUMERIC_DIGITS: &str = "1111111111111111111111111111111111111111111111111111111111111111";

/// The raw keys of a text in hexadecimal digits, or its error.
fn raw_keys(yaml: &str) -> Result<Vec<String>, LoadFailure> {
    Ok(parse(yaml)?
        .into_iter()
        .filter_map(|definition| match definition {
            Definition::Raw { secret, .. } => Some(const_hex::encode(*secret)),
            _ => None,
        })
        .collect())
}

fn error(yaml: &str) -> LoadFailure {
    match parse(yaml) {
        Ok(_) => panic!("accepted: {yaml}"),
        Err(error) => error,
    }
}

#[test]
fn several_documents_with_unquoted_hex_and_unknown_fields() {
    let yaml = format!(
        "# a comment\n---\ntype: file-raw\nprivateKey: 0x{DIGITS}\ncomment: {{nested: [1, 2]}}\n\
         ---\ntype: \"file-raw\"\nkeyType: bls\nprivateKey: \"{DIGITS}\"\n---\n---\n\
         type: file-raw\nprivateKey: {NUMERIC_DIGITS}\n"
    );
    assert_eq!(raw_keys(&yaml).unwrap(), [DIGITS, DIGITS, NUMERIC_DIGITS]);
}

#[test]
fn short_keys_are_filled_up_on_the_left() {
    let expected = format!("{}1234", "0".repeat(60));
    for text in ["0x1234", "1234", "'0x1234'"] {
        let yaml = format!("type: file-raw\nprivateKey: {text}");
        assert_eq!(raw_keys(&yaml).unwrap(), [expected.as_str()], "{text}");
    }
    // Values that an untyped reader would take for a number or a truth value.
    assert_eq!(raw_keys("type: file-raw\nprivateKey: 0777").unwrap(), [format!("{:0>64}", "0777")]);
    assert_eq!(raw_keys("type: file-raw\nprivateKey: 01e5").unwrap(), [format!("{:0>64}", "01e5")]);
}

#[test]
fn a_file_without_documents_defines_nothing() {
    for yaml in ["", "# nothing yet\n", "---\n", "---\n---\n"] {
        assert!(parse(yaml).unwrap().is_empty(), "{yaml:?}");
    }
}

#[test]
fn a_file_may_have_more_documents_than_the_parser_takes_by_default() {
    let yaml = format!("type: file-raw\nprivateKey: 0x{DIGITS}\n---\n").repeat(52_000);
    assert_eq!(parse(&yaml).unwrap().len(), 52_000);
}

#[test]
fn keys_that_are_not_for_validators_are_skipped() {
    for yaml in [
        "type: file-raw\nkeyType: SECP256K1\nprivateKey: 0x01",
        "type: file-raw\nkeyType: secp256k1",
        "type: hashicorp\nkeyType: Secp256k1\nserverHost: vault",
        "type: azure-key\nvaultName: a",
        "type: aws-kms\nregion: b",
    ] {
        assert!(matches!(parse(yaml).unwrap()[..], [Definition::Skipped { .. }]), "{yaml}");
    }
}

#[test]
fn types_of_secret_stores_are_refused_by_name() {
    for type_name in ["hashicorp", "aws-secret", "azure-secret"] {
        let error = error(&format!("---\ntype: {type_name}\ntoken: s3cret\n"));
        assert!(matches!(error, LoadFailure::UnavailableType { .. }));
        assert!(error.to_string().contains(type_name), "{error}");
        assert!(error.to_string().contains("not available"), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}

#[test]
fn bad_fields_are_named_with_the_line_of_their_document() {
    let good = format!("type: file-raw\nprivateKey: {DIGITS}\n---\n");
    for (document, field) in [
        ("privateKey: 0x01", "type"),
        ("type:", "type"),
        ("type: File-Raw\nprivateKey: 0x01", "type"),
        ("type: s3cret", "type"),
        ("type: file-raw", "privateKey"),
        ("type: file-raw\nprivateKey:", "privateKey"),
        ("type: file-raw\nprivateKey: ''", "privateKey"),
        ("type: file-raw\nprivateKey: 0x", "privateKey"),
        ("type: file-raw\nprivateKey: 0x0x11", "privateKey"),
        ("type: file-raw\nprivateKey: s3cret", "privateKey"),
        ("type: file-raw\nprivateKey: 0x123", "privateKey"),
        ("type: file-raw\nkeyType: s3cret\nprivateKey: 0x12", "keyType"),
        ("type: file-keystore\nkeystorePasswordFile: a", "keystoreFile"),
        ("type: file-keystore\nkeystoreFile: a", "keystorePasswordFile"),
    ] {
        let error = error(&format!("{good}{document}\n"));
        let (LoadFailure::MissingField { line, field: named }
        | LoadFailure::InvalidField { line, field: named, .. }) = error
        else {
            panic!("{document}: {error}");
        };
        assert_eq!((line, named), (4, field), "{document}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    let too_long = error(&format!("type: file-raw\nprivateKey: 0x00{DIGITS}\n"));
    assert!(!format!("{too_long} {too_long:?}").contains(DIGITS));
}

#[test]
fn errors_of_the_parser_give_a_place_and_no_value() {
    for (yaml, line, problem) in [
        ("type: file-raw\nunknown: [s3cret\n", 2, YamlProblem::Syntax),
        ("type: file-raw\nprivateKey: 's3cret\n", 3, YamlProblem::Syntax),
        ("type: file-raw\nprivateKey: {a: s3cret}\n", 2, YamlProblem::Structure),
        ("type: file-raw\nprivateKey: [s3cret]\n", 2, YamlProblem::Structure),
        ("s3cret\n", 1, YamlProblem::Structure),
        ("- type: s3cret\n", 1, YamlProblem::Structure),
        ("type: a\nprivateKey: s3cret\nprivateKey: s3cret\n", 3, YamlProblem::DuplicateField),
        ("type: a\nprivateKey: *s3cret\n", 2, YamlProblem::UnknownAnchor),
    ] {
        let error = error(yaml);
        let LoadFailure::Yaml { line: found_line, problem: found, .. } = error else {
            panic!("{yaml}: {error}");
        };
        assert_eq!((found_line, found), (line, problem), "{yaml}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[test]
fn alias_bombs_and_deep_nesting_are_refused() {
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x,x]\n");
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h", "i"].iter().zip("abcdefgh".chars()) {
        let aliases = vec![format!("*{before}"); 10].join(",");
        bomb.extend([name, ": &", name, " [", &aliases, "]\n"]);
    }
    let deep = format!("type: {}", "[".repeat(100_000));
    let deep_block: String = (0..2_000).map(|depth| " ".repeat(depth) + "a:\n").collect();
    for yaml in [bomb, deep, deep_block] {
        assert!(matches!(error(&yaml), LoadFailure::Yaml { .. }));
    }
}

/// A folder with a keystore for the password "first ", and a source that reads there.
fn folder_with_keystore() -> (tempfile::TempDir, ConfigFiles) {
    let folder = tempfile::tempdir().unwrap();
    let keystore = Keystore::encrypt(
        &crate::keys::interop_secret_key(0),
        &Password::new("first "),
        KdfParameters::Pbkdf2 { rounds: 1 },
        "",
    );
    fs::write(folder.path().join("keystore.json"), keystore.unwrap().to_json()).unwrap();
    let source = ConfigFiles {
        directory: folder.path().to_owned(),
        max_file_size_bytes: ConfigFiles::DEFAULT_MAX_FILE_SIZE_BYTES,
    };
    (folder, source)
}

#[test]
fn the_first_line_of_the_password_file_counts() {
    let (folder, source) = folder_with_keystore();
    let config = folder.path().join("key.yaml");
    let absolute = folder.path().join("keystore.json");
    for keystore_file in ["keystore.json", "./keystore.json", absolute.to_str().unwrap()] {
        let yaml = format!(
            "type: file-keystore\nkeystoreFile: {keystore_file}\nkeystorePasswordFile: password\n"
        );
        fs::write(&config, yaml).unwrap();
        for (content, opens) in [
            ("first ", true),
            ("first \n", true),
            ("first \r\nsecond", true),
            ("first \rsecond", true),
            ("first", false),
            ("first  \n", false),
            ("second\nfirst ", false),
        ] {
            fs::write(folder.path().join("password"), content).unwrap();
            let mut watched = Vec::new();
            let mut materials = source.read(&config, &mut watched).unwrap();
            assert_eq!(watched.len(), 3);
            assert_eq!(materials.remove(0).open().is_ok(), opens, "{content:?}");
        }
    }
}

#[test]
fn blank_missing_and_binary_password_files_are_named() {
    let (folder, source) = folder_with_keystore();
    let config = folder.path().join("key.yaml");
    fs::write(
        &config,
        "type: file-keystore\nkeystoreFile: keystore.json\nkeystorePasswordFile: the-password\n",
    )
    .unwrap();
    let failure = || match source.read(&config, &mut Vec::new()) {
        Ok(_) => panic!("accepted"),
        Err(failure) => failure,
    };
    let password_file = folder.path().join("the-password");
    assert!(matches!(failure(), LoadFailure::File { .. }));
    for blank in ["", "\n", " \t\nfirst ", "\r\nfirst "] {
        fs::write(&password_file, blank).unwrap();
        assert!(matches!(failure(), LoadFailure::BlankPassword { .. }), "{blank:?}");
        assert!(failure().to_string().contains("the-password"));
    }
    fs::write(&password_file, [b'a', 0xff]).unwrap();
    assert!(matches!(failure(), LoadFailure::NotText { .. }));
}

#[test]
fn only_visible_yaml_files_are_listed_and_their_size_is_bounded() {
    let (folder, mut source) = folder_with_keystore();
    for name in ["b.yml", "a.YAML", ".hidden.yaml", "c.yaml~", "d.json"] {
        fs::write(folder.path().join(name), "type: file-raw\nprivateKey: 0x01\n").unwrap();
    }
    let listed = source.list().unwrap();
    assert_eq!(listed, [folder.path().join("a.YAML"), folder.path().join("b.yml")]);
    assert_eq!(source.read(&listed[0], &mut Vec::new()).map(|keys| keys.len()).unwrap(), 1);
    source.max_file_size_bytes = 10;
    let Err(failure) = source.read(&listed[0], &mut Vec::new()) else { panic!("accepted") };
    assert!(matches!(failure, LoadFailure::TooLarge { limit_bytes: 10, .. }));
}

proptest! {
    /// Every change of a file is read or refused, and never repeats the key.
    #[test]
    fn mutated_files_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut yaml = format!(
            "type: file-raw\nprivateKey: 0x{DIGITS}\n---\ntype: file-keystore\n\
             keystoreFile: a.json\nkeystorePasswordFile: {{a: [b, 'c']}}\n"
        )
        .into_bytes();
        for (place, byte) in edits {
            let place = place.index(yaml.len());
            yaml[place] = byte;
        }
        if let Some(cut) = cut {
            yaml.truncate(cut.index(yaml.len()));
        }
        if let Err(failure) = parse(&String::from_utf8_lossy(&yaml)) {
            let text = format!("{failure} {failure:?}");
            prop_assert!(!text.contains(&DIGITS[..16]) && !text.contains(&DIGITS[48..]), "{text}");
        }
    }
}
