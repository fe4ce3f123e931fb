//! A configuration written for Web3Signer starts this signer as it stands: as a command line, as
//! an environment, as a YAML file.

use std::{fs, path::Path};

use midslot_tests::{
    Signer, SignerOptions,
    key_files::{self, Cost, KeystoreFolders},
};

async fn key_count(signer: &Signer) -> usize {
    let keys = signer.client.get("/api/v1/eth2/publicKeys").await.unwrap();
    keys.json().as_array().unwrap().len()
}

/// The warnings in the log.
fn warnings(signer: &Signer) -> Vec<String> {
    let log = signer.options.log();
    log.lines().filter(|line| line.contains("| WARN ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_command_line_of_web3signer_starts_with_one_warning_for_each_jvm_option() {
    let mut options = SignerOptions::with_interop_keys(2);
    let folders = KeystoreFolders::in_folder(options.folder.path());
    folders.write(2, Cost::Cheap);
    for option in [
        "--http-listen-host=0.0.0.0",
        "--http-host-allowlist=*",
        "--metrics-enabled",
        "--metrics-host=127.0.0.1",
        "--metrics-host-allowlist=*",
        "--metrics-category=HTTP,SIGNING,JVM,PROCESS",
        "--metrics-categories=ETH2_SLASHING_PROTECTION",
        "-l",
        "info",
        "--access-logs-enabled",
        "true",
        "--idle-connection-timeout-seconds=60",
        "--signer-load-parallel",
        "true",
        "--vertx-worker-pool-size=50",
        "--reload-timeout",
        "60",
        "--signer-load-batch-size=1000",
    ] {
        options = options.root(option);
    }
    for option in [
        "--network=HOODI",
        "--slashing-protection-enabled=true",
        "--enable-key-manager-api=false",
        "--Xnetwork-fulu-fork-epoch=50688",
        "--Xsigning-ext-enabled",
    ] {
        options = options.eth2(option);
    }
    let options = options.eth2(folders.keystores_option()).eth2(folders.passwords_option());
    let signer = options.start().await.unwrap();
    assert_eq!(key_count(&signer).await, 3);
    assert!(signer.metrics.is_some());
    let warnings = warnings(&signer);
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    for (warning, option) in
        warnings.iter().zip(["--vertx-worker-pool-size", "--reload-timeout", "--signer-load-batch"])
    {
        assert!(warning.contains(option) && warning.contains("no effect"), "{warning}");
    }
    let log = signer.options.log();
    assert!(log.contains("network=hoodi"), "{log}");
    assert!(log.contains("\"GET /api/v1/eth2/publicKeys HTTP/1.1\" 200"), "{log}");
    assert!(log.contains("ready to handle signing requests on 0.0.0.0:"), "{log}");
}

#[tokio::test]
async fn an_environment_of_web3signer_starts_with_aliases_and_companions() {
    let mut options = SignerOptions::with_interop_keys(1);
    let folders = KeystoreFolders::in_folder(options.folder.path());
    folders.write(7, Cost::Cheap);
    let password = options.folder.path().join("password");
    fs::write(&password, format!("{}\r\n", KeystoreFolders::password(7))).unwrap();
    for (name, value) in [
        ("L", "INFO"),
        ("LOGGING_FORMAT", "ecs"),
        ("HTTP_HOST_ALLOWLIST", "*"),
        ("METRICS_ENABLED", "true"),
        ("CONFIG_FILE", "/no/such/file"),
        ("ETH2_NETWORK", "holesky"),
        ("ETH2_KEYSTORES_PATH", folders.keystores.to_str().unwrap()),
        ("ETH2_KEYSTORES_PASSWORD_FILE", password.to_str().unwrap()),
        ("ETH2_ENABLE_KEY_MANAGER_API", "false"),
        ("ETH2_XSIGNING_EXT_ENABLED", "true"),
        ("ETH2_AZURE_TAGS", "a=b|c=d"),
        ("ETH2_EXPORT_TO", "/elsewhere"),
        // What Kubernetes adds by itself when a service has this name.
        ("PORT", "tcp://10.0.0.1:9000"),
    ] {
        options.environment.push((format!("WEB3SIGNER_{name}"), value.to_owned()));
    }
    let signer = options.start().await.unwrap();
    assert_eq!(key_count(&signer).await, 2);
    assert!(signer.metrics.is_some());
    let log = signer.options.log();
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("ECS lines are JSON");
        let is_warning = line["log.level"] == "WARN";
        let about_file = line["message"].as_str().unwrap().contains("WEB3SIGNER_CONFIG_FILE");
        assert_eq!(is_warning, about_file, "{line}");
    }
    assert!(log.contains("WEB3SIGNER_CONFIG_FILE"), "{log}");
    assert!(log.contains("holesky"), "{log}");
}

#[tokio::test]
async fn a_yaml_file_of_web3signer_starts_and_the_layers_win_in_order() {
    let options = SignerOptions::with_interop_keys(1);
    let folders = KeystoreFolders::in_folder(options.folder.path());
    folders.write(1, Cost::Cheap);
    let config = options.folder.path().join("config.yaml");
    let text = format!(
        "# the file of an operator\n\
         key-store-path: {keys}\n\
         http-host-allowlist: [\"*\"]\n\
         metrics-enabled: true\n\
         metrics-categories:\n  - HTTP\n  - SIGNING\n\
         logging: ERROR\n\
         logging-format: \"gelf\"\n\
         signer-load-parallel: false\n\
         eth2.network: \"sepolia\"\n\
         eth2.keystores-path: {keystores}\n\
         eth2.keystores-passwords-path: {passwords}\n\
         eth2.slashing-protection-enabled: true\n\
         eth2.slashing-protection-db-url: sqlite:{database}\n\
         eth2.azure-vault-enabled: false\n\
         eth2.export.to: /elsewhere\n",
        keys = options.key_folder().display(),
        keystores = folders.keystores.display(),
        passwords = folders.passwords.display(),
        database = options.folder.path().join("records.sqlite").display(),
    );
    fs::write(&config, text).unwrap();
    let mut options = options.root(format!("--config-file={}", config.display()));
    // The command line over the environment, the environment over the file.
    options = options.root("--logging-format=PLAIN").eth2("--network=gnosis");
    for (name, value) in [("LOGGING", "WARN"), ("LOGGING_FORMAT", "ECS"), ("ETH2_NETWORK", "lukso")]
    {
        options.environment.push((format!("WEB3SIGNER_{name}"), value.to_owned()));
    }
    // One warning, to see the level and the form of its line.
    options = options.root("--vertx-worker-pool-size=4");
    let signer = options.start().await.unwrap();
    assert_eq!(key_count(&signer).await, 2);
    assert!(signer.metrics.is_some());
    assert!(signer.options.folder.path().join("records.sqlite").exists());
    let log = signer.options.log();
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("| WARN  | signer_server | --vertx-worker-pool-size"), "{log}");
    // Each network has a genesis of its own, which the database remembers: only the one of the
    // command line may open it again.
    let (_, mut options) = signer.stop().await.unwrap();
    options.eth2 = vec!["--network=hoodi".to_owned()];
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("genesis"), "{}", ended.output);
}

/// Runs `eth2` with one more option, on this data folder, where it must end by itself.
async fn refused(options: &SignerOptions, data_folder: &Path, eth2: &str) -> (Option<i32>, String) {
    let arguments = [
        format!("--key-config-path={}", options.key_folder().display()),
        format!("--data-path={}", data_folder.display()),
        "--http-listen-port=0".to_owned(),
        "eth2".to_owned(),
        eth2.to_owned(),
    ];
    let before = options.log().len();
    let ended = options.run_alone(&arguments).await.unwrap();
    (ended.code, ended.output[before..].to_owned())
}

#[tokio::test]
async fn a_mistake_in_the_options_ends_with_2_and_names_the_option() {
    let options = SignerOptions::with_interop_keys(1);
    for (eth2, words) in [
        ("--network=nowhere", "--network (command line): unknown network"),
        ("--keystores-path=/x", "--keystores-passwords-path"),
        ("--slashing-protection-pruning-interval=0", "from 1 to"),
    ] {
        let (code, output) = refused(&options, &options.data_folder(), eth2).await;
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains(words) && output.contains("Usage: "), "{output}");
    }
}

#[tokio::test]
async fn the_cause_of_a_failed_start_is_said_once() {
    let options = SignerOptions::with_interop_keys(1);
    // A file where a folder should be.
    let data_folder = key_files::raw_key_path(&options.key_folder(), 0).join("data");
    let (code, output) = refused(&options, &data_folder, "--network=mainnet").await;
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("Failed to initialize Midslot\nCause: the data folder"), "{output}");
    assert_eq!(output.matches("Not a directory").count(), 1, "{output}");
}
