//! The requests of each validator client in the form in which it sends them, and the answer that
//! this client needs.

use bytes::Bytes;
use http::{Method, StatusCode};
use midslot_tests::{SignerOptions, fixtures};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct ClientFile {
    client: String,
    headers: BTreeMap<String, String>,
    expect: Expected,
    cases: Vec<ClientCase>,
}

#[derive(Deserialize)]
struct Expected {
    content_type: String,
    body: BodyForm,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BodyForm {
    Hex,
    Json,
}

#[derive(Deserialize)]
struct ClientCase {
    name: String,
    network: String,
    path: String,
    /// Raw, so that the client's order of members reaches the signer.
    request: Box<RawValue>,
    signature: String,
}

async fn check(file_name: &str) {
    let (_, file) = fixtures::read_all::<ClientFile>("clients")
        .into_iter()
        .find(|(name, _)| name == file_name)
        .unwrap_or_else(|| panic!("no fixture file {file_name}"));
    assert_eq!(file.client, file_name);
    let networks: BTreeSet<_> = file.cases.iter().map(|case| &case.network).collect();
    for network in networks {
        let signer = SignerOptions::with_interop_keys(1)
            .eth2("--slashing-protection-enabled=false")
            .eth2(format!("--network={}", fixtures::network_option(network)))
            .start()
            .await
            .unwrap();
        let headers: Vec<_> =
            file.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        for case in file.cases.iter().filter(|case| case.network == *network) {
            let body = Bytes::from(case.request.get().to_owned());
            let answer =
                signer.client.send(Method::POST, &case.path, &headers, body).await.unwrap();
            assert_eq!(answer.status, StatusCode::OK, "{}: {}", case.name, answer.text());
            assert_eq!(answer.content_type(), file.expect.content_type, "{}", case.name);
            let expected = match file.expect.body {
                BodyForm::Hex => case.signature.clone(),
                BodyForm::Json => format!("{{\"signature\":\"{}\"}}", case.signature),
            };
            assert_eq!(answer.text(), expected, "{}", case.name);
        }
    }
}

macro_rules! one_test_per_client {
    ($($name:ident = $file:literal,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                check($file).await;
            }
        )*

        #[test]
        fn every_client_file_has_a_test() {
            let files: Vec<_> =
                fixtures::read_all::<ClientFile>("clients").into_iter().map(|(name, _)| name).collect();
            assert_eq!(files, [$($file,)*]);
        }
    };
}

one_test_per_client! {
    grandine = "grandine",
    lighthouse = "lighthouse",
    lodestar_1_5 = "lodestar-1.5",
    lodestar = "lodestar",
    nimbus = "nimbus",
    prysm = "prysm",
    ssv = "ssv",
    teku = "teku",
    vero = "vero",
}
