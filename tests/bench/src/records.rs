//! Importing and exporting the slashing protection records of many keys: time and peak memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use midslot_tests::{SignerOptions, interchange_file, postgres::PostgresCluster};

/// Keys in the file, and attestations of each: what a large operator keeps.
const KEYS: u64 = 10_000;
const EPOCHS: u64 = 250;

/// Time between two looks at the memory of the process.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) async fn move_in_and_out() -> Result<()> {
    let options = SignerOptions::empty();
    on_one_database("SQLite", &options).await?;
    let database = options.data_folder().join("slashing-protection.sqlite");
    println!("  database       {} MiB\n", std::fs::metadata(database)?.len() >> 20);
    Ok(())
}

/// The same on PostgreSQL.
pub(crate) async fn move_in_and_out_of_postgres() -> Result<()> {
    let cluster = PostgresCluster::start_on_disk().await?;
    let database = cluster.database().await?;
    on_one_database("PostgreSQL", &SignerOptions::empty().on_postgres(&database)).await?;
    let mut connection = database.connect().await?;
    let bytes: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())")
        .fetch_one(&mut connection)
        .await?;
    println!("  database       {} MiB\n", bytes >> 20);
    Ok(())
}

async fn on_one_database(name: &str, options: &SignerOptions) -> Result<()> {
    let path = options.folder.path().join("records.json");
    interchange_file::write(&path, KEYS, EPOCHS)?;
    let file_mib = std::fs::metadata(&path)?.len() >> 20;
    println!(
        "records on {name}: {KEYS} keys with {EPOCHS} attestations each, a file of {file_mib} MiB"
    );
    let from = format!("--from={}", path.display());
    let to = format!("--to={}", options.folder.path().join("out.json").display());
    for (what, command) in [
        ("import", ["import", &*from]),
        ("import again", ["import", &*from]),
        ("export", ["export", &*to]),
    ] {
        let (time, peak_mib) = run(options, &command).await?;
        println!("  {what:<14} {:6.1} s, at most {peak_mib} MiB resident", time.as_secs_f64());
    }
    Ok(())
}

/// Runs a command to its end: its time, and the highest resident set of the process in MiB.
async fn run(options: &SignerOptions, command: &[&str]) -> Result<(Duration, u64)> {
    let start = Instant::now();
    let mut process = options.spawn_alone(&options.command_line(command))?;
    let status = format!("/proc/{}/status", process.id().context("it has ended at once")?);
    let mut peak_kib = 0;
    let ended = loop {
        if let Some(ended) = process.try_wait()? {
            break ended;
        }
        // The kernel keeps the maximum; a process that is just ending has none any more.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let high = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = high.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    };
    ensure!(ended.success(), "{command:?} ended with {ended}:\n{}", options.log());
    Ok((start.elapsed(), peak_kib >> 10))
}
