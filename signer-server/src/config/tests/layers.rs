//! Where a value may come from, and which layer wins.

use std::path::Path;

use signer_client::wire::{Epoch, Slot};

use super::{
    super::{Command, WatermarkRepair},
    assert_contains, config, error, error_with, read, read_file, read_with, yaml_file,
};
use crate::{slashing::DatabaseUrl, telemetry::logs::LogLevel};

const SLASHING_OFF: &str = "eth2 --slashing-protection-enabled=false";

#[test]
fn defaults_apply_where_no_layer_gives_a_value() {
    assert_eq!(config(SLASHING_OFF).http.port, 9000);
    assert!(read(SLASHING_OFF).unwrap().warnings.is_empty());
}

#[test]
fn command_line_precedes_environment_precedes_file_precedes_default() {
    let (_folder, path) = yaml_file("http-listen-port: 9003\n");
    let file = format!("--config-file {}", path.display());
    let variable = [("WEB3SIGNER_HTTP_LISTEN_PORT", "9002")];
    let port = |environment: &[(&str, &str)], arguments: &str| {
        let arguments = format!("{arguments} {SLASHING_OFF}");
        read_with(environment, &arguments).unwrap().config.http.port
    };
    assert_eq!(port(&variable, &format!("{file} --http-listen-port 9001")), 9001);
    assert_eq!(port(&variable, &file), 9002);
    assert_eq!(port(&[], &file), 9003);
    assert_eq!(port(&[], ""), 9000);
}

#[test]
fn environment_names_carry_the_command_path() {
    let invocation = read_with(
        &[
            ("WEB3SIGNER_L", "debug"),
            ("WEB3SIGNER_ETH2_SLASHING_PROTECTION_DB_URL", "sqlite:/var/records.sqlite"),
            ("WEB3SIGNER_ETH2_XSIGNING_EXT_ENABLED", "true"),
            ("WEB3SIGNER_ETH2_XNETWORK_FULU_FORK_EPOCH", "7"),
            ("WEB3SIGNER_ETH2_EXPORT_TO", "/tmp/export.json"),
        ],
        "eth2 export",
    )
    .unwrap();
    assert_eq!(invocation.config.logging.level, LogLevel::Debug);
    assert_eq!(
        invocation.config.slashing.database,
        Some(DatabaseUrl::Sqlite("/var/records.sqlite".into()))
    );
    assert!(invocation.config.http.signing_extension_enabled);
    assert_eq!(invocation.config.network.fork_epoch_overrides.fulu, Some(Epoch(7)));
    assert_eq!(invocation.command, Command::Export { to: "/tmp/export.json".into(), keys: None });
}

#[test]
fn options_of_other_commands_are_not_read_from_the_environment() {
    let variables =
        [("WEB3SIGNER_ETH2_EXPORT_TO", ""), ("WEB3SIGNER_ETH2_WATERMARK_REPAIR_SLOT", "x")];
    assert_eq!(read_with(&variables, SLASHING_OFF).unwrap().command, Command::Sign);
    let message = error_with(&variables, "--data-path d eth2 watermark-repair --epoch 1");
    assert_contains(
        &message,
        &["--slot (environment variable WEB3SIGNER_ETH2_WATERMARK_REPAIR_SLOT)"],
    );
}

#[test]
fn commands_take_their_options_from_every_layer() {
    let (_folder, path) = yaml_file("eth2.watermark-repair.epoch: 5\n");
    let arguments = format!(
        "--data-path d --config-file {} eth2 watermark-repair --set-high-watermark",
        path.display()
    );
    let invocation =
        read_with(&[("WEB3SIGNER_ETH2_WATERMARK_REPAIR_SLOT", "160")], &arguments).unwrap();
    assert_eq!(
        invocation.command,
        Command::WatermarkRepair(WatermarkRepair::SetHigh { epoch: Epoch(5), slot: Slot(160) })
    );
}

#[test]
fn commands_are_parsed_with_their_options() {
    for (arguments, command) in [
        ("eth2", Command::Sign),
        (
            "eth2 import --from a.json",
            Command::Import { from: "a.json".into(), allow_partial: false },
        ),
        (
            "eth2 import --allow-partial --from a.json",
            Command::Import { from: "a.json".into(), allow_partial: true },
        ),
        ("eth2 export --to=b.json", Command::Export { to: "b.json".into(), keys: None }),
        (
            "eth2 watermark-repair --epoch 1 --slot 2",
            Command::WatermarkRepair(WatermarkRepair::RaiseLow {
                keys: None,
                epoch: Epoch(1),
                slot: Slot(2),
            }),
        ),
        (
            "eth2 watermark-repair --set-high-watermark true --remove-high-watermark",
            Command::WatermarkRepair(WatermarkRepair::RemoveHigh),
        ),
    ] {
        let invocation = read(&format!("--data-path d {arguments}")).unwrap();
        assert_eq!(invocation.command, command, "{arguments}");
    }
    assert_contains(&error("--data-path d eth2 export"), &["--to: this option must be given"]);
    assert_contains(&error("--data-path d eth2 import"), &["--from: this option must be given"]);
    assert_contains(&error("--data-path d eth2 watermark-repair --epoch 1"), &["--slot: "]);
    assert_contains(&error("--data-path d eth2 watermark-repair --slot 1"), &["--epoch: "]);
}

#[test]
fn only_the_command_line_names_a_configuration_file() {
    let variables = [("WEB3SIGNER_CONFIG_FILE", "/nowhere/config.yaml")];
    let warnings = read_with(&variables, SLASHING_OFF).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_contains(&warnings[0], &["WEB3SIGNER_CONFIG_FILE", "--config-file"]);
    let exit = read_file("config-file: other.yaml\n", SLASHING_OFF).unwrap_err();
    assert_contains(&exit.message, &["config.yaml", "key config-file"]);
}

#[test]
fn two_names_of_one_option_must_agree() {
    let agree = [("WEB3SIGNER_L", "WARN"), ("WEB3SIGNER_LOGGING", "WARN")];
    assert_eq!(read_with(&agree, SLASHING_OFF).unwrap().config.logging.level, LogLevel::Warn);
    let differ = [("WEB3SIGNER_L", "WARN"), ("WEB3SIGNER_LOGGING", "INFO")];
    assert_contains(
        &error_with(&differ, SLASHING_OFF),
        &["--logging: ", "variable WEB3SIGNER_L ", "variable WEB3SIGNER_LOGGING "],
    );
}

#[test]
fn flags_stand_alone_or_take_a_value() {
    for (arguments, enabled) in [
        ("--metrics-enabled eth2", true),
        ("--metrics-enabled=true eth2", true),
        ("--metrics-enabled=FALSE eth2", false),
        ("--metrics-enabled false eth2", false),
        ("--metrics-enabled True eth2", true),
        ("eth2", false),
    ] {
        let config = config(&format!("--data-path d {arguments}"));
        assert_eq!(config.metrics.enabled, enabled, "{arguments}");
    }
    assert_contains(
        &error("--metrics-enabled=yes eth2"),
        &["--metrics-enabled (command line): expected true or false, found \"yes\""],
    );
}

#[test]
fn other_booleans_need_a_value() {
    for arguments in
        ["eth2 --slashing-protection-enabled false", "eth2 --slashing-protection-enabled=False"]
    {
        assert!(!config(arguments).slashing.enabled, "{arguments}");
    }
    assert_contains(
        &error("eth2 --slashing-protection-enabled"),
        &["--slashing-protection-enabled"],
    );
    assert_contains(
        &error_with(&[("WEB3SIGNER_ETH2_SLASHING_PROTECTION_ENABLED", "1")], "eth2"),
        &["--slashing-protection-enabled (environment variable \
           WEB3SIGNER_ETH2_SLASHING_PROTECTION_ENABLED): expected true or false"],
    );
}

#[test]
fn single_values_are_given_once() {
    assert_contains(
        &error("--http-listen-port 1 --http-listen-port 2 eth2"),
        &["--http-listen-port", "cannot be used multiple times"],
    );
}

#[test]
fn short_and_other_names_are_the_same_option() {
    for arguments in ["-l debug", "-ldebug", "-l=DEBUG", "--logging Debug"] {
        let config = config(&format!("{arguments} {SLASHING_OFF}"));
        assert_eq!(config.logging.level, LogLevel::Debug, "{arguments}");
    }
    let config = config(&format!("--key-store-path keys {SLASHING_OFF}"));
    assert_eq!(config.keys.key_config_path, Path::new("keys"));
}
