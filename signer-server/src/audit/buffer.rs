//! Rows on their way to the database.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{AuditOptions, Client, Durability, Entry, Ids, Ticket};
use crate::scheduler::Class;

/// Longest time a row waits in the buffer while the database is there and not busy with blocks
/// and attestations.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(200);

/// Most rows of one write. Small enough that an attestation that arrives meanwhile waits only some
/// milliseconds.
pub(crate) const WRITE_BATCH: usize = 1_024;

/// Rows of one write while few wait: a millisecond or two.
pub(crate) const SMALL_WRITE: usize = 128;

/// Rows that each held-back class may have in the buffer: about 300 bytes each.
const ROOM_PER_CLASS: usize = 16_384;

/// Rows kept at most, all classes together. Reached only when the database is away for long.
const HARD_LIMIT: usize = 131_072;

/// Opens rows. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Writer {
    buffer: Arc<Buffer>,
}

impl Writer {
    pub(crate) fn new(buffer: Arc<Buffer>) -> Self {
        Self { buffer }
    }

    /// Opens the row of a request for `identifier`, the key as the request named it.
    pub fn begin(&self, client: Client, identifier: &str) -> Ticket {
        Ticket::begin(Arc::clone(&self.buffer), client, identifier)
    }

    /// Waits until the buffer has room for the rows of a batch of this class. Blocks and
    /// attestations never wait, and nobody waits while the database is away. All the room is
    /// taken at once, so two batches can't each hold what the other waits for.
    pub async fn wait_for_room(&self, class: Class, rows: usize) -> Room {
        Room(self.buffer.room(class, rows).await)
    }

    /// Rows that wait to be written.
    pub fn waiting_rows(&self) -> usize {
        self.buffer.rows.lock().waiting.len()
    }

    /// Rows lost since the start because the database was away for too long.
    pub fn lost_rows(&self) -> u64 {
        self.buffer.lost.load(Ordering::Relaxed)
    }
}

/// Room for the rows of one batch, to be shared out among its tickets.
#[derive(Debug)]
pub struct Room(pub(super) Option<OwnedSemaphorePermit>);

/// The rows that wait, and what makes low classes wait for them.
#[derive(Debug)]
pub(crate) struct Buffer {
    instance: Arc<str>,
    options: AuditOptions,
    ids: Ids,
    rows: Mutex<Rows>,
    room_per_class: usize,
    aggregates: Arc<Semaphore>,
    selection_proofs: Arc<Semaphore>,
    background: Arc<Semaphore>,
    /// Wakes the database task: the first row came, one that somebody waits for, or a full batch is
    /// there.
    changed: Notify,
    /// Whether rows are being written.
    available: watch::Sender<bool>,
    lost: AtomicU64,
}

#[derive(Debug)]
struct Rows {
    waiting: VecDeque<Row>,
    /// How many of them somebody waits for.
    urgent: usize,
    destination: Destination,
}

/// Told when a row is durable; dropped when nobody knows whether it ever will be.
pub(super) type WhenDurable = oneshot::Sender<()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    Database,
    /// There never was a database.
    Nowhere,
    /// The database was closed.
    Closed,
}

/// A finished row, with its share of the room that is given back once the row is written.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) entry: Box<Entry>,
    _room: Option<OwnedSemaphorePermit>,
    when_durable: Option<WhenDurable>,
}

impl Row {
    /// Tells whoever waits for it that the row is durable.
    fn tell_durable(self) {
        if let Some(when_durable) = self.when_durable {
            // Whoever waited may have gone away.
            let _ = when_durable.send(());
        }
    }
}

impl Buffer {
    /// A buffer for a database whose rows get these ids.
    pub(crate) fn open(instance: &str, ids: impl Into<Ids>, options: AuditOptions) -> Arc<Self> {
        Self::with_room(instance, ids.into(), ROOM_PER_CLASS, Destination::Database, options)
    }

    /// The same with the default options.
    #[cfg(test)]
    pub(crate) fn new(instance: &str, ids: impl Into<Ids>) -> Arc<Self> {
        Self::open(instance, ids, AuditOptions::default())
    }

    /// A buffer that forgets every row at once.
    pub(crate) fn discarding() -> Arc<Self> {
        Self::with_room("", 1.into(), ROOM_PER_CLASS, Destination::Nowhere, AuditOptions::default())
    }

    #[cfg(test)]
    pub(super) fn with_small_room(next_id: i64, room: usize) -> Arc<Self> {
        Self::with_room(
            "test",
            next_id.into(),
            room,
            Destination::Database,
            AuditOptions::default(),
        )
    }

    fn with_room(
        instance: &str,
        ids: Ids,
        room: usize,
        destination: Destination,
        options: AuditOptions,
    ) -> Arc<Self> {
        Arc::new(Self {
            instance: instance.into(),
            options,
            ids,
            rows: Mutex::new(Rows { waiting: VecDeque::new(), urgent: 0, destination }),
            room_per_class: room,
            aggregates: Arc::new(Semaphore::new(room)),
            selection_proofs: Arc::new(Semaphore::new(room)),
            background: Arc::new(Semaphore::new(room)),
            changed: Notify::new(),
            available: watch::Sender::new(true),
            lost: AtomicU64::new(0),
        })
    }

    pub(super) fn next_id(&self) -> i64 {
        self.ids.next()
    }

    pub(super) fn instance(&self) -> &Arc<str> {
        &self.instance
    }

    /// Room for one row of this class, `None` for classes that need none.
    pub(super) async fn room(&self, class: Class, rows: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(rows.min(self.room_per_class)).unwrap_or(u32::MAX);
        let semaphore = match class {
            Class::Block | Class::Attestation => return None,
            Class::Aggregate => &self.aggregates,
            Class::SelectionProof => &self.selection_proofs,
            Class::Background => &self.background,
        };
        let mut available = self.available.subscribe();
        tokio::select! {
            biased;
            permit = Arc::clone(semaphore).acquire_many_owned(permits) => permit.ok(),
            _ = available.wait_for(|available| !available) => None,
        }
    }

    pub(crate) fn options(&self) -> &AuditOptions {
        &self.options
    }

    /// Whether every signature waits for its row.
    pub(super) fn is_strict(&self) -> bool {
        self.options.durability == Durability::Strict
    }

    /// Takes a finished row. `when_durable` is dropped at once when the row can't be written now.
    pub(super) fn push(
        &self,
        entry: Box<Entry>,
        room: Option<OwnedSemaphorePermit>,
        when_durable: Option<WhenDurable>,
    ) {
        let (waiting, is_urgent) = {
            let mut rows = self.rows.lock();
            match rows.destination {
                Destination::Nowhere => return,
                Destination::Database if rows.waiting.len() < HARD_LIMIT => {
                    let when_durable = when_durable.filter(|_| *self.available.borrow());
                    let is_urgent = when_durable.is_some();
                    rows.urgent += usize::from(is_urgent);
                    rows.waiting.push_back(Row { entry, _room: room, when_durable });
                    self.show_waiting(&rows);
                    (rows.waiting.len(), is_urgent)
                }
                Destination::Database | Destination::Closed => {
                    drop(rows);
                    self.count_lost(1);
                    return;
                }
            }
        };
        if waiting == 1 || waiting == WRITE_BATCH || is_urgent {
            self.changed.notify_one();
        }
    }

    /// Takes the oldest rows: as few as keep up with what comes in, because a block may be waiting
    /// while they are written; at most [`WRITE_BATCH`].
    pub(crate) fn take(&self) -> Vec<Row> {
        let mut rows = self.rows.lock();
        let waiting = rows.waiting.len();
        let count = (waiting / 64).clamp(SMALL_WRITE, WRITE_BATCH).min(waiting);
        let taken: Vec<Row> = rows.waiting.drain(..count).collect();
        rows.urgent -= taken.iter().filter(|row| row.when_durable.is_some()).count();
        self.show_waiting(&rows);
        taken
    }

    /// Gives rows back that could not be written, in the order in which they were taken. Whoever
    /// waits for one of them is told.
    pub(crate) fn put_back(&self, unwritten: Vec<Row>) {
        let mut rows = self.rows.lock();
        for row in unwritten.into_iter().rev() {
            rows.waiting.push_front(Row { when_durable: None, ..row });
        }
        self.show_waiting(&rows);
    }

    /// These rows are durable; their transaction `took` this long.
    pub(crate) fn written(&self, rows: Vec<Row>, took: Duration) {
        if let Some(metrics) = &self.options.metrics {
            metrics.audit_rows_written(rows.len(), took);
        }
        rows.into_iter().for_each(Row::tell_durable);
    }

    /// Whether somebody waits for one of the rows.
    pub(crate) fn has_urgent(&self) -> bool {
        self.rows.lock().urgent > 0
    }

    fn show_waiting(&self, rows: &Rows) {
        if let Some(metrics) = &self.options.metrics {
            metrics.audit_rows_buffered(rows.waiting.len());
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.lock().waiting.len()
    }

    /// Resolves when the first row or a full batch has come since the last call.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Says whether rows are being written. While they are not, nobody waits for room or for a
    /// row.
    pub(crate) fn set_available(&self, available: bool) {
        // Before the lock: a row that is pushed from now on waits for nothing.
        self.available.send_replace(available);
        if !available {
            let mut rows = self.rows.lock();
            rows.urgent = 0;
            rows.waiting.iter_mut().for_each(|row| row.when_durable = None);
        }
    }

    /// Takes no more rows; those still here and those to come count as lost.
    pub(crate) fn close(&self) {
        self.set_available(false);
        let unwritten = {
            let mut rows = self.rows.lock();
            rows.destination = Destination::Closed;
            let unwritten = std::mem::take(&mut rows.waiting).len();
            self.show_waiting(&rows);
            unwritten
        };
        self.count_lost(unwritten as u64);
    }

    /// Logs at 1, 2, 4, 8 ... lost rows: early, and never a flood.
    pub(crate) fn count_lost(&self, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(metrics) = &self.options.metrics {
            metrics.audit_rows_lost(count);
        }
        let before = self.lost.fetch_add(count, Ordering::Relaxed);
        let after = before + count;
        if before == 0 || before.ilog2() != after.ilog2() {
            tracing::error!(lost_rows = after, "audit rows lost: the database does not take them");
        }
    }
}
