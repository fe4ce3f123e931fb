//! How signers used to do it: a blocking task for each request, first come first served, on as many
//! threads as the runtime cares to start (512). Lighthouse did so until its pull request 4033.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Bytes,
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;
use signer_server::{
    bls::SecretKey,
    duty::{self, Network},
    keys::interop_secret_key,
};

/// Starts the baseline on a free port. It lists these keys, signs everything with one key and protects
/// nothing.
pub(crate) async fn start(keys: &[String]) -> Result<SocketAddr> {
    let keys = serde_json::to_string(keys)?;
    let network = Arc::new(Network::by_name_or_file("mainnet")?);
    let key = Arc::new(SecretKey::from_bytes(&interop_secret_key(0))?);
    let sign_batch = {
        let (network, key) = (network.clone(), key.clone());
        move |body: Bytes| sign_each(body, network.clone(), key.clone())
    };
    let sign = move |body: Bytes| {
        let (network, key) = (network.clone(), key.clone());
        async move {
            let duty = match duty::classify(&body, &network) {
                Ok(duty) => duty,
                Err(error) => return Err((StatusCode::BAD_REQUEST, error.to_string())),
            };
            #[expect(clippy::disallowed_methods, reason = "this is what is measured")]
            let signature = tokio::task::spawn_blocking(move || key.sign(&duty.signing_root)).await;
            signature
                .map(|signature| signature.to_string())
                .map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
        }
    };
    let router = Router::new()
        .route("/api/v1/eth2/publicKeys", get(async || keys))
        .route("/api/v1/eth2/sign/{identifier}", post(sign))
        .route("/api/v1/eth2/sign", post(sign_batch));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr().context("the address of the baseline")?;
    // On threads of its own, as the signer is a process of its own.
    std::thread::Builder::new().name("baseline".to_owned()).spawn(move || {
        let listener = listener.into_std();
        let runtime = tokio::runtime::Runtime::new();
        if let (Ok(runtime), Ok(listener)) = (runtime, listener) {
            runtime.block_on(async move {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    drop(axum::serve(listener, router).await);
                }
            });
        }
    })?;
    Ok(address)
}

/// One blocking task for each key of a batch.
async fn sign_each(
    body: Bytes,
    network: Arc<Network>,
    key: Arc<SecretKey>,
) -> Result<String, (StatusCode, String)> {
    let refused = |error: String| (StatusCode::BAD_REQUEST, error);
    let batch: Batch<'_> =
        serde_json::from_slice(&body).map_err(|error| refused(error.to_string()))?;
    let duty = duty::classify(batch.signing_request.get().as_bytes(), &network)
        .map_err(|error| refused(error.to_string()))?;
    let signing: Vec<_> = (0..batch.identifiers.len())
        .map(|_| {
            let key = key.clone();
            #[expect(clippy::disallowed_methods, reason = "this is what is measured")]
            let signature = tokio::task::spawn_blocking(move || key.sign(&duty.signing_root));
            signature
        })
        .collect();
    let mut signatures = Vec::with_capacity(signing.len());
    for signature in signing {
        signatures.push(signature.await.map_err(|error| refused(error.to_string()))?.to_string());
    }
    Ok(signatures.join("\n"))
}

#[derive(Deserialize)]
struct Batch<'a> {
    identifiers: Vec<String>,
    #[serde(borrow)]
    signing_request: &'a RawValue,
}
