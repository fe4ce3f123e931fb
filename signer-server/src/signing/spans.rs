//! The spans of a request, at level DEBUG: `sign` around all of it, and in it `queue` (waiting for a
//! signing thread), `bls` (on that thread) and `slashing` (until the record is durable).
//!
//! They name types, classes and the beginnings of public keys, never what a body holds. A level that
//! leaves them out costs a comparison each.

use signer_client::wire::PublicKey;
use tracing::{Span, debug_span, field::Empty};

use crate::duty::{Duty, Protection};

/// How much of a key's text is shown: the prefix and four bytes.
const KEY_CHARACTERS: usize = 10;

/// The span of a request that names one key, or several.
pub(super) fn request() -> Span {
    debug_span!("sign", "type" = Empty, class = Empty, key = Empty, keys = Empty)
}

/// Notes on the current request what is asked for.
pub(super) fn describe(duty: &Duty) {
    Span::current()
        .record("type", duty.duty_type.name())
        .record("class", duty.duty_type.class().name());
}

/// Notes the key on the current request.
pub(super) fn name_key(key: &PublicKey) {
    let span = Span::current();
    if !span.is_disabled() {
        span.record("key", &key.to_string()[..KEY_CHARACTERS]);
    }
}

/// Notes on the current request how many keys sign.
pub(super) fn count_keys(keys: usize) {
    Span::current().record("keys", keys);
}

/// The span of slashing protection's decision, for a duty that needs one.
pub(super) fn slashing(duty: &Duty) -> Span {
    match duty.protection {
        Protection::Unprotected => Span::none(),
        Protection::Block { .. } | Protection::Attestation { .. } => debug_span!("slashing"),
    }
}

/// A job of the current request: `queue` lasts until a thread takes it, `bls` until it is done.
pub(super) fn job<T>(work: impl FnOnce() -> T + Send) -> impl FnOnce() -> T + Send {
    let request = Span::current();
    let queue = debug_span!(parent: &request, "queue");
    move || {
        drop(queue);
        debug_span!(parent: &request, "bls").in_scope(work)
    }
}
