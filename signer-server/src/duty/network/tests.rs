//! Networks: embedded, from files, and overridden.

use std::io::Write as _;

use super::*;

fn version(number: u32) -> ForkVersion {
    ForkVersion(number.to_be_bytes())
}

/// Constants of the reference signer's networks that change a signing root.
#[test]
fn embedded_networks_have_the_known_constants() {
    let far = u64::MAX;
    for (name, genesis, capella, deneb_epoch, electra_epoch, slots_per_epoch) in [
        ("mainnet", 0x0000_0000, 0x0300_0000, 269_568, 364_032, 32),
        ("sepolia", 0x9000_0069, 0x9000_0072, 132_608, 222_464, 32),
        ("holesky", 0x0101_7000, 0x0401_7000, 29_696, 115_968, 32),
        ("hoodi", 0x1000_0910, 0x4000_0910, 0, 2048, 32),
        ("gnosis", 0x0000_0064, 0x0300_0064, 889_856, 1_337_856, 16),
        ("chiado", 0x0000_006f, 0x0300_006f, 516_608, 948_224, 16),
        ("lukso", 0x4200_0001, 0x4200_0004, 123_075, 190_800, 32),
        ("minimal", 0x0000_0001, 0x0300_0001, far, far, 8),
    ] {
        let network = Network::by_name_or_file(name).unwrap();
        assert_eq!(network.name, name);
        assert_eq!(network.genesis_fork_version, version(genesis), "{name}");
        assert_eq!(network.version_of(Fork::Capella), Some(version(capella)), "{name}");
        let epoch_of =
            |fork| network.forks().iter().find(|scheduled| scheduled.fork == fork).unwrap().epoch.0;
        assert_eq!(epoch_of(Fork::Deneb), deneb_epoch, "{name}");
        assert_eq!(epoch_of(Fork::Electra), electra_epoch, "{name}");
        assert_eq!(network.slots_per_epoch.get(), slots_per_epoch, "{name}");
        assert!(network.version_of(Fork::Gloas).is_some(), "{name}");
    }
}

/// As clients know them: `@lodestar/config` 1.48.0, for holesky Prysm 6. A wrong root would refuse
/// every block and attestation of its network.
#[test]
fn embedded_networks_know_their_genesis() {
    for (name, root, time, slot_duration_ms) in [
        (
            "mainnet",
            "4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
            1_606_824_023,
            12_000,
        ),
        (
            "sepolia",
            "d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078",
            1_655_733_600,
            12_000,
        ),
        (
            "holesky",
            "9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1",
            1_695_902_400,
            12_000,
        ),
        (
            "hoodi",
            "212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",
            1_742_213_400,
            12_000,
        ),
        (
            "gnosis",
            "f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47",
            1_638_993_340,
            5_000,
        ),
        (
            "chiado",
            "9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e",
            1_665_396_300,
            5_000,
        ),
    ] {
        let network = Network::by_name_or_file(name).unwrap();
        assert_eq!(network.genesis_validators_root, Some(root.parse().unwrap()), "{name}");
        assert_eq!(network.genesis_time, Some(time), "{name}");
        assert_eq!(network.slot_duration_ms, slot_duration_ms, "{name}");
    }
    let lukso = Network::by_name_or_file("lukso").unwrap();
    assert_eq!((lukso.genesis_validators_root, lukso.genesis_time), (None, Some(1_684_858_800)));
    let minimal = Network::by_name_or_file("minimal").unwrap();
    assert_eq!((minimal.genesis_validators_root, minimal.genesis_time), (None, None));
}

#[test]
fn names_are_read_in_any_case() {
    for name in ["Mainnet", "MAINNET"] {
        assert_eq!(Network::by_name_or_file(name).unwrap().name, "mainnet");
    }
}

#[test]
fn networks_that_must_be_downloaded_say_so() {
    for name in ["ephemery", "EPHEMERY", "swift", "less_swift", "https://example.org/config.yaml"] {
        let error = Network::by_name_or_file(name).unwrap_err();
        assert!(matches!(error, NetworkError::NeedsFile { .. }), "{name}: {error}");
    }
    let error = Network::by_name_or_file("mainnett").unwrap_err().to_string();
    assert!(error.contains("\"mainnett\"") && error.contains("hoodi"), "{error}");
}

#[test]
fn schedule_decides_by_epoch_and_table_by_version() {
    let mainnet = Network::by_name_or_file("mainnet").unwrap();
    for (epoch, fork) in [
        (0, Fork::Phase0),
        (74_239, Fork::Phase0),
        (74_240, Fork::Altair),
        (364_031, Fork::Deneb),
        (364_032, Fork::Electra),
        (u64::MAX, Fork::Fulu),
    ] {
        assert_eq!(mainnet.fork_at_epoch(Epoch(epoch)), fork, "{epoch}");
    }
    assert_eq!(mainnet.fork_with_version(version(0x0700_0000)), Some(Fork::Gloas));
    assert_eq!(mainnet.fork_with_version(version(0x0000_0064)), None);
    assert_eq!(mainnet.epoch_of(Slot(63)), Epoch(1));
}

const SMALL: &str = "
PRESET_BASE: minimal
GENESIS_FORK_VERSION: 0x10000038
SECONDS_PER_SLOT: 6
ALTAIR_FORK_VERSION: 0x20000038
ALTAIR_FORK_EPOCH: 0
BELLATRIX_FORK_VERSION: '0x30000038'
BELLATRIX_FORK_EPOCH: '2'
TERMINAL_TOTAL_DIFFICULTY: 58750000000000000000000
BLOB_SCHEDULE:
  - EPOCH: 5
    MAX_BLOBS_PER_BLOCK: 9
";

fn from_file(yaml: &str) -> Result<Network, NetworkError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(yaml.as_bytes()).unwrap();
    Network::by_name_or_file(file.path().to_str().unwrap())
}

#[test]
fn files_in_the_standard_format_are_read() {
    let network = from_file(SMALL).unwrap();
    assert_eq!(network.preset, Preset::Minimal);
    assert_eq!(network.slot_duration_ms, 6_000);
    assert_eq!(network.genesis_fork_version, version(0x1000_0038));
    assert_eq!(network.fork_at_epoch(Epoch(2)), Fork::Bellatrix);
    assert_eq!(network.forks().len(), 3);
    assert_eq!(network.genesis_validators_root, None);

    let root = "11".repeat(32);
    let with_genesis = format!(
        "{SMALL}MIDSLOT_GENESIS_VALIDATORS_ROOT: 0x{root}\nMIDSLOT_GENESIS_TIME: 1700000000\n\
         SLOT_DURATION_MS: 2500\nALTAIR_NOTE: x\n"
    );
    let network = from_file(&with_genesis).unwrap();
    assert_eq!(network.genesis_validators_root, Some(Root([0x11; 32])));
    assert_eq!((network.genesis_time, network.slot_duration_ms), (Some(1_700_000_000), 2_500));
}

#[test]
fn a_file_may_say_how_many_slots_an_epoch_has() {
    let network = from_file(&format!("{SMALL}SLOTS_PER_EPOCH: 6\n")).unwrap();
    assert_eq!(network.epoch_of(Slot(47)), Epoch(7));
    assert_eq!(from_file(SMALL).unwrap().epoch_of(Slot(47)), Epoch(5));
    let presets = "SYNC_COMMITTEE_SIZE: 32\nMAX_COMMITTEES_PER_SLOT: 4\n\
                   MAX_VALIDATORS_PER_COMMITTEE: 2048\n";
    assert_eq!(from_file(&format!("{SMALL}{presets}")).unwrap().preset, Preset::Minimal);
}

/// What editors and other systems do to a text file.
#[test]
fn the_same_file_is_read_in_every_dress() {
    let expected = from_file(SMALL).unwrap().forks().to_vec();
    let root = "ab".repeat(32);
    for yaml in [
        SMALL.replace('\n', "\r\n"),
        format!("\u{feff}{SMALL}"),
        format!("---\n{SMALL}...\n"),
        SMALL.replace(": ", ":   ").replace('\n', "   # a comment\n"),
        SMALL.replace("ALTAIR_FORK_EPOCH: 0", "ALTAIR_FORK_EPOCH: \"0\""),
        format!("{SMALL}CAPELLA_FORK_VERSION: null\nCAPELLA_FORK_EPOCH:\n"),
        format!("{SMALL}MIDSLOT_GENESIS_VALIDATORS_ROOT: {root}\n"),
    ] {
        let network = from_file(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml:?}"));
        assert_eq!(network.forks(), expected, "{yaml:?}");
    }
}

#[test]
fn versions_that_look_like_other_yaml_scalars_stay_text() {
    for text in ["0x00000000", "'0x00000000'", "0x1e5e5e50", "00000010"] {
        let yaml = SMALL.replace("0x10000038", text);
        let expected: ForkVersion = text.trim_matches('\'').parse().unwrap();
        assert_eq!(from_file(&yaml).unwrap().genesis_fork_version, expected, "{text}");
    }
}

#[test]
fn faulty_files_are_refused_by_path_and_key() {
    for (find, replace, expected) in [
        ("PRESET_BASE: minimal", "", "missing key PRESET_BASE"),
        ("minimal", "tiny", "key PRESET_BASE: expected mainnet, gnosis or minimal, found \"tiny\""),
        ("GENESIS_FORK_VERSION: 0x10000038", "", "missing key GENESIS_FORK_VERSION"),
        ("0x10000038", "0x100038", "key GENESIS_FORK_VERSION: expected 4 bytes"),
        ("SECONDS_PER_SLOT: 6", "", "missing key SLOT_DURATION_MS (or SECONDS_PER_SLOT)"),
        (
            "SECONDS_PER_SLOT: 6",
            "SECONDS_PER_SLOT: 0",
            "key SECONDS_PER_SLOT: expected the positive",
        ),
        (
            "SECONDS_PER_SLOT",
            "SLOTS_PER_EPOCH: 0\nSECONDS_PER_SLOT",
            "key SLOTS_PER_EPOCH: expected",
        ),
        (
            "SECONDS_PER_SLOT",
            "SYNC_COMMITTEE_SIZE: 512\nSECONDS_PER_SLOT",
            "key SYNC_COMMITTEE_SIZE: \"512\" is not the preset's 32",
        ),
        (
            "SECONDS_PER_SLOT",
            "MAX_COMMITTEES_PER_SLOT: many\nSECONDS_PER_SLOT",
            "key MAX_COMMITTEES_PER_SLOT: \"many\" is not the preset's 4",
        ),
        (
            "SECONDS_PER_SLOT",
            "MIDSLOT_GENESIS_VALIDATORS_ROOT: 0x1234\nSECONDS_PER_SLOT",
            "key MIDSLOT_GENESIS_VALIDATORS_ROOT: expected 32 bytes",
        ),
        (
            "SECONDS_PER_SLOT: 6",
            "SECONDS_PER_SLOT: 18446744073709552",
            "key SECONDS_PER_SLOT: expected the positive",
        ),
        (
            "EPOCH: '2'",
            "EPOCH: 18446744073709551616",
            "key BELLATRIX_FORK_EPOCH: expected an unsig",
        ),
        ("EPOCH: '2'", "EPOCH: 0x2", "key BELLATRIX_FORK_EPOCH: expected an unsigned"),
        ("ALTAIR_FORK_VERSION: 0x20000038", "", "missing key ALTAIR_FORK_VERSION"),
        ("EPOCH: '2'", "EPOCH: -1", "key BELLATRIX_FORK_EPOCH: expected an unsigned"),
        ("ALTAIR_FORK_EPOCH: 0", "ALTAIR_FORK_EPOCH: 3", "fork BELLATRIX is scheduled for epoch 2"),
        ("0x20000038", "0x10000038", "PHASE0 and ALTAIR have the same fork version"),
        ("PRESET_BASE: minimal", "PRESET_BASE: [", "line"),
        ("PRESET_BASE: minimal", "PRESET_BASE: minimal\nPRESET_BASE: mainnet", "line"),
    ] {
        let yaml = SMALL.replace(find, replace);
        assert_ne!(yaml, SMALL, "{find}");
        let error = from_file(&yaml).unwrap_err();
        assert!(matches!(error, NetworkError::InFile { .. }), "{error:?}");
        let message = error.to_string();
        assert!(message.starts_with("network configuration /"), "{message}");
        assert!(message.contains(expected) && !message.contains('\n'), "{message}");
    }
    assert!(matches!(Network::by_name_or_file("/"), Err(NetworkError::Unreadable { .. })));
}

#[test]
fn fork_epochs_can_be_overridden() {
    let mut network = Network::by_name_or_file("minimal").unwrap();
    network.override_fork_epoch(Fork::Bellatrix, Epoch(4)).unwrap();
    let error = network.check_fork_order().unwrap_err().to_string();
    assert!(error.contains("ALTAIR comes first and is not scheduled"), "{error}");
    network.override_fork_epoch(Fork::Altair, Epoch(1)).unwrap();
    network.check_fork_order().unwrap();
    assert_eq!(network.fork_at_epoch(Epoch(3)), Fork::Altair);

    let mut small = from_file(SMALL).unwrap();
    let error = small.override_fork_epoch(Fork::Electra, Epoch(1)).unwrap_err();
    assert!(matches!(error, NetworkError::NoSuchFork { fork: Fork::Electra, .. }), "{error}");
}
