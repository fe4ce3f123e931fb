//! Signing what a job has aggregated: the one thing that the worker asks of the signer.
//!
//! It runs outside of the worker, after the job's groups are proved. Whatever becomes of it, each
//! group that wants to be signed gets an answer and the job its end: a panic costs its own group, and
//! what the stop of the signer cuts off says so.

use std::panic::AssertUnwindSafe;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use signer_client::wire::aggregation::SigningOutcome;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    job::GroupToSign,
    jobs::Signing,
    task::{Wish, not_signed},
    view::Json,
};
use crate::audit::Client;

/// Signs aggregates that a job asks to be signed, by the ordinary way of a signing request.
pub trait GroupSigner: Send + Sync {
    /// Signs a group for whoever submitted its job, or says why not. Only an aggregate that is
    /// verified may be signed.
    fn sign<'a>(
        &'a self,
        client: &'a Client,
        group: &'a GroupToSign,
    ) -> BoxFuture<'a, SigningOutcome>;
}

/// Signs the groups of a job that are to be signed, and ends the job. What is not signed when `cut`
/// comes stays so.
pub(super) async fn sign(signer: &dyn GroupSigner, mut signing: Signing, cut: &CancellationToken) {
    let answers = signing.wishes.iter().map(|wish| {
        let span = tracing::debug_span!("sign_group", job = %signing.job, group = wish.group);
        async { (wish.group, answer(signer, &signing.client, wish, cut).await) }.instrument(span)
    });
    signing.signed = join_all(answers).await;
}

async fn answer(
    signer: &dyn GroupSigner,
    client: &Client,
    wish: &Wish,
    cut: &CancellationToken,
) -> Json {
    let attempt = async { signer.sign(client, &wish.to_sign).await };
    tokio::select! {
        biased;
        // The panic is in the log.
        outcome = AssertUnwindSafe(attempt).catch_unwind() => {
            outcome.map_or_else(|_| not_signed("internal error"), |outcome| Json::of(&outcome))
        }
        () = cut.cancelled() => not_signed("the signer was stopped before it was signed"),
    }
}
