//! Clients that ask for much and do not read the answer.

use std::time::Duration;

use http::StatusCode;
use midslot_tests::{Signer, SignerOptions, key_files, requests};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// How long a test waits for an answer before it calls the signer stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// Slots of the request, and keys of each: the answer is larger than what the kernel keeps for a client
/// that does not read.
const SLOTS: u64 = 30;
const KEYS: u64 = 600;

/// Asks for a stream of proofs and reads the first bytes of it, no more. The keys are unknown, which
/// is answered soon.
async fn stalled_reader(signer: &Signer) -> TcpStream {
    let identifiers: Vec<_> = (0..KEYS).map(|number| format!("0x{number:096x}")).collect();
    let slot = requests::current_slot() + 30;
    let slots: Vec<_> = (slot..slot + SLOTS)
        .map(|slot| json!({ "slot": slot.to_string(), "identifiers": identifiers }))
        .collect();
    let body = json!({ "fork_info": requests::fulu_fork_info(), "wait": true, "slots": slots });
    let body = body.to_string();
    let head = format!(
        "POST /midslot/v1/selection-proofs HTTP/1.1\r\nhost: localhost\r\n\
         accept: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(signer.client.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut status = [0; 15];
    timeout(PATIENCE, stream.read_exact(&mut status)).await.expect("an answer").unwrap();
    assert_eq!(status, *b"HTTP/1.1 200 OK");
    stream
}

/// Sends an ordinary request for a proof of the only key. Fails when there is no answer.
async fn assert_proof(signer: &Signer) {
    let request = requests::aggregation_slot(requests::current_slot() + 1);
    let answer = signer.client.sign(&key_files::public_key(0), &request).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn a_connection_that_is_not_read_counts_as_idle() {
    let options = SignerOptions::with_interop_keys(1).root("--http-max-connections=1");
    let signer = options.start().await.unwrap();
    let stalled = stalled_reader(&signer).await;
    // Another client has no place until the first connection is closed, as idle ones are.
    assert_proof(&signer).await;
    drop(stalled);
}
