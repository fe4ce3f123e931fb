//! The sections of a configuration.

use std::{num::NonZeroUsize, path::Path, thread, time::Duration};

use super::{
    super::{
        CorsOrigins, HostAllowList, KeystoreFolder, KeystorePasswords, option::OptionSpec, options,
    },
    assert_contains, config, error, error_with, read, read_with,
};
use crate::scheduler::Class;
use crate::{
    slashing::DatabaseUrl,
    telemetry::{
        logs::{LogFormat, LogLevel},
        metrics::Category,
    },
};

fn root(arguments: &str) -> super::Config {
    config(&format!("{arguments} --data-path d eth2"))
}

fn eth2(arguments: &str) -> super::Config {
    config(&format!("--data-path d eth2 {arguments}"))
}

#[test]
fn http_defaults() {
    let http = root("").http;
    assert_eq!((http.host.as_str(), http.port), ("127.0.0.1", 9000));
    assert_eq!(
        http.host_allow_list,
        HostAllowList::Names(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
    );
    assert!(matches!(http.cors_origins, CorsOrigins::None));
    assert_eq!(http.idle_connection_timeout, Some(Duration::from_mins(2)));
    assert!(!http.access_logs_enabled && !http.signing_extension_enabled);
    assert_eq!(root("").limits.max_body_bytes_in_flight, 256 * 1024 * 1024);
    let large = root("--http-max-body-size=1000000000").limits;
    assert!(large.max_body_bytes_in_flight / 4 * 3 >= large.max_body_size_bytes, "one always fits");
    assert_eq!(root("").limits.max_body_size_bytes, 32 * 1024 * 1024);
    assert_eq!(root("--idle-connection-timeout-seconds 0").http.idle_connection_timeout, None);
}

#[test]
fn other_defaults() {
    let config = root("");
    assert_eq!(config.data_path.as_deref(), Some(Path::new("d")));
    assert_eq!(config.logging.level, LogLevel::Info);
    assert_eq!(config.logging.format, LogFormat::Plain);
    assert!(!config.metrics.enabled && !config.audit.api_enabled);
    assert_eq!((config.metrics.host.as_str(), config.metrics.port), ("127.0.0.1", 9001));
    assert_eq!(
        config.metrics.categories,
        [
            Category::Eth2SlashingProtection,
            Category::Http,
            Category::Signing,
            Category::Jvm,
            Category::Process,
        ]
    );
    assert_eq!(config.keys.key_config_path, Path::new("./"));
    assert_eq!(config.keys.config_file_max_size_bytes, 100 * 1024 * 1024);
    assert_eq!(config.keys.keystores, None);
    assert_eq!(config.network.network, "mainnet");
    assert_eq!(config.network.fork_epoch_overrides, super::super::ForkEpochOverrides::default());
    let slashing = config.slashing;
    assert!(slashing.enabled && !slashing.accept_new_database);
    assert_eq!(slashing.database, Some(DatabaseUrl::Sqlite("d/slashing-protection.sqlite".into())));
    assert!(slashing.pruning.enabled && !slashing.pruning.at_boot);
    assert_eq!((slashing.pruning.epochs_to_keep, slashing.pruning.slots_per_epoch), (250, 32));
    assert_eq!(slashing.pruning.interval, Duration::from_hours(12));
    assert_eq!(slashing.health_check_timeout, Duration::from_secs(3));
    assert_eq!(slashing.health_check_interval, Duration::from_secs(30));
}

#[test]
fn host_lists_have_words_for_all_and_none() {
    let list = |text: &str| root(&format!("--http-host-allowlist {text}")).http.host_allow_list;
    assert_eq!(list("*"), HostAllowList::Any);
    assert_eq!(list("ALL"), HostAllowList::Any);
    assert_eq!(list("none"), HostAllowList::None);
    assert_eq!(
        list("Signer.Example,b --http-host-allowlist c"),
        HostAllowList::Names(vec!["signer.example".into(), "b".into(), "c".into()])
    );
    for mixed in ["*,localhost", "localhost,none", "all,none", "none,*"] {
        for option in ["--http-host-allowlist", "--metrics-host-allowlist", "--http-cors-origins"] {
            let message = error(&format!("{option} {mixed} --data-path d eth2"));
            assert_contains(&message, &[option, "(command line)", "must stand alone"]);
        }
    }
    assert_contains(&error("--http-host-allowlist a,,b eth2"), &["found an empty one"]);
    assert_contains(&error("--http-host-allowlist= eth2"), &["found an empty one"]);
}

#[test]
fn hosts_are_matched_whole_in_any_case() {
    let names = HostAllowList::Names(vec!["signer.example".to_owned()]);
    assert!(names.allows(Some("Signer.Example")));
    assert!(!names.allows(Some("signer.example.org")));
    assert!(!names.allows(Some("")) && !names.allows(None));
    assert!(HostAllowList::Any.allows(None));
    assert!(!HostAllowList::None.allows(Some("localhost")));
}

#[test]
fn cors_origins_match_the_whole_origin() {
    let origins = root(r"--http-cors-origins https://a\.example,b|c").http.cors_origins;
    for (origin, allowed) in [
        ("https://a.example", true),
        ("https://a.example.org", false),
        ("https://aXexample", false),
        ("b", true),
        ("c", true),
        ("bc", false),
        ("b\n", false),
        ("", false),
    ] {
        assert_eq!(origins.allows(origin), allowed, "{origin:?}");
    }
    assert!(root("--http-cors-origins *").http.cors_origins.allows("https://any.example"));
    assert!(!root("--http-cors-origins none").http.cors_origins.allows("https://any.example"));
    for broken in ["(", "a)|(b", "(?=a)"] {
        assert_contains(
            &error(&format!("--http-cors-origins {broken} --data-path d eth2")),
            &["--http-cors-origins (command line)", "is not a regular expression"],
        );
    }
}

#[test]
fn integers_have_ranges() {
    for (arguments, reason) in [
        ("--http-listen-port 65536", "from 0 to 65535, found \"65536\""),
        ("--http-listen-port=-1", "found \"-1\""),
        ("--http-listen-port=+1", "found \"+1\""),
        ("--http-listen-port=", "found \"\""),
        ("--http-listen-port 9000x", "found \"9000x\""),
        ("--key-store-config-file-max-size 0", "from 1 to"),
        ("--signer-load-batch-size 99", "from 100 to"),
        ("--signing-threads 0", "from 1 to 1024"),
        ("--metrics-push-port 70000", "from 0 to 65535"),
        ("--queue-bound-block 0", "from 1 to"),
        ("--http-max-body-size 99999999999999999999999", "from 1024 to"),
        ("--http-max-body-bytes-in-flight 44739242", "must be at least 44739244"),
        ("--http-max-connections 0", "from 1 to"),
    ] {
        assert_contains(&error(&format!("{arguments} --data-path d eth2")), &[reason]);
    }
}

#[test]
fn choices_are_matched_in_any_case() {
    let logging = root("--logging trace --logging-format Logstash").logging;
    assert_eq!((logging.level, logging.format), (LogLevel::Trace, LogFormat::Logstash));
    for name in LogLevel::NAMES {
        assert_eq!(root(&format!("-l {name}")).logging.level.name(), *name);
    }
    assert_eq!(
        root("--metrics-category http,PROCESS").metrics.categories,
        [Category::Http, Category::Process]
    );
    for (arguments, parts) in [
        (
            "--logging verbose eth2",
            ["--logging (command line)", "OFF, FATAL, ERROR", "\"verbose\""],
        ),
        ("--metrics-categories HTTP,X eth2", ["--metrics-category", "SIGNING", "found \"X\""]),
        ("eth2 --aws-secrets-auth-mode no", ["--aws-secrets-auth-mode", "SPECIFIED", "\"no\""]),
    ] {
        assert_contains(&error(arguments), &parts);
    }
}

#[test]
fn keystores_need_exactly_one_kind_of_passwords() {
    assert_eq!(
        eth2("--keystores-path k --keystores-passwords-path p").keys.keystores,
        Some(KeystoreFolder {
            path: "k".into(),
            passwords: KeystorePasswords::Directory("p".into())
        })
    );
    assert_eq!(
        eth2("--keystores-path k --keystores-password-file f").keys.keystores,
        Some(KeystoreFolder { path: "k".into(), passwords: KeystorePasswords::File("f".into()) })
    );
    assert_contains(
        &error(
            "--data-path d eth2 --keystores-path k --keystores-passwords-path p \
             --keystores-password-file f",
        ),
        &["--keystores-password-file (command line)", "--keystores-passwords-path"],
    );
    assert_contains(
        &error("--data-path d eth2 --keystores-path k"),
        &["--keystores-path (command line): needs --keystores-passwords-path or"],
    );
    let invocation = read("--data-path d eth2 --keystores-password-file f").unwrap();
    assert_eq!(invocation.config.keys.keystores, None);
    assert_eq!(invocation.warnings.len(), 1);
}

#[test]
fn threads_default_to_the_available_cores() {
    let cores = thread::available_parallelism().unwrap();
    assert_eq!(root("").scheduler.signing_threads, cores);
    assert_eq!(root("").keys.loading_threads, cores);
    assert_eq!(root("--signing-threads 3").scheduler.signing_threads.get(), 3);
    assert_eq!(root("--key-loading-threads 3").keys.loading_threads.get(), 3);
    assert_eq!(root("--signer-load-parallel=false").keys.loading_threads, NonZeroUsize::MIN);
    let both = "--signer-load-parallel=false --key-loading-threads 2";
    assert_eq!(root(both).keys.loading_threads.get(), 2);
}

#[test]
fn each_class_has_its_bound() {
    let bounds = root(
        "--queue-bound-block 1 --queue-bound-attestation 2 --queue-bound-aggregate 3 \
         --queue-bound-selection-proof 4 --queue-bound-background 5",
    )
    .scheduler
    .queue_bounds;
    assert_eq!(Class::ALL.map(|class| bounds.of(class)), [1, 2, 3, 4, 5]);
}

#[test]
fn missing_functions_refuse_the_start() {
    for (arguments, reason) in [
        ("--tls-keystore-file f eth2", "--tls-keystore-file (command line): TLS is not available"),
        ("--tls-keystore-password-file f eth2", "TLS is not available in this version"),
        ("--tls-known-clients-file f eth2", "TLS is not available in this version"),
        ("--tls-allow-any-client true eth2", "TLS is not available in this version"),
        ("--tls-allow-ca-clients=true eth2", "TLS is not available in this version"),
        ("--metrics-push-enabled eth2", "pushing metrics to a gateway is not available"),
        ("eth2 --key-manager-api-enabled=true", "the Key Manager API is not available"),
        ("eth2 --enable-key-manager-api true", "the Key Manager API is not available"),
        ("eth2 --commit-boost-api-enabled=true", "the Commit-Boost API is not available"),
        ("eth2 --azure-vault-enabled", "Azure Key Vault is not available in this version"),
        ("eth2 --aws-secrets-enabled=true", "AWS Secrets Manager is not available"),
        ("eth2 --gcp-secrets-enabled", "GCP Secret Manager is not available in this version"),
    ] {
        assert_contains(&error(&format!("--data-path d {arguments}")), &[reason]);
    }
    let variable = [("WEB3SIGNER_TLS_KEYSTORE_FILE", "f")];
    assert_contains(
        &error_with(&variable, "--data-path d eth2"),
        &["--tls-keystore-file (environment variable WEB3SIGNER_TLS_KEYSTORE_FILE): TLS is not"],
    );
    // The commands that only handle records run beside such a configuration.
    read_with(&variable, "--data-path d eth2 export --to f").unwrap();
}

#[test]
fn functions_that_are_switched_off_refuse_nothing() {
    let invocation = read(
        "--tls-allow-any-client=false --tls-allow-ca-clients false --metrics-push-enabled=false \
         --metrics-push-host h --data-path d eth2 --key-manager-api-enabled=false \
         --azure-vault-enabled=false --azure-vault-name v --azure-tags a=b --azure-tags c=d|e=f \
         --gcp-project-id p --proxy-keystores-path x --aws-secrets-prefixes-filter a,b",
    )
    .unwrap();
    assert!(invocation.warnings.is_empty(), "{:?}", invocation.warnings);
}

#[test]
fn options_without_effect_are_answered_with_one_warning_each() {
    for (arguments, advice) in [
        ("--vertx-worker-pool-size 40 eth2", "--signing-threads"),
        ("--reload-timeout 5 eth2", "reload"),
        ("--signer-load-timeout 5 eth2", "--key-loading-threads"),
        ("--signer-load-batch-size 500 eth2", "--key-loading-threads"),
        ("--signer-load-sequential-threshold 5 eth2", "--key-loading-threads"),
        ("eth2 --Xtrusted-setup f", "KZG"),
        ("eth2 --Xslashing-protection-db-connection-pool-enabled=false", "connection"),
    ] {
        let warnings = read(&format!("--data-path d {arguments}")).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{arguments}: {warnings:?}");
        assert_contains(&warnings[0], &["(command line) has no effect: ", advice]);
        assert!(!warnings[0].contains('\n'));
    }
    let variable = [("WEB3SIGNER_VERTX_WORKER_POOL_SIZE", "40")];
    let warnings = read_with(&variable, "--data-path d eth2").unwrap().warnings;
    assert_contains(&warnings[0], &["(environment variable WEB3SIGNER_VERTX_WORKER_POOL_SIZE)"]);
}

#[test]
fn companions_of_missing_functions_are_checked() {
    for arguments in [
        "--azure-tags nonsense",
        "--azure-tags =b",
        "--azure-vault-auth-mode none",
        "--azure-response-timeout 0",
        "--aws-connection-cache-size many",
        "--Xkey-manager-skip-keystore-storage maybe",
        "--proxy-keystores-path=",
    ] {
        assert_contains(&error(&format!("--data-path d eth2 {arguments}")), &["(command line)"]);
    }
}

#[test]
fn debug_output_hides_secrets() {
    let invocation = read("--data-path d eth2 --slashing-protection-db-password hunter2").unwrap();
    let text = format!("{invocation:?}");
    assert!(!text.contains("hunter2"), "{text}");
    let database = "postgres://a:hunter2@h/db".parse::<DatabaseUrl>().unwrap();
    assert!(!format!("{database:?}").contains("hunter2"));
}

#[test]
fn options_that_may_hold_a_password_are_marked() {
    let secret: Vec<&str> =
        options::all().filter(|spec| spec.secret).map(OptionSpec::name).collect();
    assert_eq!(
        secret,
        [
            "prefetch-beacon-nodes",
            "slashing-protection-db-url",
            "slashing-protection-db-password",
            "azure-client-secret",
            "aws-secrets-access-key-id",
            "aws-secrets-secret-access-key",
            // `migrate`: Web3Signer's database, then the PostgreSQL end of a move each way.
            "url",
            "password",
            "to",
            "password",
            "from",
            "password",
        ]
    );
}

#[test]
fn prefetch_is_off_without_beacon_nodes() {
    assert!(root("").prefetch.is_none());
    assert!(root("--prefetch-look-ahead-slots=4").prefetch.is_none());
    let prefetch = root("--prefetch-beacon-nodes=http://a:5052,https://b").prefetch.unwrap();
    let nodes: Vec<_> = prefetch.nodes.iter().map(ToString::to_string).collect();
    assert_eq!(nodes, ["http://a:5052", "https://b"]);
    assert_eq!((prefetch.look_ahead_slots, prefetch.slot_percent), (8, 80));
    assert_eq!(prefetch.request_timeout, Duration::from_secs(3));
}

#[test]
fn beacon_nodes_are_refused_without_their_secrets() {
    for bad in ["http://a,ftp://user:secret@b", "http://a,http://b/?key=secret"] {
        let option = format!("--prefetch-beacon-nodes={bad}");
        let text = error(&format!("{option} --data-path d eth2"));
        assert_contains(&text, &["--prefetch-beacon-nodes", "address 2"]);
        assert!(!text.contains("secret"), "{text}");
    }
    let variable = [("WEB3SIGNER_PREFETCH_BEACON_NODES", "http://user:secret@b")];
    let config = read_with(&variable, "--data-path d eth2").unwrap().config;
    assert!(!format!("{config:?}").contains("secret"));
    let text = error(
        "--prefetch-beacon-nodes=http://a --prefetch-look-ahead-slots=9 --proof-max-slots-ahead=8 \
         --data-path d eth2",
    );
    assert_contains(
        &text,
        &["--prefetch-look-ahead-slots", "--proof-max-slots-ahead", "at most 8"],
    );
}
