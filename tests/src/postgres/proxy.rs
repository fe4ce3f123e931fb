//! A TCP proxy that breaks links on demand, so that a fault hits a client at a chosen moment while
//! the server itself is well.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// The most bytes that are carried at once.
const PIECE: usize = 64 * 1024;
/// The longest sequence of bytes that an armed fault can look for.
const MAX_NEEDLE: usize = 1024;

/// What happens to the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This connection ends; a new one is served.
    CutConnection,
    /// All connections end, and new ones too, until [`CutProxy::open`].
    Cut,
    /// Connections stay and carry nothing, until [`CutProxy::open`] lets the held bytes through.
    Stall,
}

/// When an armed fault happens, seen from the message that sets it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the server gets it: it never happened, and the client can't know.
    BeforeSent,
    /// When the server has just got it: it runs while the client is gone.
    AfterSent,
    /// When the server's answer has come back: it has happened, and the client does not hear.
    AfterAnswered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Stalled,
    Cut,
}

#[derive(Debug)]
struct Link {
    mode: Mode,
    /// How often it was cut: a cut that is over by the time a connection looks still ends it.
    cuts: u64,
}

#[derive(Debug)]
struct Armed {
    needle: Vec<u8>,
    /// How often the bytes pass before it happens.
    skip: u64,
    moment: Moment,
    fault: Fault,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    link: watch::Sender<Link>,
    armed: Mutex<Option<Armed>>,
    fired: watch::Sender<u64>,
    connections: AtomicU64,
}

/// A proxy on a port of its own in front of one server. Ends with its value, and so do its
/// connections. Lives in the runtime it was started in.
#[derive(Debug)]
pub struct CutProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl CutProxy {
    /// Starts a proxy that lets everything through.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            link: watch::Sender::new(Link { mode: Mode::Open, cuts: 0 }),
            armed: Mutex::new(None),
            fired: watch::Sender::new(0),
            connections: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, accepting })
    }

    /// What clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads new connections to another server. [`Self::cut`] and [`Self::open`] move the rest.
    pub fn redirect(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Ends all connections, and every new one, until [`Self::open`].
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Keeps all connections and carries nothing, until [`Self::open`].
    pub fn stall(&self) {
        self.shared.stall();
    }

    /// Lets everything through again, what was held by [`Self::stall`] first.
    pub fn open(&self) {
        self.shared.link.send_modify(|link| link.mode = Mode::Open);
    }

    /// Arms one fault: it happens when a client next sends these bytes, and once. No bytes at all
    /// stand for whatever is sent next. A driver sends the text of a statement when it prepares it
    /// and later its parameters alone, so the bytes of a parameter (a root, a key) mean the run of
    /// a statement. An armed fault that has not happened is replaced.
    ///
    /// # Panics
    /// When `needle` is longer than 1,024 bytes.
    pub fn arm(&self, needle: &[u8], moment: Moment, fault: Fault) {
        self.arm_nth(1, needle, moment, fault);
    }

    /// As [`Self::arm`], when a client sends these bytes for the `nth` time from now on, from 1.
    ///
    /// # Panics
    /// As [`Self::arm`].
    pub fn arm_nth(&self, nth: u64, needle: &[u8], moment: Moment, fault: Fault) {
        assert!(needle.len() <= MAX_NEEDLE, "{} bytes are too many to look for", needle.len());
        let armed = Armed { needle: needle.to_owned(), skip: nth - 1, moment, fault };
        *self.shared.armed.lock().unwrap_or_else(PoisonError::into_inner) = Some(armed);
    }

    /// Waits until this many armed faults have happened since the start of the proxy.
    ///
    /// # Errors
    /// When they do not within `patience`.
    pub async fn fired(&self, count: u64, patience: Duration) -> Result<()> {
        let mut fired = self.shared.fired.subscribe();
        let wait = fired.wait_for(|&happened| happened >= count);
        tokio::time::timeout(patience, wait).await.context("the armed fault did not happen")??;
        Ok(())
    }

    /// How many armed faults have happened since the start.
    pub fn count_fired(&self) -> u64 {
        *self.shared.fired.borrow()
    }

    /// How many connections came since the start, refused ones included.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for CutProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Ends its connections when this task is dropped.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        connections.spawn(serve(client, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, from its start until either side or a fault ends it.
async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut link = shared.link.subscribe();
    let cuts_before = link.borrow().cuts;
    let is_cut = |link: &Link| link.mode == Mode::Cut || link.cuts != cuts_before;
    tokio::select! {
        _ = link.wait_for(is_cut) => {}
        // However it ends, both sides are told by the end of their connection.
        _ = carry(client, &shared) => {}
    }
}

/// Carries bytes both ways, one piece at a time, until either side or a fault ends the connection.
async fn carry(mut client: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
    let mut server = TcpStream::connect(target).await?;
    // A small packet that waits for company would change what "sent" means.
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut question, mut answer) = (vec![0; PIECE], vec![0; PIECE]);
    // What was sent before, as far as bytes that are looked for may begin in it.
    let mut recent = Vec::new();
    let mut after_answer = None;
    loop {
        tokio::select! {
            read = client.read(&mut question) => {
                let piece = &question[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                shared.until_not_stalled().await;
                let fault = shared.set_off(&mut recent, piece);
                if let Some((Moment::BeforeSent, fault)) = fault && shared.happen(fault).await {
                    return Ok(());
                }
                server.write_all(piece).await?;
                match fault {
                    Some((Moment::AfterSent, fault)) if shared.happen(fault).await => return Ok(()),
                    Some((Moment::AfterAnswered, fault)) => after_answer = Some(fault),
                    _ => {}
                }
            }
            read = server.read(&mut answer) => {
                let piece = &answer[..read?];
                if piece.is_empty() {
                    return Ok(());
                }
                shared.until_not_stalled().await;
                if let Some(fault) = after_answer.take() && shared.happen(fault).await {
                    return Ok(());
                }
                client.write_all(piece).await?;
            }
        }
    }
}

impl Shared {
    /// Takes the armed fault if its bytes are in this piece, or begin in the ones before.
    fn set_off(&self, recent: &mut Vec<u8>, piece: &[u8]) -> Option<(Moment, Fault)> {
        recent.extend_from_slice(piece);
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let found = |needle: &[u8]| {
            needle.is_empty() || recent.windows(needle.len()).any(|window| window == needle)
        };
        let is_found = armed.as_ref().is_some_and(|armed| found(&armed.needle));
        let fault = armed.take_if(|armed| is_found && armed.skip == 0);
        if let Some(armed) = armed.as_mut().filter(|_| is_found) {
            armed.skip -= 1;
        }
        if is_found {
            // Bytes of the past set nothing off a second time.
            recent.clear();
        }
        recent.drain(..recent.len().saturating_sub(MAX_NEEDLE - 1));
        fault.map(|armed| (armed.moment, armed.fault))
    }

    /// Lets the fault happen; true when this connection has to end.
    async fn happen(&self, fault: Fault) -> bool {
        match fault {
            Fault::CutConnection => {}
            Fault::Cut => self.cut(),
            Fault::Stall => self.stall(),
        }
        self.fired.send_modify(|count| *count += 1);
        if fault == Fault::Stall {
            self.until_not_stalled().await;
        }
        fault != Fault::Stall
    }

    fn cut(&self) {
        self.link.send_modify(|link| {
            link.mode = Mode::Cut;
            link.cuts += 1;
        });
    }

    fn stall(&self) {
        self.link.send_modify(|link| link.mode = Mode::Stalled);
    }

    async fn until_not_stalled(&self) {
        // The sender is a field of the same value, so that the wait can't fail.
        drop(self.link.subscribe().wait_for(|link| link.mode != Mode::Stalled).await);
    }
}
