//! Who asked which key to sign what, when, and what was the answer: one row per signing request.
//!
//! A request opens a [`Ticket`] with [`Writer::begin`] before anything else is known about it and
//! ends it with [`Ticket::finish`]. A ticket that is dropped instead, because the client went away
//! or a handler failed, ends as [`Outcome::Abandoned`]. So every ticket leaves exactly one row.
//!
//! # When a row is durable
//! - Blocks and attestations that are signed for the first time: together with their slashing
//!   record, in one transaction, before the signature can leave. `SlashingProtection::clear`
//!   borrows the ticket for that. The row then says [`Outcome::Signed`] with the reason
//!   [`UNCONFIRMED`] until the end of the ticket completes it with the real outcome and timings.
//! - Everything else: in a buffer that is written in batches, at the latest after
//!   [`FLUSH_INTERVAL`]. A crash loses at most what came in during the last interval.
//! - With [`Durability::Strict`] every signature waits for its row ([`Ticket::release`]): the
//!   database task writes such rows at once, as many as wait by then in one transaction.
//!
//! Both ways write the row under the id that the ticket got at its beginning, so that no order of
//! events and no repeated write can make two rows of one request.
//!
//! # When the buffer is full
//! [`Ticket::wait_for_room`] holds back aggregates, selection proofs and background work, each
//! class at its own bound, before they are signed. Blocks and attestations never wait. While the
//! database is away nobody waits; rows are kept up to a bound and lost ones are counted and logged.

mod buffer;
mod entry;
mod filter;
pub(crate) mod id_text;
mod ids;
mod options;
mod query;
mod retention;
mod ticket;

pub(crate) use buffer::{Buffer, Row, SMALL_WRITE, WRITE_BATCH};
pub use buffer::{FLUSH_INTERVAL, Room, Writer};
pub use entry::{Client, Entry, Outcome, UNCONFIRMED};
pub use filter::{Filter, MAX_PAGE, Page};
pub(crate) use filter::{PageBuilder, stored_bounds};
pub(crate) use ids::Ids;
pub use options::{AuditOptions, Durability};
pub use query::{BadCondition, FilterText};
pub use retention::{Retention, RowClass};
pub use ticket::{NotDurable, Ticket};

#[cfg(test)]
mod tests;
