//! The newcomer's first minute: real keystores, the real signer, one request of every type, a
//! refused vote, and the audit of it all.
//!
//! `cargo demo` keeps the signer running until Ctrl-C; `cargo demo -- --once` ends by itself.

#![expect(clippy::print_stdout, reason = "the demo talks to a person")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use midslot_tests::{
    Signer, SignerOptions,
    binary::signer_binary,
    key_files::{self, Cost, KeystoreFolders},
    requests,
};
use serde_json::Value;

/// Keys that the demo signer holds.
const KEYS: u64 = 4;

fn main() -> Result<()> {
    let once = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--once") => true,
        Some(other) => bail!("unknown argument {other}; the demo knows only --once"),
    };
    tokio::runtime::Runtime::new()?.block_on(demo(once))
}

async fn demo(once: bool) -> Result<()> {
    println!("Midslot demo: a remote signer for Ethereum validators\n");
    println!("building the signer (only the first time takes minutes) ...");
    let binary = signer_binary();
    println!("  binary    {}", binary.display());

    let options = SignerOptions::empty();
    let folders = KeystoreFolders::in_folder(options.folder.path());
    let started = Instant::now();
    std::thread::scope(|scope| {
        for index in 0..KEYS {
            let folders = &folders;
            scope.spawn(move || folders.write(index, Cost::Standard));
        }
    });
    println!(
        "  keys      {KEYS} EIP-2335 keystores of interop keys, made in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    println!("            {}", folders.keystores.display());

    let started = Instant::now();
    let signer = options
        .eth2(folders.keystores_option())
        .eth2(folders.passwords_option())
        .root("--audit-api-enabled=true")
        .root("--metrics-enabled")
        .start()
        .await?;
    println!(
        "  signer    http://{} with SQLite in {}, ready in {:.1} s\n",
        signer.client.address(),
        signer.options.data_folder().display(),
        started.elapsed().as_secs_f64()
    );

    let rows = send_requests(&signer).await?;
    let audit = read_audit(&signer, rows.len()).await?;
    print_requests(&rows, &audit)?;
    print_audit(&audit);

    if once {
        let (code, _) = signer.stop().await?;
        ensure!(code == Some(0), "the signer ended with {code:?}");
        println!("\nThe signer has stopped in order. All is well.");
    } else {
        keep_serving(signer).await?;
    }
    Ok(())
}

/// One request and its answer.
struct Row {
    what: String,
    key: u64,
    status: StatusCode,
    signature: Option<String>,
    message: String,
    took: Duration,
}

async fn send_requests(signer: &Signer) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let key = 0;
    for body in requests::one_of_every_type(&key_files::public_key(key)) {
        let what = body["type"].as_str().context("a type")?.to_owned();
        rows.push(send(signer, what, key, &body).await?);
    }
    let vote = requests::attestation(requests::EPOCH - 1, requests::EPOCH, 0x53);
    let conflict = requests::attestation(requests::EPOCH - 1, requests::EPOCH, 0x54);
    rows.push(send(signer, "ATTESTATION again, identical".to_owned(), key, &vote).await?);
    rows.push(send(signer, "ATTESTATION, conflicting".to_owned(), key, &conflict).await?);
    Ok(rows)
}

async fn send(signer: &Signer, what: String, key: u64, body: &Value) -> Result<Row> {
    let started = Instant::now();
    let answer = signer.client.sign(&key_files::public_key(key), body).await?;
    let took = started.elapsed();
    let (signature, message) = if answer.status == StatusCode::OK {
        (Some(answer.signature()), String::new())
    } else {
        let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
        (None, message)
    };
    Ok(Row { what, key, status: answer.status, signature, message, took })
}

/// The audit rows of all requests, in the order of the requests.
async fn read_audit(signer: &Signer, rows: usize) -> Result<Vec<Value>> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = signer.client.get("/midslot/v1/audit?limit=100").await?;
        ensure!(answer.status == StatusCode::OK, "the audit answered {}", answer.text());
        let mut entries = answer.json()["entries"].as_array().cloned().unwrap_or_default();
        if entries.len() == rows && entries.iter().all(is_complete) {
            entries.reverse();
            return Ok(entries);
        }
        ensure!(Instant::now() < deadline, "{} audit rows of {rows} were written", entries.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rows of slashable duties are written before the answer and completed after it.
fn is_complete(entry: &Value) -> bool {
    entry["outcome"] != "signed" || !entry["bls_us"].is_null()
}

fn print_requests(rows: &[Row], audit: &[Value]) -> Result<()> {
    println!("{:<38} {:>6}  {:<22} {:>9}", "REQUEST", "STATUS", "SIGNATURE", "CLIENT ms");
    for (row, entry) in rows.iter().zip(audit) {
        let verdict = match &row.signature {
            None => "withheld".to_owned(),
            Some(signature) => {
                let root = entry["signing_root"].as_str().context("a signing root")?;
                let root = const_hex::decode(root)?;
                let public_key = key_files::public_key(row.key);
                ensure!(
                    key_files::verifies(&public_key, &root, signature),
                    "the signature of {} does not verify",
                    row.what
                );
                format!("{} verified", &signature[..10])
            }
        };
        println!(
            "{:<38} {:>6}  {verdict:<22} {:>9.2}",
            row.what,
            row.status.as_u16(),
            row.took.as_secs_f64() * 1000.0
        );
        if !row.message.is_empty() {
            println!("    {}", row.message);
        }
    }
    let expected = |row: &Row| {
        if row.what.ends_with("conflicting") {
            StatusCode::PRECONDITION_FAILED
        } else {
            StatusCode::OK
        }
    };
    for row in rows {
        ensure!(
            row.status == expected(row),
            "{} answered {}: {}",
            row.what,
            row.status,
            row.message
        );
    }
    Ok(())
}

fn print_audit(audit: &[Value]) {
    println!("\nAUDIT (in SQLite, microseconds in queue, database and BLS)");
    println!(
        "{:<15} {:<38} {:>9} {:<9} {:>7} {:>7} {:>7}",
        "TIME", "TYPE", "SLOT/EPOCH", "OUTCOME", "QUEUE", "DB", "BLS"
    );
    for entry in audit {
        let text = |name: &str| match &entry[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let time = text("time");
        let position = if entry["slot"].is_null() { text("epoch") } else { text("slot") };
        println!(
            "{:<15} {:<38} {position:>9} {:<9} {:>7} {:>7} {:>7}",
            time.split('T').nth(1).unwrap_or_default().trim_end_matches('Z'),
            text("type"),
            text("outcome"),
            text("queue_us"),
            text("database_us"),
            text("bls_us"),
        );
    }
}

async fn keep_serving(signer: Signer) -> Result<()> {
    let address = signer.client.address();
    println!("\nThe signer keeps serving until Ctrl-C. Try it:");
    println!("  curl http://{address}/api/v1/eth2/publicKeys");
    println!("  curl http://{address}/healthcheck");
    println!("  curl 'http://{address}/midslot/v1/audit?outcome=refused'");
    if let Some(metrics) = signer.metrics {
        println!("  curl http://{metrics}/metrics");
    }
    tokio::signal::ctrl_c().await?;
    // Ctrl-C reaches the signer, too: it may have stopped by itself.
    drop(signer.stop().await);
    println!("\nstopped");
    Ok(())
}
