//! Requests as they are sent, and answers as they are understood.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::fake::{Fake, Reply, attestation, keys, signature_text, soon};
use crate::{
    client::{
        BearerToken, Deadline, Endpoint, HttpOptions, HttpSigner, KeyChange, KeyWatch,
        RemoteSigner, SetupError, SignError,
    },
    wire::{PublicKey, Signature},
};

#[tokio::test]
async fn a_request_has_its_path_headers_and_body() {
    let fake = Fake::start(|_| Reply::signature(9)).await;
    let endpoint = Endpoint::new(&format!("http://{}/behind/a/proxy/", fake.address))
        .unwrap()
        .with_token(BearerToken::new("s3cret\n").unwrap());
    let client = HttpSigner::new(vec![endpoint], HttpOptions::default()).unwrap();
    let key = keys(1)[0];
    let signature = client.sign(&key, &attestation(), soon()).await.unwrap();
    assert_eq!(signature, Signature([9; 96]));
    let asked = &fake.asked()[0];
    assert_eq!(asked.path, format!("/behind/a/proxy/api/v1/eth2/sign/{key}"));
    assert_eq!(asked.method, http::Method::POST);
    assert_eq!(asked.headers["authorization"], "Bearer s3cret");
    assert_eq!(asked.headers["content-type"], "application/json");
    assert!(asked.headers["accept"].to_str().unwrap().starts_with("application/json"));
    let left: u64 = asked.headers["x-signing-deadline-ms"].to_str().unwrap().parse().unwrap();
    assert!((15_000..=20_000).contains(&left), "{left}");
    assert_eq!(asked.json(), serde_json::to_value(attestation()).unwrap());
    let shown =
        format!("{client:?} {:?}", fake.endpoint().with_token(BearerToken::new("s3cret").unwrap()));
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[tokio::test]
async fn both_forms_of_a_signature_are_read() {
    for body in [
        format!(r#"{{"signature":"{}"}}"#, signature_text(5)),
        signature_text(5),
        format!("{}\n", signature_text(5).to_uppercase().replace("0X", "0x")),
    ] {
        let fake = Fake::start(move |_| Reply::new(200, body.clone())).await;
        let client = fake.client(HttpOptions::default());
        let signature = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
        assert_eq!(signature, Signature([5; 96]));
    }
}

#[tokio::test]
async fn what_is_no_signature_is_malformed_and_not_asked_for_again() {
    for body in ["", "0x1234", "{}", r#"{"signature":"0x12"}"#, "<html>", r#"{"signature":null}"#] {
        let fake = Fake::start(move |_| Reply::new(200, body)).await;
        let client = fake.client(HttpOptions::default());
        let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
        assert!(matches!(error, SignError::Malformed(_)), "{body}: {error}");
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_says_why() {
    for (status, body, expected) in [
        (
            400,
            r#"{"code":400,"message":"no target"}"#,
            "the signer rejects the request (status 400): no target",
        ),
        (403, "not you", "the signer does not serve this client (status 403): not you"),
        (404, "Resource not found", "the signer does not hold the key"),
        (
            412,
            r#"{"code":412,"message":"double vote"}"#,
            "refused by slashing protection: double vote",
        ),
    ] {
        let fake = Fake::start(move |_| Reply::new(status, body)).await;
        let client = fake.client(HttpOptions::default());
        let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(fake.asked().len(), 1, "{status} was sent again");
    }
}

#[tokio::test]
async fn a_failure_is_retried_with_the_same_bytes() {
    let fake = Fake::start({
        let failures = std::sync::atomic::AtomicUsize::new(0);
        move |_| match failures.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            0 => Reply::new(500, "the database does not answer"),
            1 => Reply::new(503, "busy").with("retry-after", "0"),
            _ => Reply::signature(2),
        }
    })
    .await;
    let client = fake.client(HttpOptions::default());
    client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    let asked = fake.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|one| one.body == asked[0].body && one.path == asked[0].path));
}

#[tokio::test]
async fn retries_end() {
    let fake = Fake::start(|_| Reply::new(500, "broken")).await;
    let client = fake.client(HttpOptions { max_retries: 3, ..HttpOptions::default() });
    let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
    assert!(matches!(error, SignError::Failed { status: 500, message } if message == "broken"));
    assert_eq!(fake.asked().len(), 4);
}

#[tokio::test]
async fn an_overload_that_outlasts_the_deadline_is_reported_at_once() {
    let fake = Fake::start(|_| Reply::new(500, "full").with("retry-after", "60")).await;
    let client = fake.client(HttpOptions::default());
    let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
    let minute = Some(Duration::from_mins(1));
    assert!(matches!(error, SignError::Overloaded { retry_after, .. } if retry_after == minute));
    assert_eq!(fake.asked().len(), 1);
}

#[tokio::test]
async fn the_deadline_ends_the_waiting() {
    let fake = Fake::start(|_| Reply::signature(1).after(Duration::from_mins(1))).await;
    let client = fake.client(HttpOptions::default());
    let deadline = Deadline::within(Duration::from_millis(100));
    let error = client.sign(&keys(1)[0], &attestation(), deadline).await.unwrap_err();
    assert!(matches!(error, SignError::DeadlinePassed));
    let before = fake.asked().len();
    let error = client.sign(&keys(1)[0], &attestation(), deadline).await.unwrap_err();
    assert!(matches!(error, SignError::DeadlinePassed));
    assert_eq!(fake.asked().len(), before, "nothing is sent after the deadline");
}

#[tokio::test]
async fn connections_are_reused_and_closed_when_they_rest_too_long() {
    let fake = Fake::start(|_| Reply::signature(1)).await;
    let options =
        HttpOptions { idle_timeout: Duration::from_millis(300), ..HttpOptions::default() };
    let client = fake.client(options);
    for _ in 0..5 {
        client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    }
    assert_eq!(fake.connections(), 1);
    tokio::time::sleep(Duration::from_millis(700)).await;
    client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn warm_connections_are_there_before_they_are_needed() {
    let fake = Fake::start(|_| Reply::new(200, "OK").after(Duration::from_millis(50))).await;
    let client = fake.client(HttpOptions::default());
    client.warm_up(4, soon()).await;
    assert_eq!(fake.connections(), 4);
    client.up(soon()).await.unwrap();
    assert_eq!(fake.connections(), 4);
}

/// Closes every connection when the second request on it has come, without an answer, as a server
/// does whose idle time is over at that moment.
#[tokio::test]
async fn a_stale_connection_costs_one_more_connection_and_no_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        for connection in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 65536];
            assert!(stream.read(&mut bytes).await.unwrap() > 0);
            let body = signature_text(connection);
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            assert!(stream.read(&mut bytes).await.unwrap() > 0);
        }
    });
    let endpoint = Endpoint::new(&format!("http://{address}")).unwrap();
    let options = HttpOptions { max_retries: 0, ..HttpOptions::default() };
    let client = HttpSigner::new(vec![endpoint], options).unwrap();
    for byte in 0..4 {
        let signature = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
        assert_eq!(signature, Signature([byte; 96]));
    }
    server.abort();
}

#[tokio::test]
async fn keys_are_listed_and_watched_as_differences() {
    let [a, b, c] = keys(3)[..] else { panic!("three keys") };
    let answers: [Option<Vec<PublicKey>>; 6] =
        [Some(vec![b, a]), Some(vec![a, b]), None, Some(vec![a]), Some(vec![a]), Some(vec![c, a])];
    let fake = Fake::start({
        let count = std::sync::atomic::AtomicUsize::new(0);
        move |asked| {
            assert_eq!(asked.path, "/api/v1/eth2/publicKeys");
            let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            match &answers[number.min(5)] {
                Some(keys) => Reply::new(200, serde_json::to_string(keys).unwrap()),
                None => Reply::new(400, "not now"),
            }
        }
    })
    .await;
    let client = Arc::new(fake.client(HttpOptions::default()));
    let mut watch = KeyWatch::new(client, Duration::from_millis(20));
    assert_eq!(watch.next().await.unwrap(), KeyChange { added: vec![a, b], removed: vec![] });
    watch.next().await.unwrap_err();
    assert_eq!(watch.keys().len(), 2, "a failure removes nothing");
    assert_eq!(watch.next().await.unwrap(), KeyChange { added: vec![], removed: vec![b] });
    let mut changes = std::pin::pin!(watch.into_stream());
    let change = futures_util::StreamExt::next(&mut changes).await.unwrap().unwrap();
    assert_eq!(change, KeyChange { added: vec![c], removed: vec![] });
    assert_eq!(fake.asked().len(), 6);
}

#[test]
fn addresses_must_be_plain() {
    for (url, reason) in [
        ("localhost:9000", "must begin with http:// or https://"),
        ("ftp://signer", "must begin with http:// or https://"),
        ("http://", "is no URL"),
        ("http://me:pw@signer:9000", "must not carry a user name"),
        ("http://signer/?a=b", "must end with the path"),
    ] {
        let error = Endpoint::new(url).unwrap_err().to_string();
        assert!(error.contains(reason), "{url}: {error}");
        assert!(!error.contains("pw"), "{error}");
    }
    for token in ["", "  ", "two words", "ümlaut", "line\nend"] {
        assert!(matches!(BearerToken::new(token), Err(SetupError::Token)), "{token}");
    }
    assert!(matches!(HttpSigner::new(vec![], HttpOptions::default()), Err(SetupError::NoEndpoint)));
}

#[tokio::test]
async fn no_hurry_at_all_is_a_deadline_too() {
    let fake = Fake::start(|_| Reply::signature(1)).await;
    let client = fake.client(HttpOptions::default());
    let no_hurry = Deadline::within(Duration::MAX);
    client.sign(&keys(1)[0], &attestation(), no_hurry).await.unwrap();
    let header = &fake.asked()[0].headers["x-signing-deadline-ms"];
    // The signer reads 64 bits.
    assert!(header.to_str().unwrap().parse::<u64>().is_ok(), "{header:?}");
    client.warm_up(1, no_hurry).await;

    let client = Arc::new(fake.client(HttpOptions::default()));
    let mut watch = KeyWatch::new(client, Duration::MAX);
    assert!(watch.next().await.is_err(), "a signature is no list of keys");
}

#[tokio::test]
async fn an_endpoint_may_rest_for_ever() {
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = Endpoint::new(&format!("http://{dead}")).unwrap();
    let options =
        HttpOptions { rest_after_failure: Duration::MAX, max_retries: 1, ..HttpOptions::default() };
    let client = HttpSigner::new(vec![endpoint], options).unwrap();
    let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
    assert!(matches!(error, SignError::Transport(_)), "{error}");
}

/// A signer that is overloaded and says "again at once" must not be asked without a pause, nor may
/// the pause, doubled each time, grow beyond what a duration holds.
#[tokio::test]
async fn retry_after_zero_is_a_pause_all_the_same() {
    let fake = Fake::start(|_| Reply::new(503, "busy").with("retry-after", "0")).await;
    let options = HttpOptions { max_retries: 1_000, ..HttpOptions::default() };
    let client = fake.client(options);
    let deadline = Deadline::within(Duration::from_secs(1));
    let error = client.sign(&keys(1)[0], &attestation(), deadline).await.unwrap_err();
    assert!(matches!(error, SignError::Overloaded { .. } | SignError::DeadlinePassed), "{error}");
    // Pauses of at least 25, 50, 100, 200 and 400 ms, and then there is no time for another one.
    assert!(fake.asked().len() <= 6, "{}", fake.asked().len());
}
