//! `eth2 export`, `eth2 import` and `eth2 watermark-repair` as an operator calls them.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions, binary::signer_binary, interchange_file, key_files, requests,
    signer::Ended,
};
use serde_json::{Value, json};

const OK: StatusCode = StatusCode::OK;
const REFUSED: StatusCode = StatusCode::PRECONDITION_FAILED;

async fn status(signer: &Signer, key: u64, body: &Value) -> StatusCode {
    signer.client.sign(&key_files::public_key(key), body).await.unwrap().status
}

async fn stop(signer: Signer) -> SignerOptions {
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    options
}

/// A stopped signer on mainnet that has signed votes up to epoch 6 and blocks up to slot 200 with
/// its first key.
async fn after_some_duties(keys: u64) -> SignerOptions {
    let signer = SignerOptions::with_interop_keys(keys).start().await.unwrap();
    for (source, target) in [(4, 5), (5, 6)] {
        assert_eq!(status(&signer, 0, &requests::attestation(source, target, 1)).await, OK);
    }
    for slot in [190, 200] {
        assert_eq!(status(&signer, 0, &requests::block(slot, 1)).await, OK);
    }
    stop(signer).await
}

fn file(options: &SignerOptions, name: &str) -> PathBuf {
    options.folder.path().join(name)
}

async fn export(options: &SignerOptions, to: &str) -> Value {
    let path = file(options, to);
    let ended =
        options.run_command(&["export", &format!("--to={}", path.display())]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

async fn import(options: &SignerOptions, content: &str, more: &[&str]) -> Ended {
    let path = file(options, "to-import.json");
    fs::write(&path, content).unwrap();
    let from = format!("--from={}", path.display());
    options.run_command(&[&["import", &*from], more].concat()).await.unwrap()
}

fn database(options: &SignerOptions) -> PathBuf {
    options.data_folder().join("slashing-protection.sqlite")
}

#[tokio::test]
async fn what_one_signer_signed_another_refuses_after_the_move() {
    let old = after_some_duties(2).await;
    let exported = export(&old, "out.json").await;
    assert_eq!(exported["metadata"]["interchange_format_version"], "5");
    assert_eq!(exported["metadata"]["genesis_validators_root"], requests::GENESIS_VALIDATORS_ROOT);
    let data = exported["data"].as_array().unwrap();
    assert_eq!(data.len(), 2, "the key that signed nothing is there, too");
    let first = data.iter().find(|key| key["pubkey"] == key_files::public_key(0)).unwrap();
    assert_eq!(first["signed_blocks"].as_array().unwrap().len(), 2);
    assert_eq!(first["signed_attestations"][1]["target_epoch"], "6");

    let new = SignerOptions::with_interop_keys(2);
    let ended = import(&new, &exported.to_string(), &[]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("2 attestations and 2 blocks are new"), "{}", ended.output);
    let signer = new.start().await.unwrap();
    for (body, wanted) in [
        (requests::attestation(5, 6, 2), REFUSED),
        (requests::attestation(5, 6, 1), OK),
        (requests::attestation(4, 7, 2), REFUSED),
        (requests::attestation(5, 7, 2), OK),
        (requests::attestation(4, 5, 2), REFUSED),
        (requests::block(200, 2), REFUSED),
        (requests::block(200, 1), OK),
        (requests::block(190, 3), REFUSED),
        (requests::block(201, 1), OK),
    ] {
        assert_eq!(status(&signer, 0, &body).await, wanted, "{body}");
    }
    // Importing again changes nothing, and the export has what was signed since.
    let new = stop(signer).await;
    let ended = import(&new, &exported.to_string(), &[]).await;
    assert!(ended.output.contains("0 attestations and 0 blocks are new, 2 keys were as they are"));
    let again = export(&new, "out.json").await;
    let data = again["data"].as_array().unwrap();
    let first = data.iter().find(|key| key["pubkey"] == key_files::public_key(0)).unwrap();
    assert_eq!(first["signed_attestations"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn commands_refuse_a_running_signers_database_and_name_the_lock() {
    let signer = SignerOptions::with_interop_keys(1).start().await.unwrap();
    let good = json!({
        "metadata": {
            "interchange_format_version": "5",
            "genesis_validators_root": requests::GENESIS_VALIDATORS_ROOT,
        },
        "data": [],
    });
    let out = file(&signer.options, "out.json");
    let to = format!("--to={}", out.display());
    let lock = format!("{}.lock", database(&signer.options).display());
    let commands = [&["export", &*to][..], &["watermark-repair", "--epoch=1", "--slot=1"]];
    let mut ended = vec![import(&signer.options, &good.to_string(), &[]).await];
    for command in commands {
        ended.push(signer.options.run_command(command).await.unwrap());
    }
    for ended in ended {
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("already running"), "{}", ended.output);
        assert!(ended.output.contains(&lock), "{}", ended.output);
    }
    assert!(!out.exists());
    assert_eq!(status(&signer, 0, &requests::attestation(1, 2, 1)).await, OK);
}

#[tokio::test]
async fn one_bad_key_fails_the_import_and_is_named_unless_a_part_is_enough() {
    let options = SignerOptions::with_interop_keys(2);
    let (good, bad) = (key_files::public_key(0), key_files::public_key(1));
    let content = format!(
        "{{\"metadata\":{{\"interchange_format_version\":\"5\",\"genesis_validators_root\":\"{}\"}},\
         \n\"data\":[{{\"pubkey\":\"{good}\",\"signed_blocks\":[{{\"slot\":\"7\"}}]}},\
         \n{{\"pubkey\":\"{bad}\",\n\"signed_blocks\":[{{\"slot\":\"-7\"}}]}}]}}",
        requests::GENESIS_VALIDATORS_ROOT
    );
    let ended = import(&options, &content, &[]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    for part in [&*bad, "data[1], line 4", "signed_blocks[0].slot", "nothing was imported"] {
        assert!(ended.output.contains(part), "{part}: {}", ended.output);
    }
    assert!(!database(&options).exists(), "not even an empty database");

    let ended = import(&options, &content, &["--allow-partial"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains(&bad) && ended.output.contains("Imported 1 keys"));
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::block(7, 1)).await, REFUSED);
    assert_eq!(status(&signer, 1, &requests::block(7, 1)).await, OK);
}

#[tokio::test]
async fn files_that_are_none_and_bad_parameters_have_their_exit_codes() {
    let options = SignerOptions::with_interop_keys(1);
    for (content, reason) in [
        ("", "EOF"),
        ("{\"metadata\":", "EOF"),
        ("not json", "expected"),
        ("{\"metadata\":{\"interchange_format_version\":\"4\"}}", "version is 4"),
    ] {
        let ended = import(&options, content, &["--allow-partial"]).await;
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains(reason), "{reason}: {}", ended.output);
        assert!(ended.output.contains("to-import.json"), "{}", ended.output);
    }
    for (command, code, reason) in [
        (&["import", "--from=/nowhere/x.json"][..], 1, "/nowhere/x.json"),
        (&["import"], 2, "--from"),
        (&["export"], 2, "--to"),
        (&["export", "--to=/tmp/never", "--pubkeys=0x12"], 2, "--pubkeys"),
        (&["export", "--to=/tmp/never"], 1, "there is no slashing protection database"),
        (&["watermark-repair", "--epoch=1"], 2, "--slot"),
        (&["watermark-repair", "--epoch=1", "--slot=9223372036854775808"], 2, "--slot"),
        (&["watermark-repair", "--remove-high-watermark", "--pubkeys=0x12"], 2, "--pubkeys"),
        (&["watermark-repair", "--epoch=1", "--slot=1"], 1, "there is no slashing protection"),
    ] {
        let ended = options.run_command(command).await.unwrap();
        assert_eq!(ended.code, Some(code), "{command:?}: {}", ended.output);
        assert!(ended.output.contains(reason), "{command:?}: {}", ended.output);
    }
    assert!(!database(&options).exists());
}

#[tokio::test]
async fn export_appears_whole_or_not_at_all() {
    let options = after_some_duties(1).await;
    let path = file(&options, "out.json");
    let to = format!("--to={}", path.display());
    fs::write(&path, "precious").unwrap();
    let unknown = format!("--pubkeys={}", key_files::public_key(7));
    let ended = options.run_command(&["export", &to, &unknown]).await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains(&key_files::public_key(7)), "{}", ended.output);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    let known = format!("--pubkeys={}", key_files::public_key(0));
    let ended = options.run_command(&["export", &to, &known]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["data"].as_array().unwrap().len(), 1);
    let names: Vec<String> = fs::read_dir(options.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!names.iter().any(|name| name.contains(".part")), "{names:?}");

    let folder = format!("--to={}", options.folder.path().display());
    for to in [&*folder, "--to=/nowhere/out.json", "--to=/dev/null"] {
        let ended = options.run_command(&["export", to]).await.unwrap();
        assert_eq!(ended.code, Some(1), "{to}: {}", ended.output);
    }

    // Standard output holds the file and nothing else.
    let output = Command::new(signer_binary())
        .args(options.command_line(&["export", "--to=-"]))
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed, written);
    assert!(String::from_utf8(output.stderr).unwrap().contains("Exported 1 keys"));
}

#[tokio::test]
async fn high_watermark_stops_everything_at_and_above_it() {
    let options = after_some_duties(1).await;
    // The low watermarks are the first records: epoch 5, slot 190.
    for arguments in [["--epoch=5", "--slot=400"], ["--epoch=10", "--slot=190"]] {
        let command = [&["watermark-repair", "--set-high-watermark"], &arguments[..]].concat();
        let ended = options.run_command(&command).await.unwrap();
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("must be above every low watermark"), "{}", ended.output);
        assert!(ended.output.contains(&key_files::public_key(0)), "{}", ended.output);
    }
    let set = ["watermark-repair", "--set-high-watermark", "--epoch=10", "--slot=320"];
    let ended = options.run_command(&set).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);

    let signer = options.start().await.unwrap();
    let answer = signer.client.get("/api/v1/eth2/highWatermark").await.unwrap();
    assert_eq!(answer.json(), json!({ "epoch": "10", "slot": "320" }));
    for (body, wanted) in [
        (requests::attestation(8, 9, 1), OK),
        (requests::attestation(9, 10, 1), REFUSED),
        (requests::attestation(9, 11, 1), REFUSED),
        (requests::block(319, 1), OK),
        (requests::block(320, 1), REFUSED),
        (requests::block(321, 1), REFUSED),
    ] {
        assert_eq!(status(&signer, 0, &body).await, wanted, "{body}");
    }
    let options = stop(signer).await;
    let low = ["watermark-repair", "--epoch=11", "--slot=1"];
    let ended = options.run_command(&low).await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("high watermark"), "{}", ended.output);

    let ended =
        options.run_command(&["watermark-repair", "--remove-high-watermark"]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let signer = options.start().await.unwrap();
    let answer = signer.client.get("/api/v1/eth2/highWatermark").await.unwrap();
    assert_eq!(answer.json(), json!({}));
    assert_eq!(status(&signer, 0, &requests::attestation(9, 10, 1)).await, OK);
    assert_eq!(status(&signer, 0, &requests::block(320, 1)).await, OK);
}

#[tokio::test]
async fn low_watermark_of_one_key_or_of_all_binds_and_is_exported() {
    let options = after_some_duties(2).await;
    let key = format!("--pubkeys={}", key_files::public_key(0));
    let command = ["watermark-repair", "--epoch=20", "--slot=640", &key];
    let ended = options.run_command(&command).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(ended.output.contains("1 keys"), "{}", ended.output);

    let exported = export(&options, "out.json").await;
    let new = SignerOptions::with_interop_keys(2);
    assert_eq!(import(&new, &exported.to_string(), &[]).await.code, Some(0));
    for options in [options, new] {
        let signer = options.start().await.unwrap();
        for (key, body, wanted) in [
            (0, requests::attestation(19, 21, 1), REFUSED),
            (0, requests::attestation(20, 20, 1), REFUSED),
            (0, requests::block(640, 1), REFUSED),
            (0, requests::attestation(20, 21, 1), OK),
            (0, requests::block(641, 1), OK),
            (1, requests::attestation(6, 7, 1), OK),
            (1, requests::block(5, 1), OK),
        ] {
            assert_eq!(status(&signer, key, &body).await, wanted, "{key}: {body}");
        }
    }
}

#[tokio::test]
async fn watermarks_need_no_chain_and_another_network_is_refused() {
    let network = midslot_tests::fixtures::network_option("devnet-gloas.yaml");
    let signer = SignerOptions::with_interop_keys(1)
        .eth2(format!("--network={network}"))
        .start()
        .await
        .unwrap();
    let options = stop(signer).await;
    let command = ["watermark-repair", "--epoch=3", "--slot=96"];
    let ended = options.run_command(&command).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let out = format!("--to={}", file(&options, "out.json").display());
    let ended = options.run_command(&["export", &out]).await.unwrap();
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert!(ended.output.contains("no chain yet"), "{}", ended.output);

    // The default network is not asked for, a named one is.
    let mut options = after_some_duties(1).await;
    options.eth2.push("--network=gnosis".to_owned());
    for command in
        [&["export", &*out][..], &command, &["watermark-repair", "--remove-high-watermark"]]
    {
        let ended = options.run_command(command).await.unwrap();
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        assert!(ended.output.contains("belongs to the chain"), "{}", ended.output);
    }
}

/// Keys and epochs of an import that lasts some seconds in an unoptimised build.
const KEYS: u64 = 400;
const EPOCHS: u64 = 250;

#[tokio::test]
async fn kill_9_during_an_import_leaves_all_or_nothing() {
    let options = after_some_duties(1).await;
    let path = file(&options, "large.json");
    interchange_file::write(&path, KEYS, EPOCHS).unwrap();
    let from = format!("--from={}", path.display());
    let arguments = options.command_line(&["import", &from]);
    let log = database(&options).with_extension("sqlite-wal");
    let before = export(&options, "before.json").await;
    let mut interrupted = 0;
    // The log grows with the transaction: killed so early, it is certainly not committed.
    for kibibytes in [100, 1_000, 4_000] {
        let mut import = options.spawn_alone(&arguments).unwrap();
        let has_grown =
            || fs::metadata(&log).is_ok_and(|metadata| metadata.len() > kibibytes * 1024);
        while !has_grown() && import.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        interrupted += u32::from(import.try_wait().unwrap().is_none());
        import.kill().await.unwrap();
        assert_eq!(export(&options, "after.json").await, before, "after {kibibytes} KiB");
    }
    assert_eq!(interrupted, 3);
    let ended = options.run_command(&["import", &from]).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let after = export(&options, "after.json").await;
    let data = after["data"].as_array().unwrap();
    assert_eq!(data.len() as u64, KEYS + 1);
    let imported = data.iter().find(|key| key["pubkey"] == interchange_file::public_key(KEYS - 1));
    let votes = imported.unwrap()["signed_attestations"].as_array().unwrap().len();
    assert_eq!(votes as u64, EPOCHS);
}
