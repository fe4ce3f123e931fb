//! A beacon node that knows a few validators and their duties, and can be told to misbehave.
//!
//! It answers the requests of the standard Beacon API that are needed to learn duties, over real HTTP,
//! and has no chain: its head follows the clock, and duties are a fixed function of epoch, validator
//! and number of re-organisations ([`Duties`]), so that a test can compute them, too.

mod duties;
mod fault;
mod routes;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use axum::Router;
use tokio::{net::TcpListener, task::JoinHandle};

pub use self::{duties::Duties, fault::Fault};

/// What the node knows.
#[derive(Clone, Debug)]
pub struct BeaconNodeBuilder {
    duties: Duties,
    genesis_time: u64,
    genesis_validators_root: String,
    slot_duration_ms: u64,
    forks: Vec<(u64, String)>,
    tells_fork_schedule: bool,
    credentials: Option<String>,
    port: u16,
}

/// A running beacon node. Stops when dropped.
pub struct BeaconNode {
    address: SocketAddr,
    state: Arc<State>,
    server: JoinHandle<()>,
}

struct State {
    node: BeaconNodeBuilder,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    reorganisations: u64,
    faults: Vec<(String, Fault)>,
    /// By method and path.
    requests: BTreeMap<String, u64>,
}

impl State {
    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BeaconNodeBuilder {
    /// A node on a chain with that genesis (Unix seconds, `0x` text) and that length of a slot, in
    /// phase 0 and without validators.
    pub fn new(genesis_time: u64, genesis_validators_root: &str, slot_duration_ms: u64) -> Self {
        Self {
            duties: Duties::default(),
            genesis_time,
            genesis_validators_root: genesis_validators_root.to_owned(),
            slot_duration_ms,
            forks: Vec::new(),
            tells_fork_schedule: true,
            credentials: None,
            port: 0,
        }
    }

    /// Slots in an epoch, in place of 32.
    #[must_use]
    pub fn slots_per_epoch(mut self, slots: u64) -> Self {
        self.duties.slots_per_epoch = slots;
        self
    }

    /// Adds the fork that begins at that epoch, with its version as `0x` text. The first one begins
    /// at epoch 0.
    #[must_use]
    pub fn fork(mut self, epoch: u64, version: &str) -> Self {
        self.forks.push((epoch, version.to_owned()));
        self
    }

    /// Has no request for the schedule of forks, as older nodes.
    #[must_use]
    pub fn without_fork_schedule(mut self) -> Self {
        self.tells_fork_schedule = false;
        self
    }

    /// Validators with these public keys (`0x` text), the first one with the index
    /// [`Duties::FIRST_INDEX`].
    #[must_use]
    pub fn validators(mut self, keys: impl IntoIterator<Item = String>) -> Self {
        self.duties.validators = keys.into_iter().collect();
        self
    }

    /// The sync committee from an epoch on: its places, each with the position of a validator.
    #[must_use]
    pub fn sync_committee(mut self, first_epoch: u64, places: &[(u64, usize)]) -> Self {
        self.duties.sync_committees.insert(first_epoch, places.to_vec());
        self
    }

    /// The slots in which the validators attest in an epoch, by their positions, in place of those by
    /// turns. A re-organisation does not change them.
    #[must_use]
    pub fn attester_slots(mut self, epoch: u64, slots: Vec<u64>) -> Self {
        self.duties.attester_slots.insert(epoch, slots);
        self
    }

    /// Demands this user and password (RFC 7617), as base64 text of both with a colon between them.
    #[must_use]
    pub fn credentials(mut self, base64: &str) -> Self {
        self.credentials = Some(format!("Basic {base64}"));
        self
    }

    /// Listens on this port, in place of a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts to answer, on the loopback interface.
    ///
    /// # Errors
    /// When the port can't be opened.
    pub async fn start(self) -> Result<BeaconNode> {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { node: self, changing: Mutex::default() });
        let app = Router::new().fallback(routes::answer).with_state(state.clone());
        let server = tokio::spawn(async move {
            // Ends only with the task.
            drop(axum::serve(listener, app).await);
        });
        Ok(BeaconNode { address, state, server })
    }

    /// The slot that it is now.
    pub fn current_slot(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since_genesis = now.as_millis().saturating_sub(u128::from(self.genesis_time) * 1000);
        u64::try_from(since_genesis / u128::from(self.slot_duration_ms)).unwrap_or(u64::MAX)
    }
}

impl BeaconNode {
    /// Its address, such as `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The slot that it is now.
    pub fn current_slot(&self) -> u64 {
        self.state.node.current_slot()
    }

    /// When the validator at a position attests in an epoch, as the node would answer now.
    pub fn attester_slot(&self, epoch: u64, position: usize) -> u64 {
        let reorganisations = self.state.changing().reorganisations;
        self.state.node.duties.attester_slot(epoch, position, reorganisations)
    }

    /// Gives every validator other duties and every epoch another dependent root.
    pub fn reorganise(&self) {
        self.state.changing().reorganisations += 1;
    }

    /// Misbehaves in answers to requests whose `METHOD /path` contains that text, from now on.
    pub fn misbehave(&self, requests: &str, fault: Fault) {
        self.state.changing().faults.push((requests.to_owned(), fault));
    }

    /// Behaves well again.
    pub fn heal(&self) {
        self.state.changing().faults.clear();
    }

    /// How many requests it got whose `METHOD /path` contains that text.
    pub fn requests(&self, text: &str) -> u64 {
        let changing = self.state.changing();
        let counted = changing.requests.iter().filter(|(request, _)| request.contains(text));
        counted.map(|(_, count)| count).sum()
    }
}

impl Drop for BeaconNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}
