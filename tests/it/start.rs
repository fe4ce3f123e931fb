//! Starts that must fail with a clear reason, and starts that must not.

use midslot_tests::{
    Signer, SignerOptions, key_files,
    key_files::{Cost, KeystoreFolders},
    requests,
};

/// Starts a signer that must end by itself with `code`, saying each of `words`.
async fn fails(options: &SignerOptions, code: i32, words: &[&str]) {
    let ended = options.run_to_end().await.unwrap();
    assert_eq!(ended.code, Some(code), "{}", ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
    for word in words {
        assert!(ended.output.contains(word), "{word:?} in:\n{}", ended.output);
    }
}

#[tokio::test]
async fn an_unknown_option_ends_with_2_and_names_it() {
    let options = SignerOptions::empty().eth2("--no-such-option=1");
    fails(&options, 2, &["--no-such-option"]).await;
}

#[tokio::test]
async fn a_bad_value_names_option_and_source() {
    let mut options = SignerOptions::empty();
    options.environment.push(("WEB3SIGNER_IDLE_CONNECTION_TIMEOUT_SECONDS".into(), "soon".into()));
    fails(&options, 2, &["WEB3SIGNER_IDLE_CONNECTION_TIMEOUT_SECONDS"]).await;
}

#[tokio::test]
async fn a_function_that_does_not_exist_yet_refuses_the_start() {
    let options = SignerOptions::empty().eth2("--key-manager-api-enabled=true");
    fails(&options, 2, &["--key-manager-api-enabled", "not available"]).await;
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let options = SignerOptions::with_interop_keys(1);
    let config = options.folder.path().join("config.yaml");
    std::fs::write(&config, format!("http-listen-port: {port}\n")).unwrap();
    // Without the harness' own port option the YAML file decides.
    let ended = options
        .run_alone(&[
            format!("--config-file={}", config.display()),
            format!("--data-path={}", options.data_folder().display()),
            format!("--key-config-path={}", options.key_folder().display()),
            "eth2".to_owned(),
        ])
        .await
        .unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains(&format!("127.0.0.1:{port}")), "{}", ended.output);
    assert!(ended.output.contains("--http-listen-port"), "{}", ended.output);
}

#[tokio::test]
async fn a_busy_metrics_port_is_named() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let options = SignerOptions::with_interop_keys(1);
    let ended = options
        .run_alone(&[
            "--metrics-enabled".to_owned(),
            format!("--metrics-port={}", address.port()),
            "--http-listen-port=0".to_owned(),
            format!("--data-path={}", options.data_folder().display()),
            format!("--key-config-path={}", options.key_folder().display()),
            "eth2".to_owned(),
        ])
        .await
        .unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains(&address.to_string()), "{}", ended.output);
    assert!(ended.output.contains("--metrics-port"), "{}", ended.output);
}

#[tokio::test]
async fn a_second_signer_on_the_same_database_is_turned_away() {
    let first = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let database = first.options.data_folder().join("slashing-protection.sqlite");
    assert!(database.exists());
    let second = SignerOptions::with_interop_keys(1)
        .eth2(format!("--slashing-protection-db-url=sqlite:{}", database.display()));
    fails(&second, 1, &["slashing-protection.sqlite", "another"]).await;
    // The first one is undisturbed.
    let vote = requests::attestation(5, 6, 1);
    first.client.sign(&key_files::public_key(0), &vote).await.unwrap().signature();
}

#[tokio::test]
async fn an_unwritable_data_folder_is_named() {
    let options = SignerOptions::with_interop_keys(1);
    // A file where the folder should be stops root, too.
    std::fs::remove_dir(options.data_folder()).unwrap();
    std::fs::write(options.data_folder(), "not a folder").unwrap();
    fails(&options, 1, &[options.data_folder().to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_lost_database_stops_the_start_until_it_is_confirmed() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let (_, options) = signer.stop().await.unwrap();
    let folder = options.data_folder();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("slashing-protection.sqlite") {
            std::fs::remove_file(path).unwrap();
        }
    }
    fails(&options, 1, &["slashing-protection.sqlite", "--accept-new-slashing-protection-db"])
        .await;
    let confirmed = options.eth2("--accept-new-slashing-protection-db=true");
    let signer = confirmed.start().await.unwrap();
    let vote = requests::attestation(5, 6, 1);
    signer.client.sign(&key_files::public_key(0), &vote).await.unwrap().signature();
}

#[tokio::test]
async fn a_lost_data_folder_stops_the_start_when_the_key_folder_remembers() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let (_, options) = signer.stop().await.unwrap();
    std::fs::remove_dir_all(options.data_folder()).unwrap();
    std::fs::create_dir(options.data_folder()).unwrap();
    fails(&options, 1, &["--accept-new-slashing-protection-db"]).await;
}

#[tokio::test]
async fn an_empty_key_folder_starts_and_warns() {
    let signer = SignerOptions::empty().start().await.unwrap();
    let keys = signer.client.get("/api/v1/eth2/publicKeys").await.unwrap();
    assert_eq!(keys.text(), "[]");
    assert!(signer.options.log().contains("no keys"), "{}", signer.options.log());
}

async fn bulk(prepare: impl FnOnce(&KeystoreFolders)) -> (Signer, KeystoreFolders) {
    let options = SignerOptions::empty();
    let folders = KeystoreFolders::in_folder(options.folder.path());
    for index in 0..3 {
        folders.write(index, Cost::Cheap);
    }
    prepare(&folders);
    let options = options.eth2(folders.keystores_option()).eth2(folders.passwords_option());
    (options.start().await.unwrap(), folders)
}

async fn loaded(signer: &Signer) -> usize {
    let keys = signer.client.get("/api/v1/eth2/publicKeys").await.unwrap();
    keys.json().as_array().unwrap().len()
}

#[tokio::test]
async fn a_wrong_password_is_reported_by_name_and_the_other_keys_load() {
    let (signer, folders) = bulk(|folders| {
        std::fs::write(folders.passwords.join("keystore-1.txt"), "hunter2-wrong").unwrap();
    })
    .await;
    assert_eq!(loaded(&signer).await, 2);
    let log = signer.options.log();
    assert!(log.contains("keystore-1.json"), "{log}");
    assert!(log.contains("password"), "{log}");
    assert!(!log.contains("hunter2-wrong"), "a password in the log");
    assert!(!log.contains(&KeystoreFolders::password(1)), "a password in the log");
    assert!(folders.keystores.exists());
}

#[tokio::test]
async fn a_corrupt_keystore_is_reported_by_name_and_the_other_keys_load() {
    let (signer, _folders) = bulk(|folders| {
        let path = folders.keystores.join("keystore-2.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
    })
    .await;
    assert_eq!(loaded(&signer).await, 2);
    let log = signer.options.log();
    assert!(log.contains("keystore-2.json"), "{log}");
    let health = signer.client.get("/healthcheck").await.unwrap();
    assert_eq!(health.status, http::StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn key_configuration_files_load_beside_bulk_folders_and_duplicates_once() {
    let options = SignerOptions::with_interop_keys(1);
    let folders = KeystoreFolders::in_folder(options.folder.path());
    folders.write(0, Cost::Cheap);
    folders.write(1, Cost::Cheap);
    // One password for all, in one file.
    let password = options.folder.path().join("password.txt");
    std::fs::write(&password, format!("{}\n", KeystoreFolders::password(1))).unwrap();
    // Several documents in one file; a file-keystore with paths relative to the folder.
    folders.write(5, Cost::Cheap);
    for (from, to) in [("keystores/keystore-5.json", "k5.json"), ("passwords/keystore-5.txt", "p5")]
    {
        let from = options.folder.path().join(from);
        std::fs::copy(&from, options.key_folder().join(to)).unwrap();
        std::fs::remove_file(from).unwrap();
    }
    std::fs::write(
        options.key_folder().join("more.yaml"),
        "type: file-keystore\nkeystoreFile: k5.json\nkeystorePasswordFile: p5\n---\n\
         type: file-raw\nkeyType: SECP256K1\nprivateKey: 0x01\n",
    )
    .unwrap();
    let signer = options
        .eth2(folders.keystores_option())
        .eth2(format!("--keystores-password-file={}", password.display()))
        .start()
        .await
        .unwrap();
    // Keys 0 and 5 from files; 1 in bulk; 0 in bulk has another password.
    assert_eq!(loaded(&signer).await, 3, "{}", signer.options.log());
}

#[tokio::test]
async fn help_and_version_end_with_zero() {
    let options = SignerOptions::empty();
    for (argument, word) in [("--help", "--http-listen-port"), ("--version", "signer-server/v")] {
        let ended = options.run_alone(&[argument.to_owned()]).await.unwrap();
        assert_eq!(ended.code, Some(0));
        assert!(ended.output.contains(word), "{}", ended.output);
    }
}
