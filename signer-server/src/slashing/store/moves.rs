//! What moving all records to another database, or receiving them, asks of a database beside
//! [`super::records::Records`].
//!
//! Invariant: a database whose records have departed clears nothing, whoever is connected to it,
//! until they come back; keys that are registered there meanwhile are switched off, too. Where they
//! went, and which keys could sign before, lies in two tables that only a departure makes; an empty
//! table is none.
//!
//! On a database that live signers share, a call that switches keys takes the locks that clearing a
//! duty takes, in the same order.

use signer_client::wire::PublicKey;
use uuid::Uuid;

use super::StoreError;

/// Where the records of a database went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Departure {
    /// Identity of the database that has them now.
    pub(crate) target: Uuid,
    /// Whether the keys are known to sign there: whoever asks again must not switch any of them on.
    pub(crate) is_complete: bool,
    /// The keys that could sign before, ascending.
    pub(crate) enabled: Vec<PublicKey>,
}

/// A database that takes part in a move. Every call is one durable transaction.
pub(crate) trait Moves: Send {
    /// Identity of the database.
    fn cluster(&self) -> Uuid;

    /// Makes state for those of the keys that have none, and switches all of them off.
    fn switch_off(
        &mut self,
        keys: &[PublicKey],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Where the records went; `None` while they are here.
    fn departure(&mut self) -> impl Future<Output = Result<Option<Departure>, StoreError>> + Send;

    /// Switches all keys off and remembers which were on. Only while the records are here.
    fn depart(&mut self, target: Uuid) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Notes that the keys sign in the database that the records went to.
    fn complete_departure(&mut self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Switches keys on and forgets that the records were ever elsewhere.
    fn arrive(
        &mut self,
        enabled: &[PublicKey],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
