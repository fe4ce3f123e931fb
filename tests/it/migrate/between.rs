//! From SQLite to PostgreSQL and back, with a signer before, between and after.

use super::*;

struct Pair {
    sqlite: SignerOptions,
    database: TestDatabase,
}

impl Pair {
    async fn new() -> Self {
        let database = PostgresCluster::shared().await.unwrap().database().await.unwrap();
        Self { sqlite: SignerOptions::with_interop_keys(3), database }
    }

    fn password_file(&self) -> String {
        let file = self.sqlite.folder.path().join("password");
        fs::write(&file, self.database.password()).unwrap();
        format!("--password-file={}", file.display())
    }

    fn to_postgres(&self) -> Vec<String> {
        vec![
            "migrate".to_owned(),
            "sqlite-to-postgres".to_owned(),
            format!("--from={}", sqlite_file(&self.sqlite).display()),
            format!("--to={}", self.database.jdbc_url()),
            format!("--username={}", self.database.role()),
            self.password_file(),
        ]
    }

    fn to_sqlite(&self) -> Vec<String> {
        vec![
            "migrate".to_owned(),
            "postgres-to-sqlite".to_owned(),
            format!("--from={}", self.database.url()),
            format!("--to={}", sqlite_file(&self.sqlite).display()),
        ]
    }

    /// Makes the signer use PostgreSQL from now on, or SQLite again.
    fn on_postgres(&mut self, yes: bool) {
        self.sqlite.eth2.retain(|option| !option.starts_with("--slashing-protection-db-url"));
        if yes {
            let url = format!("--slashing-protection-db-url={}", self.database.url());
            self.sqlite.eth2.push(url);
        }
    }

    async fn run(&self, arguments: Vec<String>) -> Ended {
        let ended = run(&self.sqlite, &arguments).await;
        assert!(!ended.output.contains(self.database.password()), "{}", ended.output);
        ended
    }

    /// Starts the signer, lets it do this, and stops it.
    async fn with_signer(self, work: impl AsyncFnOnce(&Signer)) -> Self {
        let Self { sqlite, database } = self;
        let signer = sqlite.start().await.unwrap();
        work(&signer).await;
        Self { sqlite: stop(signer).await, database }
    }

    /// What the SQLite file holds, looked at from outside the signer's folders, whose markers may
    /// name the other database by now.
    async fn export_of_file(&self) -> Value {
        let to = self.sqlite.folder.path().join("departed.json");
        let file = sqlite_file(&self.sqlite);
        let arguments = [
            "eth2".to_owned(),
            format!("--slashing-protection-db-url=sqlite:{}", file.display()),
            "export".to_owned(),
            format!("--to={}", to.display()),
        ];
        let ended = self.sqlite.run_alone(&arguments).await.unwrap();
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        serde_json::from_slice(&fs::read(to).unwrap()).unwrap()
    }

    async fn refuses_to_start(&self) -> String {
        let ended = self.sqlite.run_to_end().await.unwrap();
        assert_eq!(ended.code, Some(1), "{}", ended.output);
        ended.output
    }
}

#[tokio::test]
async fn records_go_to_postgres_and_back_and_only_one_side_ever_signs() {
    let pair = Pair::new().await;
    let mut pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(5, 6, 1)).await, OK);
            assert_eq!(status(signer, 0, &requests::block(300, 1)).await, OK);
            assert_eq!(status(signer, 1, &requests::attestation(6, 7, 1)).await, OK);
        })
        .await;
    let low = [
        "watermark-repair",
        "--epoch=9",
        "--slot=400",
        &format!("--pubkeys={}", key_files::public_key(2)),
    ];
    assert_done(&pair.sqlite.run_command(&low).await.unwrap(), &[]);
    let high = ["watermark-repair", "--set-high-watermark", "--epoch=30", "--slot=960"];
    assert_done(&pair.sqlite.run_command(&high).await.unwrap(), &[]);

    let before = export(&pair.sqlite, "sqlite.json").await;
    let compared = "Compared 3 keys, 2 attestations and 1 blocks with their copies";
    let ended = pair.run(pair.to_postgres()).await;
    assert_done(&ended, &["Moved 3 keys, 3 of them enabled", compared]);
    assert_eq!(pair.export_of_file().await, before, "the source stays as it was");
    let output = pair.refuses_to_start().await;
    assert!(output.contains("is not the one that") || output.contains("were moved"), "{output}");
    let ended = pair.run(pair.to_postgres()).await;
    assert_done(&ended, &["nothing was changed", compared]);

    // No confirmation is needed: the marker moved, too.
    pair.on_postgres(true);
    assert_eq!(export(&pair.sqlite, "postgres.json").await, before);
    let mut pair = pair
        .with_signer(async |signer| {
            for (key, body, wanted) in [
                (0, requests::attestation(5, 6, 1), OK),
                (0, requests::attestation(5, 6, 2), REFUSED),
                (0, requests::attestation(4, 8, 1), REFUSED),
                (0, requests::block(300, 2), REFUSED),
                (2, requests::attestation(8, 10, 1), REFUSED),
                (2, requests::block(400, 1), REFUSED),
                (2, requests::block(960, 1), REFUSED),
                (0, requests::attestation(6, 7, 1), OK),
                (0, requests::block(301, 1), OK),
            ] {
                assert_eq!(status(signer, key, &body).await, wanted, "key {key}: {body}");
            }
        })
        .await;
    let remove = ["watermark-repair", "--remove-high-watermark"];
    assert_done(&pair.sqlite.run_command(&remove).await.unwrap(), &[]);

    let before = export(&pair.sqlite, "postgres.json").await;
    let ended = pair.run(pair.to_sqlite()).await;
    assert_done(&ended, &["1 attestations and 1 blocks are new here"]);
    let output = pair.refuses_to_start().await;
    assert!(output.contains("is not the one that") || output.contains("were moved"), "{output}");
    pair.on_postgres(false);
    assert_eq!(export(&pair.sqlite, "sqlite.json").await, before);
    let pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(6, 7, 2)).await, REFUSED);
            assert_eq!(status(signer, 0, &requests::block(301, 2)).await, REFUSED);
            assert_eq!(status(signer, 0, &requests::attestation(7, 8, 1)).await, OK);
            assert_eq!(status(signer, 2, &requests::block(960, 1)).await, OK);
        })
        .await;
    // A third way leads nowhere.
    let other = Pair::new().await;
    let ended = other.run(pair.to_sqlite()).await;
    assert_done(&ended, &["nothing was changed"]);
    let other = Pair::new().await;
    let strange = other.sqlite.data_folder().join("strange.sqlite");
    let to_strange = vec![
        "migrate".to_owned(),
        "postgres-to-sqlite".to_owned(),
        format!("--from={}", pair.database.url()),
        format!("--to={}", strange.display()),
    ];
    let ended = other.run(to_strange).await;
    assert_failed(&ended, &["were moved before"]);
}

#[tokio::test]
async fn a_live_signer_on_the_source_is_stopped_by_the_move_and_loses_nothing() {
    let mut pair = Pair::new().await;
    pair.on_postgres(true);
    let Pair { sqlite, database } = pair;
    let signer = sqlite.start().await.unwrap();
    let mover = Pair { sqlite: SignerOptions::empty(), database };
    assert_eq!(status(&signer, 0, &requests::attestation(1, 2, 1)).await, OK);
    let target = mover.sqlite.data_folder().join("moved.sqlite");
    let arguments = vec![
        "migrate".to_owned(),
        "postgres-to-sqlite".to_owned(),
        format!("--from={}", mover.database.url()),
        format!("--to={}", target.display()),
    ];
    let signing = async {
        let mut last = 2;
        while status(&signer, 0, &requests::attestation(last - 1, last + 1, 1)).await == OK {
            last += 1;
        }
        last
    };
    let (ended, last) = tokio::join!(mover.run(arguments), signing);
    assert_done(&ended, &["nothing is missing"]);
    assert_eq!(status(&signer, 0, &requests::attestation(last, last + 1, 1)).await, REFUSED);
    assert_eq!(status(&signer, 1, &requests::block(5, 1)).await, REFUSED);

    let mut successor = SignerOptions::with_interop_keys(3);
    successor.eth2.push(format!("--slashing-protection-db-url=sqlite:{}", target.display()));
    let data = export(&successor, "moved.json").await;
    let keys = data["data"].as_array().unwrap();
    let first = keys.iter().find(|key| key["pubkey"] == key_files::public_key(0)).unwrap();
    let votes = first["signed_attestations"].as_array().unwrap();
    assert_eq!(votes.last().unwrap()["target_epoch"], last.to_string(), "of the last signature");
    assert_eq!(votes.len() as u64, last - 1);
    let next = successor.start().await.unwrap();
    assert_eq!(status(&next, 0, &requests::attestation(last - 1, last, 2)).await, REFUSED);
    assert_eq!(status(&next, 0, &requests::attestation(last, last + 1, 1)).await, OK);
}

#[tokio::test]
async fn killed_before_the_source_departs_it_signs_on_and_the_target_does_not() {
    let mut pair = Pair::new().await;
    pair.on_postgres(true);
    let pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(5, 6, 1)).await, OK);
        })
        .await;
    // What departing locks.
    let mut blocker = connect(&pair.database).await;
    sqlx::raw_sql("BEGIN; SELECT FROM att_state FOR UPDATE").execute(&mut blocker).await.unwrap();
    let arguments = pair.to_sqlite();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut moving = pair.sqlite.spawn_alone(&pair.sqlite.command_line(&words)).unwrap();
    wait_for_lock(&pair.database).await;
    moving.kill().await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut blocker).await.unwrap();
    let mut pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(6, 7, 1)).await, OK);
        })
        .await;
    // The copy, even where somebody confirms it.
    pair.on_postgres(false);
    pair.sqlite.eth2.push("--accept-new-slashing-protection-db=true".to_owned());
    let mut pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(7, 8, 1)).await, REFUSED);
        })
        .await;
    pair.sqlite.eth2.retain(|option| !option.starts_with("--accept-new"));

    assert_done(&pair.run(pair.to_sqlite()).await, &["nothing is missing"]);
    pair.with_signer(async |signer| {
        assert_eq!(status(signer, 0, &requests::attestation(6, 7, 2)).await, REFUSED);
        assert_eq!(status(signer, 0, &requests::attestation(7, 8, 1)).await, OK);
    })
    .await;
}

#[tokio::test]
async fn stopped_after_the_source_departed_nobody_signs_until_it_goes_on() {
    let pair = Pair::new().await;
    let pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(5, 6, 1)).await, OK);
        })
        .await;
    assert_done(&pair.run(pair.to_postgres()).await, &[]);
    // As it is between the departure and the arrival.
    run_sql(
        &pair.database,
        "UPDATE att_state SET enabled = false; UPDATE blk_state SET enabled = false",
    )
    .await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(sqlite_file(&pair.sqlite));
    let mut file = sqlx::ConnectOptions::connect(&options).await.unwrap();
    sqlx::query("UPDATE midslot_move SET complete = 0").execute(&mut file).await.unwrap();
    sqlx::Connection::close(file).await.unwrap();

    let output = pair.refuses_to_start().await;
    assert!(output.contains("is not the one that") || output.contains("were moved"), "{output}");
    let mut pair = pair;
    pair.sqlite.eth2.push("--accept-new-slashing-protection-db=true".to_owned());
    let output = pair.refuses_to_start().await;
    assert!(output.contains("were moved to another database"), "{output}");
    pair.on_postgres(true);
    let mut pair = pair
        .with_signer(async |signer| {
            assert_eq!(status(signer, 0, &requests::attestation(6, 7, 1)).await, REFUSED);
        })
        .await;
    pair.sqlite.eth2.retain(|option| !option.starts_with("--accept-new"));
    pair.on_postgres(false);
    // The start above has confirmed PostgreSQL; a marker of either of the two is fine.
    assert_done(&pair.run(pair.to_postgres()).await, &["nothing is missing"]);
    pair.on_postgres(true);
    pair.with_signer(async |signer| {
        assert_eq!(status(signer, 0, &requests::attestation(6, 7, 1)).await, OK);
    })
    .await;
}
