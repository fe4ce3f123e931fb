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
        assert_eq!(network.preset.slots_per_epoch(), slots_per_epoch, "{name}");
        assert!(network.version_of(Fork::Gloas).is_some(), "{name}");
    }
}

#[test]
fn embedded_networks_know_their_genesis() {
    let mainnet = Network::by_name_or_file("mainnet").unwrap();
    assert_eq!(
        mainnet.genesis_validators_root.unwrap().to_string(),
        "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
    );
    assert_eq!(mainnet.genesis_time, Some(1_606_824_023));
    assert_eq!(mainnet.slot_duration_ms, 12_000);
    assert_eq!(Network::by_name_or_file("gnosis").unwrap().slot_duration_ms, 5_000);
    assert_eq!(Network::by_name_or_file("minimal").unwrap().genesis_time, None);
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
