//! Help, version and refusals.

use super::{
    super::{command_line, option::Scope, options},
    assert_contains, error, read, yaml_file,
};

#[test]
fn the_command_tree_is_consistent() {
    command_line::command().debug_assert();
}

fn printed(arguments: &str) -> String {
    let exit = read(arguments).unwrap_err();
    assert_eq!((exit.code, exit.to_stdout), (0, true), "{arguments}: {}", exit.message);
    assert!(exit.message.ends_with('\n'), "{arguments}");
    exit.message
}

#[test]
fn version_names_the_system() {
    let expected = format!(
        "signer-server/v{}/{}-{}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    for arguments in ["-V", "--version", "eth2 -V", "eth2 --version", "eth2 export --version"] {
        assert_eq!(printed(arguments), expected, "{arguments}");
    }
}

#[test]
fn help_is_printed_at_every_level() {
    for (forms, scope) in [
        (&["-h", "--help", "help"][..], Scope::Root),
        (&["eth2 -h", "eth2 --help", "eth2 help", "help eth2"], Scope::Eth2),
        (
            &["eth2 export -h", "eth2 export --help", "eth2 export help", "eth2 help export"],
            Scope::Export,
        ),
        (&["eth2 import --help", "eth2 import help"], Scope::Import),
        (&["eth2 watermark-repair --help", "eth2 watermark-repair help"], Scope::WatermarkRepair),
        (&["eth2 migrate --help", "eth2 migrate help", "eth2 help migrate"], Scope::Migrate),
        (
            &["eth2 migrate from-web3signer --help", "eth2 migrate from-web3signer help"],
            Scope::FromWeb3Signer,
        ),
        (&["eth2 migrate sqlite-to-postgres -h"], Scope::SqliteToPostgres),
        (&["eth2 migrate help postgres-to-sqlite"], Scope::PostgresToSqlite),
    ] {
        let usage = ["Usage: signer-server"].iter().chain(scope.command_path()).copied();
        let usage = usage.collect::<Vec<_>>().join(" ");
        for form in forms {
            let text = printed(form);
            assert_contains(&text, &[&usage, "WEB3SIGNER_"]);
            for spec in options::of(scope) {
                let is_shown = text.contains(&spec.dashed_name());
                assert_eq!(is_shown, !spec.hidden, "{} in {form}", spec.name());
                if !spec.hidden {
                    assert_contains(&text, &[&format!("{}:\n", spec.heading)]);
                }
            }
        }
    }
}

#[test]
fn help_shows_aliases_defaults_and_what_is_missing() {
    let text = printed("--help").split_whitespace().collect::<Vec<_>>().join(" ");
    assert_contains(
        &text,
        &[
            "[default: 9000]",
            "--key-store-path",
            "-l",
            "Midslot: signing pool:",
            "[not available in this version]",
            "[no effect: signing has threads of its own; see --signing-threads]",
        ],
    );
    assert_contains(&printed("eth2 --help"), &["export", "import", "watermark-repair"]);
}

#[test]
fn unknown_options_are_refused() {
    for arguments in ["--nonsense eth2", "eth2 --nonsense", "eth2 export --nonsense", "-x eth2"] {
        let name = arguments.split(' ').find(|part| part.starts_with('-')).unwrap();
        assert_contains(&error(arguments), &[&format!("unexpected argument '{name}'")]);
    }
}

#[test]
fn a_command_is_needed() {
    for arguments in ["", "--data-path d"] {
        assert_contains(&error(arguments), &["eth2"]);
    }
    for arguments in ["eth3", "eth1", "--data-path d sign", "eth2 exprot"] {
        assert_contains(&error(arguments), &["unrecognized subcommand"]);
    }
}

#[test]
fn misplaced_options_are_told_their_place() {
    for (arguments, hint) in [
        (
            "eth2 --http-listen-port 1",
            "--http-listen-port: it is a root option, give it before `eth2`",
        ),
        (
            "eth2 --http-listen-port=1",
            "--http-listen-port: it is a root option, give it before `eth2`",
        ),
        ("eth2 export --data-path d", "--data-path: it is a root option, give it before `eth2`"),
        ("eth2 -l debug", "-l: it is a root option, give it before `eth2`"),
        (
            "--network sepolia eth2",
            "--network: it is an option of `eth2`, give it right after `eth2`",
        ),
        (
            "eth2 export --network x",
            "--network: it is an option of `eth2`, give it right after `eth2`",
        ),
        ("eth2 --to f export", "--to: it is an option of `eth2 export`, give it after that"),
    ] {
        assert_contains(&error(arguments), &[hint]);
    }
}

#[test]
fn arguments_after_a_secret_are_not_shown() {
    for arguments in [
        "eth2 --slashing-protection-db-password=hun ter2",
        "eth2 --slashing-protection-db-password hun ter2",
        "eth2 --azure-client-secret hun ter2 export",
        "eth2 --slashing-protection-db-password hun export ter2",
        "eth2 --slashing-protection-db-pasword=hunter2",
        "eth2 --slashing-protection-db-pasword hunter2",
        "--slashing-protection-db-password=hunter2 eth2",
    ] {
        let message = error(arguments);
        assert!(!message.contains("ter2") && !message.contains("hun"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_unicode_are_refused() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    let arguments = ["signer-server".into(), "--data-path".into(), OsString::from_vec(vec![0xff])];
    let exit = super::from_args(arguments, &|_| None).unwrap_err();
    assert_eq!(exit.code, 2);
    assert_contains(&exit.message, &["UTF-8"]);
}

#[test]
fn a_network_that_cannot_be_used_is_a_parameter_error() {
    let (_folder, file) = yaml_file("PRESET_BASE: nonsense\n");
    for (network, reason) in [
        ("nowhere", "unknown network \"nowhere\""),
        ("ephemery", "save it and pass the path"),
        ("https://example.org/config.yaml", "save it and pass the path"),
        (file.to_str().unwrap(), "PRESET_BASE"),
        ("mainnet --Xnetwork-fulu-fork-epoch=1", "fork"),
    ] {
        let text = error(&format!("--data-path d eth2 --network {network}"));
        assert_contains(&text, &["--network (command line): ", reason]);
    }
    // The commands that only handle records need no network.
    read("--data-path d eth2 --network nowhere export --to f").unwrap();
}
