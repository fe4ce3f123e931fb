//! SIGTERM, SIGINT, and what a client sees of them.

use std::time::{Duration, Instant};

use midslot_tests::{
    RawConnection, Signer, SignerOptions,
    key_files::{self, Cost, KeystoreFolders},
    raw_http::sign_request,
    requests,
};
use rustix::process::{Pid, Signal, kill_process};

async fn signer() -> Signer {
    SignerOptions::with_interop_keys(1).start().await.unwrap()
}

async fn connect(signer: &Signer) -> RawConnection {
    RawConnection::open(signer.client.address()).await.unwrap()
}

fn request() -> Vec<u8> {
    sign_request(&key_files::public_key(0), &requests::attestation(5, 6, 1))
}

/// Waits until the signer takes no more connections.
async fn refuses_connections(signer: &Signer) {
    let patience = Instant::now() + Duration::from_secs(10);
    while RawConnection::open(signer.client.address()).await.is_ok() {
        assert!(Instant::now() < patience, "the port stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn requests_in_flight_and_on_their_way_are_answered_and_the_exit_is_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let signer = signer().await;
        let request = request();
        let (start, end) = request.split_at(request.len() - 3);
        let mut in_flight = connect(&signer).await;
        in_flight.send(start).await.unwrap();
        let mut kept_alive = connect(&signer).await;
        kept_alive.send("GET /upcheck HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        kept_alive.answer().await.unwrap();
        let mut new = connect(&signer).await;

        signer.signal(signal).unwrap();
        for connection in [&mut kept_alive, &mut new] {
            connection.send(&request).await.unwrap();
            let (head, _) = connection.answer().await.unwrap();
            assert!(head.starts_with("http/1.1 200 "), "{head}");
        }
        refuses_connections(&signer).await;
        in_flight.send(end).await.unwrap();
        let (head, _) = in_flight.answer().await.unwrap();
        assert!(head.starts_with("http/1.1 200 "), "{head}");
        assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
        let (code, options) = signer.ended().await.unwrap();
        assert_eq!(code, Some(0), "{}", options.log());
    }
}

#[tokio::test]
async fn stalled_and_idle_clients_do_not_hold_up_the_stop() {
    let signer = signer().await;
    let mut half_a_head = connect(&signer).await;
    half_a_head.send("GET /upche").await.unwrap();
    let mut deaf = connect(&signer).await;
    deaf.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let _silent = connect(&signer).await;
    signer.client.get("/upcheck").await.unwrap();
    let began = Instant::now();
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_second_signal_cuts_what_still_runs() {
    let signer =
        SignerOptions::with_interop_keys(1).root("--audit-api-enabled=true").start().await.unwrap();
    let request = request();
    let mut never_ends = connect(&signer).await;
    never_ends.send(&request[..request.len() - 3]).await.unwrap();
    signer.client.sign(&key_files::public_key(0), &requests::block(9, 1)).await.unwrap();
    let began = Instant::now();
    signer.signal(Signal::TERM).unwrap();
    refuses_connections(&signer).await;
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(options.log().contains("told to stop again"), "{}", options.log());
    // The database was closed in order.
    let signer = options.start().await.unwrap();
    let audit = signer.client.get("/midslot/v1/audit").await.unwrap().json();
    assert_eq!(audit["entries"][0]["outcome"], "signed", "{audit}");
}

#[tokio::test]
async fn while_keys_load_the_port_is_closed_and_a_signal_ends_the_start() {
    let options = SignerOptions::empty();
    let folders = KeystoreFolders::in_folder(options.folder.path());
    write_slow_keystores(&folders);
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    drop(holder);
    let mut starting = options
        .spawn_alone(&[
            format!("--http-listen-port={}", address.port()),
            format!("--data-path={}", options.data_folder().display()),
            format!("--key-config-path={}", options.key_folder().display()),
            "eth2".to_owned(),
            folders.keystores_option(),
            folders.passwords_option(),
        ])
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while !options.log().contains("signing roots are computed") {
        assert!(Instant::now() < patience, "{}", options.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(RawConnection::open(address).await.is_err(), "the port is open before the keys");
    let process = Pid::from_raw(starting.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(process, Signal::TERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), starting.wait()).await;
    let status = ended.expect("the start goes on after SIGTERM").unwrap();
    assert_eq!(status.code(), Some(0), "{}", options.log());
    assert!(!options.log().contains("has started"), "{}", options.log());
}

#[tokio::test]
async fn a_running_reload_does_not_hold_up_the_stop() {
    let options = SignerOptions::with_interop_keys(1);
    let folders = KeystoreFolders::in_folder(options.folder.path());
    let options = options.eth2(folders.keystores_option()).eth2(folders.passwords_option());
    let signer = options.start().await.unwrap();
    write_slow_keystores(&folders);
    signer.signal(Signal::HUP).unwrap();
    while signer.client.get("/reload").await.unwrap().json()["status"] != "running" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    let (code, options) = signer.stop().await.unwrap();
    assert_eq!(code, Some(0), "{}", options.log());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

/// Writes keystores that take a minute to decrypt.
fn write_slow_keystores(folders: &KeystoreFolders) {
    folders.write(0, Cost::Standard);
    for copy in 1..200 {
        for (folder, end) in [(&folders.keystores, "json"), (&folders.passwords, "txt")] {
            let (from, to) = (format!("keystore-0.{end}"), format!("copy-{copy}.{end}"));
            std::fs::copy(folder.join(from), folder.join(to)).unwrap();
        }
    }
}
