//! A signer inside the process, for tests of validator clients: real signatures, delays and faults
//! to order, and a record of what was asked.
//!
//! It knows no slashing protection. Keys given to it are for tests only.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use blst::min_pk::SecretKey;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    client::{BoxFuture, Deadline, KeyResults, RemoteSigner, SignError},
    wire::{PublicKey, Root, SignRequest, Signature},
};

pub(crate) mod signing_root;

/// The signature scheme of Ethereum (consensus-specs, phase0, BLS signatures).
pub const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";

/// A secret key is not between 1 and the order of the curve's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret key of BLS12-381")]
pub struct InvalidSecretKey;

/// One request to a [`MockSigner`].
#[derive(Clone, Debug)]
pub struct MockCall {
    /// When it came, on tokio's clock.
    pub at: Instant,
    /// Who was to sign.
    pub keys: Vec<PublicKey>,
    /// What.
    pub request: SignRequest,
    /// Whether it was for many keys.
    pub is_batch: bool,
}

type Delay = dyn Fn(&MockCall) -> Duration + Send + Sync;
type Fault = dyn Fn(&MockCall) -> Option<SignError> + Send + Sync;

/// A signer inside the process.
pub struct MockSigner {
    keys: Mutex<BTreeMap<PublicKey, SecretKey>>,
    delay: Mutex<Option<Arc<Delay>>>,
    fault: Mutex<Option<Arc<Fault>>>,
    calls: Mutex<Vec<MockCall>>,
}

impl fmt::Debug for MockSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MockSigner")
            .field("keys", &self.keys.lock().len())
            .field("calls", &self.calls.lock().len())
            .finish_non_exhaustive()
    }
}

impl MockSigner {
    /// A signer with these secret keys of 32 bytes, the highest byte first.
    ///
    /// # Errors
    /// When one is none.
    pub fn new(secret_keys: impl IntoIterator<Item = [u8; 32]>) -> Result<Self, InvalidSecretKey> {
        let signer = Self {
            keys: Mutex::default(),
            delay: Mutex::default(),
            fault: Mutex::default(),
            calls: Mutex::default(),
        };
        for secret_key in secret_keys {
            signer.add_key(&secret_key)?;
        }
        Ok(signer)
    }

    /// Adds a key and returns its public half.
    ///
    /// # Errors
    /// When it is none.
    pub fn add_key(&self, secret_key: &[u8; 32]) -> Result<PublicKey, InvalidSecretKey> {
        let secret_key = SecretKey::from_bytes(secret_key).map_err(|_| InvalidSecretKey)?;
        let public_key = PublicKey(secret_key.sk_to_pk().compress());
        self.keys.lock().insert(public_key, secret_key);
        Ok(public_key)
    }

    /// Forgets a key; requests for it are then answered with [`SignError::UnknownKey`].
    pub fn remove_key(&self, key: &PublicKey) {
        self.keys.lock().remove(key);
    }

    /// The keys, in order.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.keys.lock().keys().copied().collect()
    }

    /// From now on a request takes as long as `delay` says.
    pub fn set_delay(&self, delay: impl Fn(&MockCall) -> Duration + Send + Sync + 'static) {
        *self.delay.lock() = Some(Arc::new(delay));
    }

    /// From now on requests for which `fault` gives an error have that error, after the delay.
    pub fn set_fault(
        &self,
        fault: impl Fn(&MockCall) -> Option<SignError> + Send + Sync + 'static,
    ) {
        *self.fault.lock() = Some(Arc::new(fault));
    }

    /// From now on requests are signed again.
    pub fn clear_fault(&self) {
        *self.fault.lock() = None;
    }

    /// What was asked so far, in the order of arrival.
    pub fn calls(&self) -> Vec<MockCall> {
        self.calls.lock().clone()
    }

    /// Forgets what was asked so far and returns it.
    pub fn take_calls(&self) -> Vec<MockCall> {
        std::mem::take(&mut *self.calls.lock())
    }

    /// What is signed for a request: the root that it names, which must be the right one where this
    /// mock can compute it itself (all types but blocks, aggregates and payloads).
    ///
    /// # Errors
    /// [`SignError::Rejected`] when the named root is wrong, or when there is none and it can't be
    /// computed.
    pub fn signing_root(request: &SignRequest) -> Result<Root, SignError> {
        signing_root::of(request)
    }

    /// Notes a call; gives its delay and its fault.
    fn record(&self, call: MockCall) -> (Duration, Option<SignError>) {
        let delay = self.delay.lock().clone().map_or(Duration::ZERO, |delay| delay(&call));
        let error = self.fault.lock().clone().and_then(|fault| fault(&call));
        self.calls.lock().push(call);
        (delay, error)
    }

    async fn answer(
        &self,
        keys: &[PublicKey],
        request: &SignRequest,
        is_batch: bool,
        deadline: Deadline,
    ) -> Result<KeyResults, SignError> {
        let call = MockCall {
            at: Instant::now(),
            keys: keys.to_vec(),
            request: request.clone(),
            is_batch,
        };
        let (delay, fault) = self.record(call);
        timeout_at(deadline.instant(), sleep(delay))
            .await
            .map_err(|_| SignError::DeadlinePassed)?;
        if let Some(error) = fault {
            return Err(error);
        }
        let root = Self::signing_root(request)?;
        let known = self.keys.lock();
        let sign = |key| {
            let secret_key = known.get(key).ok_or(SignError::UnknownKey)?;
            Ok(Signature(secret_key.sign(root.as_bytes(), CIPHERSUITE, &[]).compress()))
        };
        Ok(keys.iter().map(sign).collect())
    }
}

impl RemoteSigner for MockSigner {
    fn sign<'a>(
        &'a self,
        key: &'a PublicKey,
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, Result<Signature, SignError>> {
        Box::pin(async move {
            let mut results =
                self.answer(std::slice::from_ref(key), request, false, deadline).await?;
            results.pop().unwrap_or(Err(SignError::Malformed("a key has no result")))
        })
    }

    fn sign_batch<'a>(
        &'a self,
        keys: &'a [PublicKey],
        request: &'a SignRequest,
        deadline: Deadline,
    ) -> BoxFuture<'a, KeyResults> {
        Box::pin(async move {
            match self.answer(keys, request, true, deadline).await {
                Ok(results) => results,
                Err(error) => keys.iter().map(|_| Err(error.clone())).collect(),
            }
        })
    }

    fn public_keys(&self, _deadline: Deadline) -> BoxFuture<'_, Result<Vec<PublicKey>, SignError>> {
        Box::pin(async move { Ok(self.keys()) })
    }

    fn up(&self, _deadline: Deadline) -> BoxFuture<'_, Result<(), SignError>> {
        Box::pin(async move { Ok(()) })
    }
}
