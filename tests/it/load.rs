//! The load generator against the real signer.

use std::{path::PathBuf, time::Duration};

use midslot_tests::{Signer, SignerOptions, key_files};
use signer_client::load::{
    Kind, LoadChain, LoadError, Plan, Profile, Progress, Report, WarmUp, make_keystores, play,
};

/// Validators of the network: so few that everybody aggregates.
const NETWORK_VALIDATORS: u32 = 60_000;
/// Validators: few, because the tests beside this one want the cores, too.
const VALIDATORS: u32 = 40;
/// Long enough for a busy machine to do a slot's work in.
const SLOT_MS: u64 = 4_000;

fn folder_of(options: &SignerOptions) -> PathBuf {
    options.folder.path().join("interop")
}

/// A signer with keystores that the generator has made, on the chain that it has made.
async fn signer(validators: u32) -> (Signer, LoadChain) {
    let options = SignerOptions::empty();
    let made = make_keystores(&folder_of(&options), validators.into(), SLOT_MS, |_| ()).unwrap();
    let options = options
        .eth2(format!("--network={}", made.network.display()))
        .eth2(format!("--keystores-path={}", made.keystores.display()))
        .eth2(format!("--keystores-passwords-path={}", made.passwords.display()));
    let signer = options.start().await.unwrap();
    (signer, LoadChain::from_network_file(&made.network).unwrap())
}

fn plan(signer: &Signer, chain: LoadChain, profile: Profile) -> Plan {
    Plan {
        url: format!("http://{}", signer.client.address()),
        profile,
        chain,
        validators: VALIDATORS,
        network_validators: NETWORK_VALIDATORS,
        seed: 1,
        warm_up: WarmUp::Slots(0),
        slots: 2,
        verify: true,
    }
}

async fn run(plan: &Plan) -> Report {
    play(plan, |_: Progress| (), std::future::pending()).await.unwrap()
}

fn sent(report: &Report, kind: Kind) -> u64 {
    report.total(kind).map_or(0, |row| row.sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_every_signature() {
    let (signer, chain) = signer(VALIDATORS).await;
    // Side by side: all sign the same objects, so that the signer repeats its signatures.
    let mut runs = tokio::task::JoinSet::new();
    for profile in Profile::ALL {
        let plan = plan(&signer, chain, profile);
        runs.spawn(async move { run(&plan).await });
    }
    for report in runs.join_all().await {
        if report.profile == "lighthouse" {
            assert_eq!(report.failed(), 0, "{report}");
        }
        // Some clients are impatient, and the machine may be busy.
        let errors = report.totals.iter().flat_map(|row| row.errors.keys());
        assert!(errors.into_iter().all(|error| error == "timeout"), "{report}");
        assert_eq!(sent(&report, Kind::Block), 2, "{report}");
        assert_eq!(sent(&report, Kind::RandaoReveal), 2, "{report}");
        assert!(sent(&report, Kind::Attestation) >= 2, "{report}");
        assert!(sent(&report, Kind::SyncMessage) >= 2, "{report}");
        assert!(sent(&report, Kind::Aggregate) >= 1, "{report}");
        let sent_in_all: u64 = report.totals.iter().map(|row| row.sent).sum();
        let others = sent(&report, Kind::Probe) + sent(&report, Kind::PreRequest);
        assert!(report.verified.unwrap() >= sent_in_all - others - report.failed(), "{report}");
        let is_ours = report.profile == "midslot";
        assert_eq!(sent(&report, Kind::PreRequest) > 0, is_ours, "{report}");
    }
}

#[tokio::test]
async fn a_signer_with_another_key_is_refused_before_anything_is_signed() {
    let signer = SignerOptions::with_interop_keys(3).start().await.unwrap();
    let folder = signer.options.key_folder();
    let stranger = "type: file-raw\nkeyType: BLS\nprivateKey: \"0x0707070707070707070707070707070707070707070707070707070707070707\"\n";
    std::fs::write(folder.join("stranger.yaml"), stranger).unwrap();
    let options = signer.stop().await.unwrap().1.root("--audit-api-enabled=true");
    let signer = options.start().await.unwrap();
    let plan =
        Plan { validators: 3, ..plan(&signer, LoadChain::of_seed(1, SLOT_MS), Profile::Teku) };
    let error = play(&plan, |_| (), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, LoadError::Keys(_)), "{error}");
    assert!(error.to_string().contains("1 of 4 keys"), "{error}");
    let audit = signer.client.get("/midslot/v1/audit").await.unwrap().json();
    assert_eq!(audit["entries"].as_array().unwrap().len(), 0, "{audit}");
}

#[tokio::test]
async fn too_few_keys_are_refused() {
    let signer = SignerOptions::with_interop_keys(3).start().await.unwrap();
    let plan = plan(&signer, LoadChain::of_seed(1, SLOT_MS), Profile::Lighthouse);
    let error = play(&plan, |_| (), std::future::pending()).await.unwrap_err();
    assert!(error.to_string().contains("the signer holds 3"), "{error}");
}

/// A signer that takes longer than a slot for everything.
async fn slow_signer(keys: u64) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let list: Vec<_> = (0..keys).map(key_files::public_key).collect();
    let list = serde_json::to_string(&list).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let list = list.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 16 << 10];
                let read = stream.read(&mut head).await.unwrap_or(0);
                let answer = if head[..read].starts_with(b"GET") {
                    list
                } else {
                    tokio::time::sleep(Duration::from_millis(700)).await;
                    format!("{{\"signature\":\"0x{}\"}}", "07".repeat(96))
                };
                let text = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
                     connection: close\r\n\r\n{answer}",
                    answer.len()
                );
                drop(stream.write_all(text.as_bytes()).await);
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_late_or_wrong_is_counted() {
    let address = slow_signer(VALIDATORS.into()).await;
    let plan = Plan {
        url: format!("http://{address}"),
        profile: Profile::Lodestar,
        chain: LoadChain::of_seed(1, 500),
        validators: VALIDATORS,
        network_validators: NETWORK_VALIDATORS,
        seed: 1,
        warm_up: WarmUp::Slots(0),
        slots: 3,
        verify: true,
    };
    let report = run(&plan).await;
    for kind in [Kind::Block, Kind::RandaoReveal, Kind::Attestation] {
        let row = report.total(kind).unwrap_or_else(|| panic!("{report}"));
        // It waits for minutes, but each is late by far; and no signature is one.
        assert!(row.missed >= row.sent, "{report}");
    }
    let proofs = report.total(Kind::SelectionProof).unwrap();
    assert!(proofs.missed >= 3, "{report}");
    assert!(report.totals.iter().any(|row| row.errors.contains_key("wrong signature")), "{report}");
}

#[tokio::test]
async fn a_run_that_is_stopped_says_what_it_has_seen() {
    let (signer, chain) = signer(VALIDATORS).await;
    let plan = Plan { slots: 10_000, ..plan(&signer, chain, Profile::Grandine) };
    let stop = tokio::time::sleep(Duration::from_millis(SLOT_MS * 2 + 500));
    let report = play(&plan, |_| (), stop).await.unwrap();
    assert!((1..10).contains(&report.slots), "{report}");
    assert_eq!(report.failed(), 0, "{report}");
}
