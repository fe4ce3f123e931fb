//! The two kinds of slashable duty, as far as they differ: their statement, their rule, their part
//! of a key's history.
//!
//! The schema's functions decide; the pure rules only name the reason of a refusal, from what one
//! statement reads about all refused keys.

mod attestations;
mod blocks;

use signer_client::wire::Root;
use sqlx::{PgConnection, Row, postgres::PgRow};

pub(super) use self::{attestations::Attestations, blocks::Blocks};
use super::{
    audit::AuditColumns,
    identity,
    veto::{Released, Veto},
};
use crate::slashing::{
    StoreError,
    marker::Identity,
    rules::{HistoryNeeded, Verdict},
    store::{Request, RolledBack, rows::root_column},
};

/// A request on its way to the database.
#[derive(Debug)]
pub(super) struct Item<'a, Subject> {
    /// Its place in the batch.
    pub(super) place: usize,
    /// The key's id in the database.
    pub(super) validator: i32,
    pub(super) request: &'a Request<Subject>,
}

impl<Subject> Clone for Item<'_, Subject> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Subject> Copy for Item<'_, Subject> {}

/// What the database says about one item.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<Subject> {
    /// A verdict's number, as the schema lists them.
    pub(super) verdict: i16,
    /// The key's maxima before this duty.
    pub(super) known: Option<Subject>,
    /// The transaction that recorded it.
    pub(super) xid: i64,
}

/// Everything that a rule needs to name the reason of a refusal.
#[derive(Debug)]
pub(super) struct Evidence<K: Kind> {
    pub(super) pinned: Option<Root>,
    pub(super) high_watermark: Option<K::Watermark>,
    /// `None` for a key without state.
    pub(super) state: Option<K::State>,
    pub(super) history: Vec<K::Record>,
}

/// What [`super::clear`] needs to know about a kind.
pub(super) trait Kind: Sized + Send + 'static {
    type Subject: Copy + Send + Sync + std::fmt::Debug;
    type Record: Copy + Send + Sync + std::fmt::Debug;
    type State: Copy + Send + std::fmt::Debug;
    type Watermark: Copy + Send + std::fmt::Debug;

    /// Those of some keys whose state nobody has locked at this moment.
    const UNLOCKED: &'static str;

    /// Whether the database's numbers reach this far.
    fn fits(subject: Self::Subject) -> bool;

    /// Sends the items as one transaction; answers come in the order of the items. Fails if it is
    /// not the database that is `expected`: the ids of the items are nothing to another one.
    fn ask(
        connection: &mut PgConnection,
        items: &[Item<'_, Self::Subject>],
        pin: bool,
        expected: &Identity,
    ) -> impl Future<Output = Result<Vec<Answer<Self::Subject>>, StoreError>> + Send;

    /// Reads what the items were compared with, in their order.
    fn evidence(
        connection: &mut PgConnection,
        items: &[Item<'_, Self::Subject>],
    ) -> impl Future<Output = Result<Vec<Evidence<Self>>, StoreError>> + Send;

    fn judge(
        evidence: &Evidence<Self>,
        state: &Self::State,
        request: &Request<Self::Subject>,
    ) -> Result<Verdict, HistoryNeeded>;

    /// Asks whether the maximum of a key (its id is `$1`) has reached `$2`.
    const HAS_REACHED: &'static str;

    /// The part of a subject that [`Self::HAS_REACHED`] takes.
    fn height(subject: Self::Subject) -> i64;

    /// Number of the partition that the subject's record goes to, where there are partitions.
    fn partition(subject: Self::Subject) -> Option<i64>;

    /// The part of a store's memory for this kind.
    fn veto(veto: &mut Veto) -> &mut Released<Self>;

    /// Both maxima together.
    fn highest(one: Self::Subject, other: Self::Subject) -> Self::Subject;

    /// Whether `known` is at least `wanted`.
    fn reaches(known: Self::Subject, wanted: Self::Subject) -> bool;

    fn record(subject: Self::Subject, signing_root: Root) -> Self::Record;

    /// Whether a new record is safe beside these.
    fn is_safe_beside(
        max: Self::Subject,
        recent: &[Self::Record],
        subject: Self::Subject,
        signing_root: Root,
    ) -> bool;
}

fn known_root(root: Root) -> Option<Root> {
    (root != Root::ZERO).then_some(root)
}

/// Puts the answers, which come in any order, to their items.
fn in_order<Subject: Copy>(
    rows: &[PgRow],
    count: usize,
    expected: &Identity,
    known: impl Fn(&PgRow) -> Result<Option<Subject>, StoreError>,
) -> Result<Vec<Answer<Subject>>, StoreError> {
    let impossible = StoreError::ImpossibleValue { column: "ord" };
    // Without the one row about the database as a whole there are none.
    let first = rows.first().ok_or(RolledBack::TablesLost)?;
    identity::check_beside_answer(first, expected)?;
    let mut answers = vec![None; count];
    for row in rows {
        let place: i64 = row.try_get("ord")?;
        let place = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        let Some(answer) = place.and_then(|place| answers.get_mut(place)) else {
            return Err(impossible);
        };
        let verdict = row.try_get("verdict")?;
        *answer = Some(Answer { verdict, known: known(row)?, xid: row.try_get("xid")? });
    }
    answers.into_iter().collect::<Option<Vec<_>>>().ok_or(impossible)
}

fn validators<Subject>(items: &[Item<'_, Subject>]) -> Vec<i32> {
    items.iter().map(|item| item.validator).collect()
}

fn roots<'a, Subject>(items: &[Item<'a, Subject>]) -> Vec<Option<&'a [u8]>> {
    items.iter().map(|item| root_column(&item.request.signing_root)).collect()
}

fn chains<'a, Subject>(items: &[Item<'a, Subject>]) -> Vec<&'a [u8]> {
    let chain = |item: &Item<'a, Subject>| item.request.genesis_validators_root.as_bytes();
    items.iter().map(|item| chain(item).as_slice()).collect()
}

fn audit_rows<Subject>(items: &[Item<'_, Subject>]) -> AuditColumns {
    AuditColumns::of(items.iter().map(|item| &*item.request.audit))
}
