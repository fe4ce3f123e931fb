//! From a queue of requests to a batch in which every key occurs once.

use std::collections::{HashMap, VecDeque};

use signer_client::wire::PublicKey;
use tokio::sync::{mpsc, oneshot};

use crate::slashing::{
    error::Unavailable,
    store::{Decision, Request, StoreError},
};

/// Most records of one transaction.
pub(super) const BATCH_CAP: usize = 256;

/// Most requests looked at for one batch, identical and conflicting ones included.
const LOOK_AT: usize = 4 * BATCH_CAP;

type Reply = oneshot::Sender<Result<Decision, Unavailable>>;

/// A request with its own way back.
#[derive(Debug)]
pub(super) struct Waiting<Subject> {
    pub(super) request: Request<Subject>,
    pub(super) reply: Reply,
}

/// The receiving end of a queue.
#[derive(Debug)]
pub(super) struct Intake<Subject> {
    pub(super) queue: mpsc::Receiver<Waiting<Subject>>,
    /// Taken from the queue earlier; first in the next batch.
    deferred: VecDeque<Waiting<Subject>>,
}

/// Requests for one transaction, and who waits for each: identical requests share one.
#[derive(Debug)]
pub(super) struct Batch<Subject> {
    pub(super) requests: Vec<Request<Subject>>,
    replies: Vec<Vec<Reply>>,
}

impl<Subject: PartialEq> Intake<Subject> {
    pub(super) fn new(queue: mpsc::Receiver<Waiting<Subject>>) -> Self {
        Self { queue, deferred: VecDeque::new() }
    }

    /// Puts back a request that was received while waiting for any.
    pub(super) fn defer(&mut self, waiting: Waiting<Subject>) {
        self.deferred.push_back(waiting);
    }

    /// Whatever waits, up to the cap; maybe nothing. Requests whose sender is gone are dropped
    /// here, and only here. A second, different request for a key waits for the next batch,
    /// because it must be judged on the state that the first one leaves.
    pub(super) fn next_batch(&mut self) -> Batch<Subject> {
        let mut batch = Batch { requests: Vec::new(), replies: Vec::new() };
        let mut places: HashMap<PublicKey, usize> = HashMap::new();
        let mut later = VecDeque::new();
        for _ in 0..LOOK_AT {
            if batch.requests.len() == BATCH_CAP {
                break;
            }
            let next = self.deferred.pop_front().or_else(|| self.queue.try_recv().ok());
            let Some(waiting) = next else { break };
            if waiting.reply.is_closed() {
                continue;
            }
            match places.get(&waiting.request.key) {
                None => {
                    places.insert(waiting.request.key, batch.requests.len());
                    batch.requests.push(waiting.request);
                    batch.replies.push(vec![waiting.reply]);
                }
                Some(&place) if batch.requests[place].is_same_as(&waiting.request) => {
                    batch.replies[place].push(waiting.reply);
                }
                Some(_) => later.push_back(waiting),
            }
        }
        later.append(&mut self.deferred);
        self.deferred = later;
        batch
    }

    /// Tells everybody who waits that it is in vain.
    pub(super) fn fail_all(&mut self, why: Unavailable) {
        while let Some(waiting) = self.deferred.pop_front().or_else(|| self.queue.try_recv().ok()) {
            waiting.fail(why);
        }
    }
}

impl<Subject> Waiting<Subject> {
    pub(super) fn fail(self, why: Unavailable) {
        let _ = self.reply.send(Err(why));
    }
}

// A send fails when the receiver is gone; then nobody needs the answer.
impl<Subject> Batch<Subject> {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Answers everybody and hands on the error, if there is one. Of several identical requests one
    /// was recorded; for the others it is a repeat.
    pub(super) fn answer(
        self,
        decisions: Result<Vec<Decision>, StoreError>,
    ) -> Result<(), StoreError> {
        let decisions = match decisions {
            Ok(decisions) => decisions,
            Err(error) => {
                let why = Unavailable::after(&error);
                for reply in self.replies.into_iter().flatten() {
                    let _ = reply.send(Err(why));
                }
                return Err(error);
            }
        };
        for (decision, replies) in decisions.into_iter().zip(self.replies) {
            let mut answer = decision;
            for reply in replies {
                let _ = reply.send(Ok(answer));
                if decision == Decision::New {
                    answer = Decision::Repeat;
                }
            }
        }
        Ok(())
    }
}
