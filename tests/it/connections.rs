//! What happens on connections, below the requests: methods, framing, clients that stall, go away
//! or come in thousands.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{
    HttpClient, RawConnection, Signer, SignerOptions, key_files, raw_http::sign_request, requests,
};
use serde_json::Value;
use tokio::task::JoinSet;

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1).start().await.unwrap()
}

async fn connect(signer: &Signer) -> RawConnection {
    RawConnection::open(signer.client.address()).await.unwrap()
}

/// The value of one sample on the metrics page.
async fn metric(signer: &Signer, sample: &str) -> f64 {
    let metrics = HttpClient::new(signer.metrics.expect("a metrics port"));
    let page = metrics.get("/metrics").await.unwrap();
    let line = page.text().lines().find_map(|line| line.strip_prefix(sample)).expect(sample);
    line.trim().parse().unwrap()
}

/// Waits until the audit has `count` rows of this outcome.
async fn audit_rows(signer: &Signer, outcome: &str, count: usize) -> Vec<Value> {
    let path = format!("/midslot/v1/audit?limit=1000&outcome={outcome}");
    for _ in 0..500 {
        let page = signer.client.get(&path).await.unwrap().json();
        let rows = page["entries"].as_array().unwrap();
        if rows.len() >= count {
            return rows.clone();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("fewer than {count} rows say {outcome}");
}

#[tokio::test]
async fn a_wrong_method_is_an_empty_405_that_names_the_right_ones() {
    let signer = signer().await;
    for (path, method, allowed) in [
        ("/upcheck", Method::POST, "GET"),
        ("/healthcheck", Method::PUT, "GET"),
        ("/reload", Method::DELETE, "POST"),
        ("/api/v1/eth2/publicKeys", Method::OPTIONS, "GET"),
        ("/api/v1/eth2/highWatermark", Method::POST, "GET"),
        ("/api/v1/eth2/sign/0x12", Method::GET, "POST"),
    ] {
        let answer = signer.client.send(method, path, &[], Bytes::new()).await.unwrap();
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.text(), "", "{path}");
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(allow.split(',').any(|method| method == allowed), "{path}: {allow}");
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_its_body() {
    let signer = signer().await;
    let mut connection = connect(&signer).await;
    connection.send("HEAD /upcheck HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let head = b"HTTP/1.1 200 OK\r\n";
    connection.send("GET /no HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let bytes = connection.closed().await.unwrap();
    assert!(bytes.starts_with(head), "{bytes:?}");
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("content-length: 2\r\n") && text.contains("\r\n\r\nHTTP/1.1 403"));
}

#[tokio::test]
async fn percent_encoded_identifiers_are_decoded() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let request = requests::randao_reveal(requests::EPOCH);
    let encoded = key.replacen("0x", "%30%78", 1);
    signer.client.sign(&encoded, &request).await.unwrap().signature();
    for unknown in [format!("%2F{key}"), "%ff%fe".to_owned(), "%zz".to_owned()] {
        let answer = signer.client.sign(&unknown, &request).await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}");
    }
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_unless_its_body_is_too_large() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let body = requests::randao_reveal(requests::EPOCH).to_string();
    let head = |length: usize| {
        format!(
            "POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nhost: localhost\r\n\
             expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut patient = connect(&signer).await;
    patient.send(head(body.len())).await.unwrap();
    assert!(patient.answer().await.unwrap().0.starts_with("http/1.1 100 "));
    patient.send(&body).await.unwrap();
    assert!(patient.answer().await.unwrap().0.starts_with("http/1.1 200 "));

    let mut large = connect(&signer).await;
    large.send(head(1 << 30)).await.unwrap();
    assert!(large.answer().await.unwrap().0.starts_with("http/1.1 413 "));
}

#[tokio::test]
async fn chunked_bodies_are_read_and_pipelined_requests_answered_in_order() {
    let signer = signer().await;
    let key = key_files::public_key(0);
    let body = requests::randao_reveal(requests::EPOCH).to_string();
    let expected = signer.client.sign_raw(&key, body.clone()).await.unwrap().signature();
    let mut connection = connect(&signer).await;
    let (one, other) = body.split_at(17);
    let mut bytes = format!(
        "POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nhost: localhost\r\n\
         transfer-encoding: chunked\r\n\r\n\
         11\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n",
        other.len()
    )
    .into_bytes();
    for slot in 0..10 {
        bytes.extend(sign_request(&key, &requests::aggregation_slot(slot)));
    }
    connection.send(bytes).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().1, expected);
    for slot in 0..10 {
        let alone = signer.client.sign(&key, &requests::aggregation_slot(slot)).await.unwrap();
        assert_eq!(connection.answer().await.unwrap().1, alone.text(), "slot {slot}");
    }
}

#[tokio::test]
async fn a_request_that_names_two_hosts_is_refused() {
    let signer = signer().await;
    let mut connection = connect(&signer).await;
    connection
        .send("GET /upcheck HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    assert!(connection.answer().await.unwrap().0.starts_with("http/1.1 403 "));
}

#[tokio::test]
async fn overlong_heads_are_refused() {
    let signer = signer().await;
    let padded = |bytes: usize| {
        format!("GET /upcheck HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(bytes))
    };
    let mut connection = connect(&signer).await;
    connection.send(padded(30 << 10)).await.unwrap();
    assert!(connection.answer().await.unwrap().0.starts_with("http/1.1 200 "));
    connection.send(padded(200 << 10)).await.unwrap();
    assert!(connection.answer().await.unwrap().0.starts_with("http/1.1 431 "));
}

#[tokio::test]
async fn bodies_that_are_not_read_leave_their_audit_row_and_count_as_malformed() {
    let signer = SignerOptions::with_interop_keys(1)
        .root("--audit-api-enabled=true")
        .root("--metrics-enabled")
        .start()
        .await
        .unwrap();
    let key = key_files::public_key(0);
    let head = format!("POST /api/v1/eth2/sign/{key} HTTP/1.1\r\nhost: localhost\r\n");
    for (count, rest, status) in [
        (1, "content-length: 99999999\r\n\r\n", "413"),
        (2, "transfer-encoding: chunked\r\n\r\nnonsense\r\n", "400"),
        (3, "x-signing-deadline-ms: soon\r\ncontent-length: 2\r\n\r\n{}", "400"),
    ] {
        let mut connection = connect(&signer).await;
        connection.send(format!("{head}{rest}")).await.unwrap();
        let (answer, message) = connection.answer().await.unwrap();
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{rest}: {answer}");
        let newest = &audit_rows(&signer, "malformed", count).await[0];
        assert_eq!((&newest["reason"], &newest["key"]), (&message.into(), &key.clone().into()));
    }
    let counted = metric(&signer, "http_bls_malformed_request_count_total ").await;
    assert!((counted - 3.0).abs() < f64::EPSILON, "{counted}");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_an_abandoned_row_and_count() {
    let signer = SignerOptions::with_interop_keys(1)
        .root("--audit-api-enabled=true")
        .root("--metrics-enabled")
        .start()
        .await
        .unwrap();
    let request = sign_request(&key_files::public_key(0), &requests::aggregation_slot(1));
    let sample = r#"midslot_requests_total{type="AGGREGATION_SLOT",outcome="abandoned"} "#;
    let mut tries = 0;
    // A signature is made in less than a millisecond, which now and then is before the end is seen.
    while metric(&signer, sample).await < 1.0 {
        let mut connection = connect(&signer).await;
        connection.send(&request).await.unwrap();
        drop(connection);
        tries += 1;
        assert!(tries < 200, "no request was abandoned");
    }
    let row = &audit_rows(&signer, "abandoned", 1).await[0];
    assert_eq!(row["type"], "AGGREGATION_SLOT");
    assert_eq!(row["key"], key_files::public_key(0));
}

#[tokio::test]
async fn a_full_queue_is_500_with_retry_after_and_leaves_shed_rows() {
    let signer = SignerOptions::with_interop_keys(1)
        .root("--audit-api-enabled=true")
        .root("--metrics-enabled")
        .root("--signing-threads=1")
        .root("--queue-bound-selection-proof=1")
        .start()
        .await
        .unwrap();
    let mut connections = Vec::new();
    for _ in 0..64 {
        connections.push(connect(&signer).await);
    }
    for (slot, connection) in (0..).zip(&mut connections) {
        let request = requests::aggregation_slot(slot);
        connection.send(sign_request(&key_files::public_key(0), &request)).await.unwrap();
    }
    let mut shed = 0;
    for connection in &mut connections {
        let (head, body) = connection.answer().await.unwrap();
        if head.starts_with("http/1.1 500 ") {
            assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
            assert!(body.contains("selection_proof"), "{body}");
            shed += 1;
        } else {
            assert!(head.starts_with("http/1.1 200 "), "{head}{body}");
        }
    }
    assert!((1..64).contains(&shed), "{shed} of 64");
    assert_eq!(audit_rows(&signer, "shed", shed).await.len(), shed);
    let sample = r#"midslot_requests_total{type="AGGREGATION_SLOT",outcome="shed"} "#;
    assert!((metric(&signer, sample).await - f64::from(u32::try_from(shed).unwrap())).abs() < 0.5);
}

#[tokio::test]
async fn idle_connections_are_closed_and_a_running_request_never_is() {
    let signer = SignerOptions::with_interop_keys(1)
        .root("--idle-connection-timeout-seconds=1")
        .start()
        .await
        .unwrap();
    let request = sign_request(&key_files::public_key(0), &requests::aggregation_slot(1));
    let (start, end) = request.split_at(request.len() - 3);

    let mut slow = connect(&signer).await;
    slow.send(start).await.unwrap();
    let mut used = connect(&signer).await;
    used.send(&request).await.unwrap();
    used.answer().await.unwrap();
    let silent = connect(&signer).await;
    let mut half_a_head = connect(&signer).await;
    half_a_head.send("GET /upche").await.unwrap();
    // An HTTP/2 client that never acknowledges that the connection ends.
    let mut deaf = connect(&signer).await;
    deaf.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    for connection in [used, silent, half_a_head, deaf] {
        connection.closed().await.unwrap();
    }
    slow.send(end).await.unwrap();
    assert!(slow.answer().await.unwrap().0.starts_with("http/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_of_one_http2_connection_are_all_signed() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let signer = signer().await;
    let stream = tokio::net::TcpStream::connect(signer.client.address()).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut streams = JoinSet::new();
    for slot in 0..1_000 {
        let mut sender = sender.clone();
        let body = requests::aggregation_slot(slot).to_string();
        let path = format!("http://localhost/api/v1/eth2/sign/{}", key_files::public_key(0));
        let request = http::Request::post(path).body(Full::new(Bytes::from(body))).unwrap();
        streams.spawn(async move {
            let response = sender.send_request(request).await.unwrap();
            let status = response.status();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(status, StatusCode::OK, "{body:?}");
        });
    }
    while let Some(ended) = streams.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_thousand_idle_connections_disturb_nobody() {
    let signer = signer().await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let mut connection = connect(&signer).await;
        connection.send("GET /upcheck HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        idle.push(connection);
    }
    for connection in &mut idle {
        assert_eq!(connection.answer().await.unwrap().1, "OK");
    }
    let request = sign_request(&key_files::public_key(0), &requests::aggregation_slot(1));
    for connection in &mut idle {
        connection.send(&request).await.unwrap();
    }
    for connection in &mut idle {
        assert!(connection.answer().await.unwrap().0.starts_with("http/1.1 200 "));
    }
}
