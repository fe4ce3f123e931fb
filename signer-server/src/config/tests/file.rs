//! The configuration file.

use signer_client::wire::Epoch;

use super::{
    super::{
        Command, HostAllowList,
        option::{Kind, OptionSpec, Scope},
        yaml_tree::{Node, parse},
    },
    assert_contains, error, read_file,
};
use crate::slashing::DatabaseUrl;

fn error_in(text: &str) -> String {
    let exit = read_file(text, "--data-path d eth2").unwrap_err();
    assert_eq!((exit.code, exit.to_stdout), (2, false), "{}", exit.message);
    assert_contains(&exit.message, &["config.yaml", "Usage: signer-server"]);
    exit.message
}

fn names(names: &[&str]) -> HostAllowList {
    HostAllowList::Names(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn keys_may_be_dotted_or_nested() {
    for text in [
        "data-path: d\neth2.network: sepolia\neth2.Xnetwork-fulu-fork-epoch: 9\neth2.export.to: out\n",
        "data-path: d\neth2:\n  network: sepolia\n  Xnetwork-fulu-fork-epoch: '9'\n  export:\n    to: out\n",
        "data-path: d\neth2:\n  network: sepolia\n  export.to: out\neth2.Xnetwork-fulu-fork-epoch: 9\n",
    ] {
        let invocation = read_file(text, "eth2 export").unwrap();
        assert_eq!(invocation.config.network.network, "sepolia", "{text}");
        assert_eq!(invocation.config.network.fork_epoch_overrides.fulu, Some(Epoch(9)), "{text}");
        assert_eq!(invocation.command, Command::Export { to: "out".into(), keys: None }, "{text}");
    }
}

#[test]
fn lists_are_texts_or_lists() {
    for text in [
        "http-host-allowlist: one.example,two.example\n",
        "http-host-allowlist: [one.example, two.example]\n",
        "http-host-allowlist:\n  - one.example\n  - two.example\n",
    ] {
        let config = read_file(text, "--data-path d eth2").unwrap().config;
        assert_eq!(config.http.host_allow_list, names(&["one.example", "two.example"]), "{text}");
    }
}

#[test]
fn maps_are_texts_or_mappings() {
    for text in ["eth2.azure-tags: a=1|b=2\n", "eth2:\n  azure-tags:\n    a: 1\n    b: 2\n"] {
        read_file(text, "--data-path d eth2").unwrap();
    }
    assert_contains(
        &error_in("eth2.azure-tags: nonsense\n"),
        &["--azure-tags (", "key eth2.azure-tags): expected key=value pairs"],
    );
    assert_contains(&error_in("eth2.azure-tags:\n  a: [1]\n"), &["key eth2.azure-tags: expected"]);
}

#[test]
fn scalars_are_read_as_they_stand_in_the_file() {
    let text = "a: 0777\nb: 0x1234\nc: 1e5\nd: yes\ne: 'null'\nf: 1e999\ng: \"x\"\nh: 1_000\n\
                i: 99999999999999999999999999999999999999999999\nj: 12:30\nk: .inf\nl: +5\n";
    let Node::Map(entries) = parse(text).unwrap() else { panic!("no mapping") };
    let texts: Vec<&str> = entries
        .iter()
        .map(|(_, node)| match node {
            Node::Text(text) => text.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [
        "0777",
        "0x1234",
        "1e5",
        "yes",
        "null",
        "1e999",
        "x",
        "1_000",
        "99999999999999999999999999999999999999999999",
        "12:30",
        ".inf",
        "+5",
    ];
    assert_eq!(texts, expected);
}

#[test]
fn nulls_lists_and_mappings_keep_their_places() {
    let text = |text: &str| Node::Text(text.to_owned());
    let expected = Node::Map(vec![
        ("a".to_owned(), Node::Null),
        ("b".to_owned(), Node::List(vec![text("1"), Node::List(vec![]), Node::Null])),
        ("c".to_owned(), Node::Map(vec![("7".to_owned(), text("true"))])),
    ]);
    assert_eq!(parse("a:\nb: [1, [], ~]\nc: {7: true}\n"), Ok(expected));
}

#[test]
fn unknown_keys_are_refused() {
    for (text, key) in [
        ("http-listen-prot: 1\n", "unknown key http-listen-prot"),
        ("eth2.http-listen-port: 1\n", "unknown key eth2.http-listen-port"),
        ("eth2:\n  nework: mainnet\n", "unknown key eth2.nework"),
        ("network: mainnet\n", "unknown key network"),
        ("--http-listen-port: 1\n", "unknown key --http-listen-port"),
        ("eth2.export: 1\n", "key eth2.export: expected a mapping"),
        ("http: {}\n", "unknown key http"),
    ] {
        assert_contains(&error_in(text), &[key]);
    }
}

#[test]
fn unusable_files_are_refused() {
    for (text, reason) in [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("---\n", "the file is empty"),
        ("{}\n", "the file is empty"),
        ("just text\n", "expected a mapping"),
        ("- a\n- b\n", "expected a mapping"),
        ("http-listen-port: [1\n", "not valid YAML"),
        ("metrics-port: 1\nmetrics-port: 2\n", "line 2, column 1: duplicate key metrics-port"),
        ("metrics-port: 1\n---\nmetrics-port: 2\n", "a second YAML document begins"),
        ("metrics-port:\n", "key metrics-port: has no value"),
        ("metrics-port: [1]\n", "key metrics-port: expected a single value"),
        ("metrics-port: {a: 1}\n", "key metrics-port: expected a single value"),
        ("http-host-allowlist: []\n", "key http-host-allowlist: expected a text or a list"),
        ("http-host-allowlist: [[a]]\n", "key http-host-allowlist: expected a list of texts"),
    ] {
        assert_contains(&error_in(text), &[reason]);
    }
    assert_contains(
        &error("--config-file /nowhere/config.yaml eth2"),
        &["--config-file /nowhere/config.yaml: cannot be read: No such file"],
    );
    let folder = tempfile::tempdir().unwrap();
    error(&format!("--config-file {} eth2", folder.path().display()));
}

#[test]
fn errors_never_show_what_stands_in_the_file() {
    for text in [
        "eth2.slashing-protection-db-password: \"hunter2\n",
        "eth2.slashing-protection-db-password: hunter2: x\n",
        "eth2.slashing-protection-db-password: [hunter2]\n",
        "eth2.slashing-protection-db-password: &a hunter2\nmetrics-port: *b\n",
        "eth2.slashing-protection-db-password: !!binary hunter2\n",
        "eth2.slashing-protection-db-url: mysql://user:hunter2@host\n",
    ] {
        let message = error_in(text);
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn wrong_values_name_file_and_key() {
    assert_contains(
        &error_in("metrics-port: 65536\n"),
        &[
            "--metrics-port (",
            "config.yaml, key metrics-port): expected an integer from 0 to 65535",
        ],
    );
}

#[test]
fn a_command_without_options_is_not_an_error() {
    let text = "data-path: d\neth2:\n# network: sepolia\n";
    let config = read_file(text, "eth2").unwrap().config;
    assert_eq!(config.network.network, "mainnet");
    assert!(matches!(config.slashing.database, Some(DatabaseUrl::Sqlite(_))));
}

#[test]
fn hostile_files_end_in_errors() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x]\n");
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        let anchor = format!("a{level}");
        bomb += &[&anchor, ": &", &anchor, " [", &[&*alias; 4].join(", "), "]\n"].concat();
    }
    error_in(&bomb);
    error_in(&format!("http-host-allowlist: {}\n", "[".repeat(100_000)));
    error_in(&"x".repeat(5 * 1024 * 1024));
}

#[test]
fn file_keys_are_spelled_with_the_command_path() {
    let spec = OptionSpec::new(&["slot"], Kind::Text, "", "").scope(Scope::WatermarkRepair);
    assert_eq!(spec.file_keys().collect::<Vec<_>>(), ["eth2.watermark-repair.slot"]);
}
