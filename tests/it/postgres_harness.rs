//! The PostgreSQL of the tests does what the tests of the signer rely on: faults are real, what is
//! committed stays, what is taken back is gone, and nothing is left behind.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use midslot_tests::postgres::{CutProxy, Fault, Moment, PostgresCluster, TestDatabase};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, Executor, PgConnection};

/// How long something may take that happens at once on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Long enough for a server on the same machine to answer, if it could.
const SILENCE: Duration = Duration::from_millis(500);

async fn add_row(connection: &mut PgConnection, number: i32) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO numbers VALUES ($1)").bind(number).execute(connection).await?;
    Ok(())
}

async fn rows(database: &TestDatabase) -> Vec<i32> {
    let mut connection = database.connect().await.unwrap();
    let sql = "SELECT number FROM numbers ORDER BY number";
    sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap()
}

async fn database_with_row_1(cluster: &PostgresCluster) -> TestDatabase {
    let database = cluster.database().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    connection.execute("CREATE TABLE numbers (number int PRIMARY KEY)").await.unwrap();
    add_row(&mut connection, 1).await.unwrap();
    database
}

async fn number(connection: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn databases_are_separate_and_dropped_at_their_end() {
    let cluster = PostgresCluster::shared().await.unwrap();
    let (one, other) = (database_with_row_1(cluster).await, cluster.database().await.unwrap());
    assert_eq!(rows(&one).await, [1]);
    let mut connection = other.connect().await.unwrap();
    assert!(connection.execute("SELECT FROM numbers").await.is_err(), "a table of the other one");
    let here: (String, String) =
        sqlx::query_as("SELECT current_database()::text, current_user::text")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(here, (other.name().to_owned(), other.role().to_owned()));

    let names = [one.name().to_owned(), other.name().to_owned()];
    // With a connection still open.
    drop((one, other));
    let mut superuser = cluster.superuser().await.unwrap();
    let left = "SELECT datname::text FROM pg_database UNION SELECT rolname::text FROM pg_roles";
    let left: Vec<String> = sqlx::query_scalar(left).fetch_all(&mut superuser).await.unwrap();
    assert!(names.iter().all(|name| !left.contains(name)), "{left:?}");
}

#[tokio::test]
async fn tcp_asks_for_the_password_and_the_owner_is_an_ordinary_role() {
    let cluster = PostgresCluster::shared().await.unwrap();
    let database = cluster.database().await.unwrap();
    let wrong = database.url().replace(database.password(), "wrong");
    let error = PgConnection::connect(&wrong).await.unwrap_err();
    assert!(error.to_string().contains("password authentication failed"), "{error}");
    let mut connection = database.connect().await.unwrap();
    let error = connection.execute("CREATE ROLE another").await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    assert!(database.jdbc_url().ends_with(&format!("{}/{}", cluster.address(), database.name())));
}

#[tokio::test]
async fn settings_of_the_server_and_of_the_role_reach_new_sessions() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    let setting = async |name: &str| {
        let mut connection = database.connect().await.unwrap();
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        value
    };
    assert_eq!(setting("fsync").await, "on");
    assert_eq!(setting("synchronous_commit").await, "on");
    database.role_setting("synchronous_commit", "off").await.unwrap();
    assert_eq!(setting("synchronous_commit").await, "off");
    cluster.settings(&[("lock_timeout", "123ms"), ("max_connections", "33")]).await.unwrap();
    assert_eq!(setting("lock_timeout").await, "123ms");
    assert_eq!(setting("max_connections").await, "300", "only a start reads it");
    cluster.restart().await.unwrap();
    assert_eq!(setting("max_connections").await, "33");
}

#[tokio::test]
async fn committed_rows_survive_a_stop_and_a_kill() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = database_with_row_1(&cluster).await;
    let address = cluster.address();
    cluster.stop().await.unwrap();
    assert!(!cluster.is_running());
    assert!(database.connect().await.is_err(), "it is down");
    cluster.restart().await.unwrap();

    let mut open = database.connect().await.unwrap();
    add_row(&mut open, 2).await.unwrap();
    open.execute("BEGIN").await.unwrap();
    add_row(&mut open, 3).await.unwrap();
    cluster.kill().await.unwrap();
    assert!(cluster.processes().unwrap().is_empty());
    assert!(open.execute("COMMIT").await.is_err(), "nobody is there to commit");
    cluster.restart().await.unwrap();
    assert_eq!(cluster.address(), address);
    assert!(cluster.log().contains("was not properly shut down"), "{}", cluster.log());
    assert_eq!(rows(&database).await, [1, 2]);
}

#[tokio::test]
async fn paused_server_is_silent_and_goes_on_where_it_was() {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = database_with_row_1(&cluster).await;
    let mut connection = database.connect().await.unwrap();
    cluster.pause().unwrap();
    let mut insert = Box::pin(add_row(&mut connection, 2));
    let silent = tokio::time::timeout(SILENCE, &mut insert).await;
    assert!(silent.is_err(), "a paused server answered {silent:?}");
    // The system accepts for it, but nobody says hello.
    assert!(tokio::time::timeout(SILENCE, database.connect()).await.is_err());
    cluster.resume().unwrap();
    insert.await.unwrap();
    assert_eq!(rows(&database).await, [1, 2]);
    cluster.pause().unwrap();
    cluster.kill().await.unwrap();
    cluster.restart().await.unwrap();
    assert_eq!(rows(&database).await, [1, 2]);
}

#[tokio::test]
async fn restored_cluster_has_lost_the_rows_and_tells_only_by_its_transactions() {
    const SYSTEM: &str = "SELECT system_identifier FROM pg_control_system()";
    const TIMELINE: &str = "SELECT timeline_id::int8 FROM pg_control_checkpoint()";
    const TRANSACTION: &str = "SELECT pg_current_xact_id()::text::int8";
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = database_with_row_1(&cluster).await;
    let state = async || {
        let mut connection = database.connect().await.unwrap();
        let system = number(&mut connection, SYSTEM).await;
        let timeline = number(&mut connection, TIMELINE).await;
        (system, timeline, number(&mut connection, TRANSACTION).await)
    };
    let backup = cluster.base_backup().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    for number in 2..20 {
        add_row(&mut connection, number).await.unwrap();
    }
    let before = state().await;

    cluster.restore(&backup).await.unwrap();
    assert_eq!(rows(&database).await, [1]);
    let restored = state().await;
    assert_eq!((restored.0, restored.1), (before.0, before.1), "system and timeline");
    assert!(restored.2 < before.2, "transaction {} after {}", restored.2, before.2);

    cluster.fail_over(&backup).await.unwrap();
    assert_eq!(rows(&database).await, [1]);
    let mut connection = database.connect().await.unwrap();
    add_row(&mut connection, 30).await.unwrap();
    // The timeline of the last checkpoint; the one after the promotion may still be under way.
    cluster.superuser().await.unwrap().execute("CHECKPOINT").await.unwrap();
    let failed_over = state().await;
    assert_eq!((failed_over.0, failed_over.1), (before.0, before.1 + 1), "system and timeline");

    let other = PostgresCluster::start().await.unwrap();
    let replaced = other.database_like(&database).await.unwrap();
    assert_eq!(replaced.url_at(cluster.address()), database.url());
    let mut connection = replaced.connect().await.unwrap();
    assert_ne!(number(&mut connection, SYSTEM).await, before.0);
}

/// Whether a process lives and works in this folder. One that has ended stays in the list of
/// processes until its parent looks, but works nowhere; another may have got its number.
fn works_in(folder: &Path, process: Pid) -> bool {
    std::fs::read_link(format!("/proc/{}/cwd", process.as_raw_nonzero()))
        .is_ok_and(|path| path.starts_with(folder))
}

fn assert_gone(folder: &Path, processes: &[Pid]) {
    assert!(!folder.exists(), "{} is still there", folder.display());
    for &id in processes {
        assert!(!works_in(folder, id), "process {id:?} is still there");
    }
}

#[tokio::test]
async fn nothing_is_left_after_the_end_of_a_cluster() {
    for end in ["running", "paused", "killed"] {
        let mut cluster = PostgresCluster::start().await.unwrap();
        let database = database_with_row_1(&cluster).await;
        let connection = database.connect().await.unwrap();
        let processes = cluster.processes().unwrap();
        assert!(processes.len() > 2, "the server, its helpers and one connection");
        match end {
            "paused" => cluster.pause().unwrap(),
            "killed" => cluster.kill().await.unwrap(),
            _ => {}
        }
        let folder = cluster.data_folder().parent().unwrap().to_owned();
        drop(cluster);
        assert_gone(&folder, &processes);
        drop((connection, database));
    }
}

/// Makes a process of this test the one that is killed: names the file where it says which cluster
/// it holds.
const HELD_CLUSTER: &str = "MIDSLOT_TEST_HELD_CLUSTER";

async fn hold_a_cluster(file: &Path) {
    let cluster = PostgresCluster::shared().await.unwrap();
    let ids = cluster.processes().unwrap();
    let ids = ids.iter().map(|id| id.as_raw_nonzero().to_string()).collect::<Vec<_>>().join(" ");
    let folder = cluster.data_folder().parent().unwrap().display().to_string();
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, format!("{folder}\n{ids}")).unwrap();
    std::fs::rename(fresh, file).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn nothing_is_left_after_the_test_process_was_killed() {
    if let Some(file) = std::env::var_os(HELD_CLUSTER) {
        hold_a_cluster(Path::new(&file)).await;
    }
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("held");
    let mut holder = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "postgres_harness::nothing_is_left_after_the_test_process_was_killed"])
        .env(HELD_CLUSTER, &file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let start = Instant::now();
    while !file.exists() {
        assert!(start.elapsed() < PATIENCE * 2, "no cluster came up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = std::fs::read_to_string(&file).unwrap();
    let (folder, ids) = held.split_once('\n').unwrap();
    let ids: Vec<_> =
        ids.split(' ').map(|id| Pid::from_raw(id.parse().unwrap()).unwrap()).collect();
    let folder = Path::new(folder);
    // The last one asked for the list and may have gone.
    let living = ids.iter().filter(|&&id| works_in(folder, id)).count();
    assert!(living > 2, "the server and its helpers");
    let id = Pid::from_raw(holder.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(id, Signal::KILL).unwrap();
    holder.wait().await.unwrap();
    let start = Instant::now();
    while folder.exists() {
        assert!(start.elapsed() < PATIENCE, "{} stays", folder.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_gone(folder, &ids);
}

/// A row whose insertion is told by its parameter's bytes.
const MARKED: i32 = 0x0BAD_CAFE;

/// What comes of an insertion when this fault is armed: its answer, if any, and the
/// rows before the link is open again.
async fn insert_with(moment: Moment, fault: Fault) -> (Option<sqlx::Result<()>>, Vec<i32>) {
    let cluster = PostgresCluster::shared().await.unwrap();
    let database = database_with_row_1(cluster).await;
    let proxy = CutProxy::start(cluster.address()).await.unwrap();
    let url = database.url_at(proxy.address());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    proxy.arm(&MARKED.to_be_bytes(), moment, fault);
    add_row(&mut connection, 2).await.unwrap();
    let mut insert = Box::pin(add_row(&mut connection, MARKED));
    let patience = if fault == Fault::Stall { SILENCE } else { PATIENCE };
    let answer = tokio::time::timeout(patience, &mut insert).await.ok();
    proxy.fired(1, PATIENCE).await.unwrap();
    let again = tokio::time::timeout(patience, PgConnection::connect(&url)).await;
    match fault {
        Fault::CutConnection => drop(again.unwrap().unwrap()),
        Fault::Cut => assert!(again.unwrap().is_err(), "the link is cut"),
        Fault::Stall => assert!(again.is_err(), "the link is stalled"),
    }
    let before_open = rows(&database).await;
    proxy.open();
    PgConnection::connect(&url).await.unwrap();
    if fault == Fault::Stall {
        tokio::time::timeout(PATIENCE, insert).await.unwrap().unwrap();
        assert_eq!(rows(&database).await, [1, 2, MARKED], "nothing is lost in a stall");
    }
    (answer, before_open)
}

#[tokio::test]
async fn proxy_breaks_the_link_at_the_armed_moment() {
    for fault in [Fault::CutConnection, Fault::Cut] {
        let (answer, rows) = insert_with(Moment::BeforeSent, fault).await;
        assert!(answer.unwrap().is_err());
        assert_eq!(rows, [1, 2], "{fault:?} before it was sent");
        let (answer, rows) = insert_with(Moment::AfterAnswered, fault).await;
        assert!(answer.unwrap().is_err());
        assert_eq!(rows, [1, 2, MARKED], "{fault:?} after the answer");
        // Whether the row is there yet is the server's matter: the client can't know.
        let (answer, _) = insert_with(Moment::AfterSent, fault).await;
        assert!(answer.unwrap().is_err());
    }
    let (answer, rows) = insert_with(Moment::BeforeSent, Fault::Stall).await;
    assert!(answer.is_none());
    assert_eq!(rows, [1, 2]);
    let (answer, rows) = insert_with(Moment::AfterAnswered, Fault::Stall).await;
    assert!(answer.is_none());
    assert_eq!(rows, [1, 2, MARKED]);
}

#[tokio::test]
async fn proxy_cuts_stalls_and_leads_to_another_server() {
    let (one, other) = tokio::join!(PostgresCluster::shared(), PostgresCluster::start());
    let (one, other) = (one.unwrap(), other.unwrap());
    let database = one.database().await.unwrap();
    let like = other.database_like(&database).await.unwrap();
    let proxy = CutProxy::start(one.address()).await.unwrap();
    let url = like.url_at(proxy.address());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    proxy.stall();
    let ping = tokio::time::timeout(SILENCE, connection.ping()).await;
    assert!(ping.is_err(), "a stalled link carried something");
    proxy.open();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // A cut that is over at once ends the connection all the same.
    proxy.redirect(other.address());
    proxy.cut();
    proxy.open();
    assert!(connection.ping().await.is_err());
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let port = number(&mut connection, "SELECT inet_server_port()::int8").await;
    assert_eq!(port, i64::from(other.address().port()));
    assert_eq!(proxy.connections(), 3);
}
