//! The very first start killed at every point: the next one comes up and signs.

use http::StatusCode;
use midslot_tests::Signer;

use super::*;

/// Points of a run that is not a soak.
const POINTS: u64 = 8;

async fn assert_signs(signer: &Signer) {
    let key = key_files::public_key(0);
    for (body, wanted) in [
        (requests::attestation(5, 6, 1), StatusCode::OK),
        (requests::attestation(5, 6, 2), StatusCode::PRECONDITION_FAILED),
        (requests::block(200, 1), StatusCode::OK),
        (requests::block(200, 2), StatusCode::PRECONDITION_FAILED),
    ] {
        let answer = signer.client.sign(&key, &body).await.unwrap();
        assert_eq!(answer.status, wanted, "{body}: {}", answer.text());
    }
}

async fn next_start_comes_up(backend: Backend) {
    let (mut options, _database) = folders(backend, 2).await;
    let calls = SystemCalls::watch(&mut options, &Watch::default());
    let signer = options.start().await.unwrap();
    let count = calls.records().len();
    assert_signs(&signer).await;
    drop(signer);

    let mut sweep = Sweep::of_any(count, POINTS);
    let mut kills = 0;
    loop {
        let (mut options, _database) = folders(backend, 2).await;
        let calls = sweep.watch(&mut options);
        calls.arm();
        let arguments = options.command_line(&[]);
        let mut process = options.spawn_alone(&arguments).unwrap();
        // It dies, or it serves.
        let ports = options.data_folder().join("web3signer.ports");
        while process.try_wait().unwrap().is_none() && !ports.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        process.kill().await.unwrap();
        SystemCalls::forget(&mut options);
        let signer = options.start().await.unwrap_or_else(|error| {
            panic!("killed at {:?}: {error:#}", calls.killed_at());
        });
        assert_signs(&signer).await;
        if calls.killed_at().is_none() {
            break;
        }
        kills += 1;
        sweep.advance();
    }
    println!("{backend:?}: {kills} first starts killed");
    assert!(kills >= 4, "{kills} first starts killed, {count} calls");
}

#[tokio::test]
async fn first_start_killed_at_any_call_does_no_harm_on_sqlite() {
    next_start_comes_up(Backend::Sqlite).await;
}

#[tokio::test]
async fn first_start_killed_at_any_call_does_no_harm_on_postgres() {
    next_start_comes_up(Backend::Postgres).await;
}
