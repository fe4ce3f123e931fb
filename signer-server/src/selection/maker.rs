//! One proof on its way, made once however many ask for it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use signer_client::wire::Signature;
use tokio::sync::watch;

use super::{ProofCache, ProofId};

/// Who wanted a proof to be made, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofOrigin {
    /// An ordinary request, which came before anyone had asked ahead.
    Request,
    /// A pre-request whose client waits for the proofs.
    Ahead,
    /// A pre-request whose client does not wait.
    Background,
}

/// The obligation to make one proof, shared by the jobs that may do it: the first to run makes it,
/// the others find it taken. When the last of them is dropped before that, those who wait learn it
/// and make the proof themselves.
pub struct ProofMaker {
    cache: Arc<ProofCache>,
    id: ProofId,
    origin: ProofOrigin,
    is_taken: AtomicBool,
    done: watch::Sender<Option<Signature>>,
}

impl ProofMaker {
    pub(super) fn new(cache: Arc<ProofCache>, id: ProofId, origin: ProofOrigin) -> Arc<Self> {
        let done = watch::Sender::new(None);
        Arc::new(Self { cache, id, origin, is_taken: AtomicBool::new(false), done })
    }

    /// Makes the proof and hands it to the cache and to all who wait, unless another job has begun
    /// to: `Ok(None)`. Also `None` when the proof was to be made in the background and its slot has
    /// passed meanwhile.
    ///
    /// # Errors
    /// What `sign` says. Those who wait then make the proof themselves.
    pub fn make<E>(
        &self,
        sign: impl FnOnce() -> Result<Signature, E>,
    ) -> Result<Option<Signature>, E> {
        let is_too_late =
            self.origin == ProofOrigin::Background && self.cache.has_passed(self.id.slot());
        if is_too_late || self.is_taken.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let signature = sign()?;
        self.cache.finish(&self.id, signature, self.origin);
        self.done.send_replace(Some(signature));
        Ok(Some(signature))
    }

    /// The proof's name.
    pub fn id(&self) -> &ProofId {
        &self.id
    }

    /// To wait for the proof.
    pub fn progress(&self) -> Progress {
        Progress(self.done.subscribe())
    }
}

impl Drop for ProofMaker {
    fn drop(&mut self) {
        if self.done.borrow().is_none() {
            // Before the channel ends, so that those who wait find the place free.
            self.cache.give_up(&self.id, self.origin);
        }
    }
}

/// A proof that another job makes.
#[derive(Clone)]
pub struct Progress(watch::Receiver<Option<Signature>>);

impl Progress {
    /// Waits for the proof. `None` when it will not come: its jobs were dropped, or failed.
    pub async fn finished(mut self) -> Option<Signature> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|signature| *signature)
    }
}
