//! `kill -9` between the steps: whatever it leaves, at most one of the two signs, and the same
//! command goes on.

use super::*;

/// Starts the move and gives the process.
fn start(options: &SignerOptions, source: &TestDatabase) -> tokio::process::Child {
    let arguments = from_web3signer(options, source, &[]);
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    options.spawn_alone(&options.command_line(&words)).unwrap()
}

async fn signs_nothing(options: SignerOptions) -> SignerOptions {
    let signer = options.start().await.unwrap();
    for key in 0..3 {
        assert_eq!(status(&signer, key, &requests::attestation(20, 21, 1)).await, REFUSED);
        assert_eq!(status(&signer, key, &requests::block(672, 1)).await, REFUSED);
    }
    stop(signer).await
}

async fn ends_well(options: SignerOptions, source: &TestDatabase) {
    assert_done(&migrate(&options, source, &[]).await, &["nothing is missing"]);
    let signer = options.start().await.unwrap();
    for (key, body, wanted) in [
        (0, requests::attestation(6, 7, 1), REFUSED),
        (0, requests::attestation(20, 21, 1), OK),
        (1, requests::attestation(20, 21, 1), REFUSED),
        (2, requests::attestation(20, 21, 1), OK),
    ] {
        assert_eq!(status(&signer, key, &body).await, wanted, "key {key}: {body}");
    }
}

#[tokio::test]
async fn killed_before_the_fence_web3signer_signs_and_nobody_else() {
    for backend in BACKENDS {
        let (source, mut worker, id) = web3signer(12).await;
        let before = dump(&source).await;
        let (options, _database) = midslot(backend).await;
        let mut blocker = connect(&source).await;
        sqlx::raw_sql("BEGIN; SELECT FROM database_version FOR UPDATE")
            .execute(&mut blocker)
            .await
            .unwrap();
        let mut moving = start(&options, &source);
        // It waits to turn the version: the target is written and compared by now.
        wait_for_lock(&source).await;
        moving.kill().await.unwrap();
        sqlx::raw_sql("COMMIT").execute(&mut blocker).await.unwrap();
        assert!(worker.may_attest(id, (7, 8), &ROOT).await.unwrap(), "{backend:?}");
        assert_ne!(dump(&source).await, before);
        let options = signs_nothing(options).await;
        assert_failed(&migrate(&options, &source, &["--undo"]).await, &["nothing to undo"]);
        ends_well(options, &source).await;
        assert!(!worker.may_attest(id, (8, 9), &ROOT).await.unwrap());
    }
}

/// Makes the commit of the fence last, so that the process can be killed within it.
const SLOW_COMMIT: &str = "CREATE FUNCTION be_slow() RETURNS trigger LANGUAGE plpgsql AS
     $$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$;
     CREATE CONSTRAINT TRIGGER be_slow AFTER UPDATE ON database_version
     DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION be_slow()";

#[tokio::test]
async fn killed_after_the_fence_nobody_signs_until_it_goes_on_or_is_undone() {
    for (backend, undo) in
        [(Backend::Sqlite, false), (Backend::Sqlite, true), (Backend::Postgres, false)]
    {
        let (source, mut worker, id) = web3signer(12).await;
        let before = dump(&source).await;
        run_sql(&source, SLOW_COMMIT).await;
        let (options, _database) = midslot(backend).await;
        let mut moving = start(&options, &source);
        let mut admin = source.superuser().await.unwrap();
        let is_committing = "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'PgSleep'";
        let start = std::time::Instant::now();
        while sqlx::query_scalar::<_, i64>(is_committing).fetch_one(&mut admin).await.unwrap() == 0
        {
            assert!(start.elapsed() < PATIENCE, "{}", options.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        moving.kill().await.unwrap();
        // The server ends what it began.
        while !worker_is_refused(&source).await {
            assert!(start.elapsed() < PATIENCE, "the fence never came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        run_sql(&source, "DROP TRIGGER be_slow ON database_version; DROP FUNCTION be_slow").await;
        assert!(!worker.may_attest(id, (7, 8), &ROOT).await.unwrap(), "{backend:?}");
        let options = signs_nothing(options).await;
        if undo {
            assert_done(&migrate(&options, &source, &["--undo"]).await, &[]);
            assert_eq!(dump(&source).await, before);
            signs_nothing(options).await;
        } else {
            ends_well(options, &source).await;
        }
    }
}

async fn worker_is_refused(source: &TestDatabase) -> bool {
    Web3SignerWorker::start(source, 12).await.is_err()
}

#[tokio::test]
async fn stopped_before_the_last_note_a_second_run_only_notes_it() {
    let (source, _, _) = web3signer(12).await;
    let (options, _) = midslot(Backend::Sqlite).await;
    assert_done(&migrate(&options, &source, &[]).await, &[]);
    run_sql(&source, "UPDATE midslot_move SET complete = false").await;
    let signer = options.start().await.unwrap();
    assert_eq!(status(&signer, 0, &requests::attestation(7, 8, 1)).await, OK);
    let options = stop(signer).await;
    assert_done(&migrate(&options, &source, &[]).await, &["0 attestations and 0 blocks are new"]);
    assert_done(&migrate(&options, &source, &[]).await, &["nothing was changed"]);
    ends_well(options, &source).await;
}
