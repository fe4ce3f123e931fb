//! Decrypting keystores never stands in the way of a signature.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{
    Signer, SignerOptions,
    key_files::{self, Cost, KeystoreFolders},
    process::{self, Thread},
    requests,
};

/// Keystores that are decrypted, each of which takes a good part of a second.
const KEYSTORES: u64 = 6;

fn of_pool<'a>(threads: &'a [Thread], prefix: &str) -> Vec<&'a Thread> {
    threads.iter().filter(|thread| thread.name.starts_with(prefix)).collect()
}

fn ticks(threads: &[&Thread]) -> u64 {
    threads.iter().map(|thread| thread.cpu_ticks).sum()
}

async fn is_reloading(signer: &Signer) -> bool {
    signer.client.get("/reload").await.unwrap().json()["status"] == "running"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signatures_flow_while_scrypt_keystores_are_decrypted_elsewhere() {
    let options = SignerOptions::with_interop_keys(1);
    let folders = KeystoreFolders::in_folder(options.folder.path());
    let signer = options
        .eth2(folders.keystores_option())
        .eth2(folders.passwords_option())
        .root("--signing-threads=1")
        .root("--key-loading-threads=2")
        .start()
        .await
        .unwrap();
    folders.write(1, Cost::Standard);
    for copy in 2..=KEYSTORES {
        for (folder, end) in [(&folders.keystores, "json"), (&folders.passwords, "txt")] {
            let (from, to) = (format!("keystore-1.{end}"), format!("copy-{copy}.{end}"));
            std::fs::copy(folder.join(from), folder.join(to)).unwrap();
        }
    }
    let process = signer.process_id().unwrap();
    let before = process::threads(process).unwrap();
    assert!(of_pool(&before, "key-load").is_empty(), "{before:?}");
    let signing_before = ticks(&of_pool(&before, "signing-"));

    let answer = signer.client.send(Method::POST, "/reload", &[], Bytes::new()).await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.text());
    // Between two looks that both find the same decryption under way, signatures are answered.
    let (mut signed_meanwhile, mut decrypting_ticks, mut slot) = (0, 0, requests::SLOT);
    let patience = Instant::now() + Duration::from_mins(1);
    let mut was_decrypting = false;
    while is_reloading(&signer).await {
        assert!(Instant::now() < patience, "the reload never ends");
        let threads = process::threads(process).unwrap();
        let loaders = of_pool(&threads, "key-load-");
        // A thread lowers its own priority: one that was only just made has done nothing else yet.
        for loader in loaders.iter().filter(|loader| loader.cpu_ticks > 0) {
            assert_eq!(loader.nice, 10, "{loader:?} gives way to signing");
        }
        let signers = of_pool(&threads, "signing-");
        assert!(signers.iter().all(|signer| signer.nice == 0), "{signers:?}");
        let is_decrypting = ticks(&loaders) > 0;
        if was_decrypting && is_decrypting {
            signed_meanwhile += 1;
        }
        was_decrypting = is_decrypting;
        decrypting_ticks = decrypting_ticks.max(ticks(&loaders));
        slot += 1;
        let body = requests::aggregation_slot(slot);
        let answer = signer.client.sign(&key_files::public_key(0), &body).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    let status = signer.client.get("/reload").await.unwrap().json();
    assert_eq!(status["status"], "completed", "{status}");
    let keys = signer.client.get("/api/v1/eth2/publicKeys").await.unwrap().json();
    assert_eq!(keys.as_array().unwrap().len(), 2, "the keystores were opened");

    assert!(signed_meanwhile >= 10, "{signed_meanwhile} signatures while keys were decrypted");
    let signing_ticks = ticks(&of_pool(&process::threads(process).unwrap(), "signing-"));
    // All of the derivation was done by the key-loading threads: as much as several signatures take.
    assert!(decrypting_ticks >= 20, "{decrypting_ticks} ticks on the key-loading threads");
    assert!(
        signing_ticks - signing_before < decrypting_ticks,
        "{signing_before} to {signing_ticks} ticks on the signing thread beside {decrypting_ticks}"
    );
}
