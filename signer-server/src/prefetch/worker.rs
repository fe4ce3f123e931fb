//! The two tasks of prefetch: one asks beacon nodes in the first half of every slot, the other one
//! has the proofs made that are due, later in the slot. So a slow node delays no proof of which the
//! duty is known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use signer_client::wire::{Epoch, PublicKey, Slot};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    PrefetchOptions, PrefetchStatus,
    book::{Book, told_epochs},
    chain::Chain,
    directory::{Directory, Impossible, Known, Roster, attester_slots, sync_members},
    moment::{Moment, now_unix_ms},
    node::{Node, NodeError, Problem, VALIDATORS_AT_ONCE},
    plan,
    status::Voice,
};
use crate::{
    audit::Client,
    keys::Registry,
    signing::{NotForeseen, SigningService},
    telemetry::metrics::Metrics,
};

/// Who stands in the audit as the client of these proofs.
const CLIENT: &str = "prefetch";

/// Slots for which a node that has failed is asked only when the others fail, too.
const REST_SLOTS: u64 = 8;

/// How long one node may take for all answers of a round, in slots: its duties are of no use much
/// later, and another node may be faster. What it has told by then stays known.
const ROUND_SLOTS: u32 = 4;

/// Starts to prefetch, as two of `tasks`, until `stopping`.
///
/// # Errors
/// When no HTTPS client can be made, because the machine has no certificates of authorities.
pub fn start(
    options: PrefetchOptions,
    chain: Chain,
    signing: &Arc<SigningService>,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
) -> Result<Arc<PrefetchStatus>, reqwest::Error> {
    let PrefetchOptions { nodes, look_ahead_slots, slot_percent, request_timeout } = options;
    let patience = Duration::from_millis(chain.clock().slot_duration_ms()) * ROUND_SLOTS;
    let sources = nodes
        .into_iter()
        .map(|address| Ok(Source::new(Node::new(address, request_timeout)?, patience)))
        .collect::<Result<Vec<_>, _>>()?;
    let status = Arc::new(PrefetchStatus::default());
    let book = Arc::new(Mutex::new(Book::default()));
    let asking = Moment::new(chain.clock(), slot_percent / 2);
    let making = Moment::new(chain.clock(), slot_percent);

    let asker = Asker {
        chain: chain.clone(),
        sources,
        book: book.clone(),
        registry: signing.registry().clone(),
        metrics: signing.metrics().clone(),
        status: status.clone(),
        ours: Arc::default(),
    };
    tasks.spawn(stopping.clone().run_until_cancelled_owned(asker.run(asking)));
    let maker = Maker { chain, book, signing: signing.clone(), look_ahead_slots };
    tasks.spawn(stopping.clone().run_until_cancelled_owned(maker.run(making)));
    Ok(status)
}

/// The present slot; before genesis the first one.
fn present_slot(chain: &Chain) -> Slot {
    chain.clock().slot_at(now_unix_ms()).unwrap_or_default()
}

/// Keeps the book.
pub(super) struct Asker {
    pub(super) chain: Chain,
    pub(super) sources: Vec<Source>,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) registry: Arc<Registry>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) status: Arc<PrefetchStatus>,
    /// The keys that the others were last told of.
    pub(super) ours: Arc<[PublicKey]>,
}

impl Asker {
    async fn run(mut self, moment: Moment) {
        loop {
            let (now, ours) = (present_slot(&self.chain), self.registry.public_keys());
            self.refresh(now, ours).await;
            moment.next().await;
        }
    }

    /// Asks one node after the other, the preferred one first, until one has told everything.
    pub(super) async fn refresh(&mut self, now: Slot, ours: Arc<[PublicKey]>) {
        self.book.lock().begin(self.chain.epoch_of(now));
        if !Arc::ptr_eq(&self.ours, &ours) {
            // The registry keeps them sorted.
            let is_ours = |key: &PublicKey| ours.binary_search(key).is_ok();
            self.book.lock().keep(is_ours);
            for source in &mut self.sources {
                source.directory.keep(is_ours);
            }
            self.ours = ours;
        }
        let mut order: Vec<usize> = (0..self.sources.len()).collect();
        order.sort_by_key(|place| self.sources[*place].rests_until > now);
        let mut reason = None;
        for place in order {
            let source = &mut self.sources[place];
            let told =
                timeout(source.patience, source.tell(&self.chain, &self.book, now, &self.ours));
            match told.await.unwrap_or_else(|_| Err(source.too_slow())) {
                Ok(validators) => {
                    source.rests_until = Slot(0);
                    source.voice.worked(&source.node.address);
                    self.status.works(validators);
                    self.metrics.prefetch_refreshed(validators, now_unix_ms());
                    return;
                }
                Err(error) => {
                    // Another node may answer there when it comes back.
                    source.checked_in = None;
                    if matches!(error.problem, Problem::Impossible(_)) {
                        // The directory itself may be what is wrong: validators that are not final
                        // yet get other indices when the chain is re-organised.
                        source.directory = Directory::default();
                    }
                    source.rests_until = Slot(now.0.saturating_add(REST_SLOTS));
                    source.voice.failed(&source.node.address, &error, Instant::now());
                    self.metrics.prefetch_node_failed(error.label());
                    reason = Some(error.to_string());
                }
            }
        }
        self.status.fails(reason.unwrap_or_default());
        self.metrics.prefetch_failed();
    }
}

/// One node with what is known of and from it.
pub(super) struct Source {
    node: Node,
    directory: Directory,
    /// When it was last seen to be on the right chain.
    checked_in: Option<Epoch>,
    rests_until: Slot,
    /// For all answers of a round.
    patience: Duration,
    voice: Voice,
}

impl Source {
    pub(super) fn new(node: Node, patience: Duration) -> Self {
        Self {
            node,
            directory: Directory::default(),
            checked_in: None,
            rests_until: Slot(0),
            patience,
            voice: Voice::default(),
        }
    }

    fn too_slow(&self) -> NodeError {
        NodeError { what: "duties", problem: Problem::TooSlow(self.patience) }
    }

    /// Writes into the book what is not there yet. Gives how many of our keys are validators'.
    async fn tell(
        &mut self,
        chain: &Chain,
        book: &Mutex<Book>,
        now: Slot,
        ours: &[PublicKey],
    ) -> Result<usize, NodeError> {
        self.check_sync(chain, now).await?;
        let epoch = chain.epoch_of(now);
        if self.checked_in != Some(epoch) {
            self.check_chain(chain, book, epoch).await?;
            self.checked_in = Some(epoch);
        }
        self.directory.begin(epoch);
        loop {
            let asked = self.directory.unasked(ours, VALIDATORS_AT_ONCE);
            if asked.is_empty() {
                break;
            }
            let answer = self.node.validators(&asked).await?;
            self.directory.add(&asked, &answer).map_err(impossible("validators"))?;
        }
        let roster = self.directory.roster(ours);
        for epoch in told_epochs(epoch) {
            self.tell_attesters(chain, book, epoch, &roster).await?;
            self.tell_sync(chain, book, epoch, &roster).await?;
        }
        Ok(roster.known.len())
    }

    /// Demands that its head is near the present slot. One that is far behind tells duties that
    /// were once expected; one that is ahead is on another clock.
    async fn check_sync(&self, chain: &Chain, now: Slot) -> Result<(), NodeError> {
        let syncing = self.node.syncing().await?;
        let head = syncing.head_slot;
        if syncing.is_syncing || head.0.abs_diff(now.0) > chain.slots_per_epoch() {
            return Err(NodeError {
                what: "sync state",
                problem: Problem::NotSynced { head, now },
            });
        }
        Ok(())
    }

    async fn check_chain(
        &self,
        chain: &Chain,
        book: &Mutex<Book>,
        epoch: Epoch,
    ) -> Result<(), NodeError> {
        let wrong = |what| move |wrong| NodeError { what, problem: Problem::WrongChain(wrong) };
        chain.check_genesis(&self.node.genesis().await?).map_err(wrong("genesis"))?;
        chain.check_spec(&self.node.spec().await?).map_err(wrong("specification"))?;
        let scheduled = match self.node.fork_schedule().await? {
            Some(scheduled) => scheduled,
            None => chain.forks_after(self.node.head_fork().await?),
        };
        let [_, next] = told_epochs(epoch);
        let forks = chain.forks(scheduled, next).map_err(wrong("fork schedule"))?;
        forks.check(epoch).map_err(wrong("fork schedule"))?;
        book.lock().set_forks(forks);
        Ok(())
    }

    /// Attester duties of all that were not asked for. When there are none, one of them is asked for
    /// again: the answer's dependent root says whether the duties of all others are still the same.
    async fn tell_attesters(
        &self,
        chain: &Chain,
        book: &Mutex<Book>,
        epoch: Epoch,
        roster: &Roster,
    ) -> Result<(), NodeError> {
        // Twice over everything, because the chain may be re-organised in between.
        let most_requests = 2 * (roster.known.len() / VALIDATORS_AT_ONCE + 1);
        for request in 0..most_requests {
            let mut asked = book.lock().unasked_attesters(epoch, roster, VALIDATORS_AT_ONCE);
            if asked.is_empty() {
                match roster.known.first() {
                    Some(first) if request == 0 => asked.push(*first),
                    _ => return Ok(()),
                }
            }
            let answer = self.node.attester_duties(epoch, &indices(&asked)).await?;
            let slots = attester_slots(chain, epoch, &asked, &answer.data)
                .map_err(impossible("attester duties"))?;
            book.lock().add_attesters(epoch, answer.dependent_root, &asked, &slots);
        }
        if book.lock().unasked_attesters(epoch, roster, 1).is_empty() {
            return Ok(());
        }
        Err(impossible("attester duties")(Impossible::RestlessRoot))
    }

    async fn tell_sync(
        &self,
        chain: &Chain,
        book: &Mutex<Book>,
        epoch: Epoch,
        roster: &Roster,
    ) -> Result<(), NodeError> {
        loop {
            let asked = {
                let mut book = book.lock();
                if !book.forks().is_some_and(|forks| forks.has_sync_committees(epoch)) {
                    return Ok(());
                }
                book.unasked_sync(epoch, roster, VALIDATORS_AT_ONCE)
            };
            if asked.is_empty() {
                return Ok(());
            }
            let answer = self.node.sync_duties(epoch, &indices(&asked)).await?;
            let members = sync_members(chain, &asked, &answer)
                .map_err(impossible("sync committee duties"))?;
            book.lock().add_sync(epoch, &asked, members);
        }
    }
}

fn indices(known: &[Known]) -> Vec<u64> {
    known.iter().map(|known| known.index).collect()
}

fn impossible(what: &'static str) -> impl Fn(Impossible) -> NodeError {
    move |found| NodeError { what, problem: Problem::Impossible(found) }
}

/// Has the proofs made.
struct Maker {
    chain: Chain,
    book: Arc<Mutex<Book>>,
    signing: Arc<SigningService>,
    look_ahead_slots: u64,
}

impl Maker {
    async fn run(self, moment: Moment) {
        let client = Client { name: Some(CLIENT.into()), ..Client::default() };
        loop {
            moment.next().await;
            self.make(&client).await;
        }
    }

    /// Takes what is due into the backlog of the proof cache, as far as it is not known there.
    async fn make(&self, client: &Client) {
        let now = present_slot(&self.chain);
        let due = {
            let book = self.book.lock();
            plan::due(&self.chain, &book, now, self.look_ahead_slots, self.signing.most_proofs())
        };
        self.signing.metrics().prefetch_due(due.iter().map(|slot| slot.keys.len()).sum());
        for slot in due {
            match self.signing.foresee(client, &slot) {
                Ok(accepted) => self.signing.metrics().prefetch_ordered(accepted.queued),
                // The nearest slots are in; the others are due again in the next slot.
                Err(NotForeseen::BacklogFull(full)) => {
                    tracing::debug!(%full, "prefetch found no room for proofs");
                    return;
                }
                Err(NotForeseen::Duty(error)) => {
                    tracing::debug!(slot = slot.slot.0, %error, "prefetch left out a slot");
                }
            }
            // A slot may have thousands of keys: requests come in between.
            tokio::task::yield_now().await;
        }
    }
}
