//! Signals of the operating system.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// SIGHUP: read the key sources again.
    Reload,
    /// SIGTERM or SIGINT: stop in order.
    Stop,
}

/// The signals that the signer listens to, from now on.
pub struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts listening. Needs the runtime.
    ///
    /// # Errors
    /// When the operating system refuses a handler.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The next wish.
    pub async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.hangup.recv() => Wish::Reload,
            () = stop(&mut self.interrupt, &mut self.terminate) => Wish::Stop,
        }
    }

    /// The next wish to stop. A reload that is wished for meanwhile waits for [`Self::next`].
    pub async fn stop(&mut self) {
        stop(&mut self.interrupt, &mut self.terminate).await;
    }
}

async fn stop(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
