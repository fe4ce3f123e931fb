//! What tells a database from every other one, and from its own copies, and how a marker words it.

use std::path::Path;

use uuid::Uuid;

/// The line that carries the identity begins with this.
pub(super) const CLUSTER: &str = "cluster: ";

/// The line that carries the number of transactions begins with this.
pub(super) const TRANSACTIONS: &str = "batches: ";

/// The lines about a database on a server begin with these.
const TABLE: &str = "table: ";
const SYSTEM: &str = "system: ";
const TIMELINE: &str = "timeline: ";

/// The line that says why a signer halted on this database begins with this.
const HALTED: &str = "halted: ";

/// Which database it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::slashing) struct Identity {
    /// Given to the database when it was made, and renewed when an operator takes it although it
    /// has lost records. A copy has the same.
    pub(in crate::slashing) cluster: Uuid,
    /// `None` for a file, and in a marker that does not tell.
    pub(in crate::slashing) server: Option<Server>,
}

/// What the server says about itself and our tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::slashing) struct Server {
    /// The server's number for one of our tables: another one when they were made again, as a
    /// restored dump does.
    pub(in crate::slashing) table: i64,
    /// `None` for an engine that does not tell.
    pub(in crate::slashing) history: Option<History>,
}

/// Which line of events the server is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::slashing) struct History {
    /// Of the cluster of databases, as decimal digits: all its physical copies have the same.
    pub(in crate::slashing) system: String,
    /// In hexadecimal: goes up when a standby is promoted or a backup is restored to a point in
    /// time.
    pub(in crate::slashing) timeline: String,
}

impl Identity {
    /// Of a database file.
    pub(in crate::slashing) const fn of_file(cluster: Uuid) -> Self {
        Self { cluster, server: None }
    }

    /// Whether a marker that says this is about the same database, as far as it tells: those of
    /// earlier versions knew nothing of servers.
    pub(in crate::slashing) fn is_remembered_by(&self, marker: &Self) -> bool {
        self.cluster == marker.cluster
            && marker.server.as_ref().is_none_or(|server| Some(server) == self.server.as_ref())
    }
}

/// What a marker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::slashing) struct Memory {
    /// The database that registered keys.
    pub(in crate::slashing) identity: Identity,
    /// Transactions that it had at least; zero in a marker that does not tell.
    pub(in crate::slashing) transactions: u64,
    /// Why a signer halted on it, until an operator has confirmed it: what gave the database away
    /// may be gone by the next start. Only of a database on a server.
    pub(in crate::slashing) halted: Option<String>,
}

/// What a marker's text says; `None` when it is damaged.
pub(super) fn parse(text: &str) -> Option<Memory> {
    let value = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let cluster = value(CLUSTER)?.parse().ok()?;
    let transactions = value(TRANSACTIONS).map_or(Some(0), |number| number.parse().ok())?;
    let history = match (value(SYSTEM), value(TIMELINE)) {
        (Some(system), Some(timeline)) => {
            let is_known = !system.is_empty() && !timeline.is_empty();
            let (system, timeline) = (system.to_owned(), timeline.to_owned());
            Some(is_known.then_some(History { system, timeline })?)
        }
        (None, None) => None,
        _ => return None,
    };
    let server = match value(TABLE) {
        Some(table) => Some(Server { table: table.parse().ok()?, history }),
        None if history.is_some() => return None,
        None => None,
    };
    let halted = value(HALTED).map(str::to_owned);
    Some(Memory { identity: Identity { cluster, server }, transactions, halted })
}

/// The text of a marker.
pub(super) fn render(memory: &Memory, database: &Path) -> String {
    let Memory { identity: Identity { cluster, server }, transactions, halted } = memory;
    let halted = halted.as_ref().map(|reason| format!("{HALTED}{reason}\n"));
    let history = server.as_ref().and_then(|server| server.history.as_ref());
    let table = server.as_ref().map(|server| format!("{TABLE}{}\n", server.table));
    let history = history
        .map(|History { system, timeline }| format!("{SYSTEM}{system}\n{TIMELINE}{timeline}\n"));
    format!(
        "Midslot has registered validator keys in the slashing protection database below.\n\
         Keep this file: it stops the signer from starting with that database lost.\n\
         {CLUSTER}{cluster}\n\
         {TRANSACTIONS}{transactions}\n\
         {}{}{}\
         database: {}\n",
        table.unwrap_or_default(),
        history.unwrap_or_default(),
        halted.unwrap_or_default(),
        database.display()
    )
}
