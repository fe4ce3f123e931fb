//! The two kinds of slashable duty, as far as they differ: their statement, their rule, their part
//! of a key's history.
//!
//! The schema's functions decide; the pure rules only name the reason of a refusal, from what one
//! statement reads about all refused keys.

use signer_client::wire::{Epoch, Root, Slot};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    audit::AuditColumns,
    columns::{audit_column_names, audit_columns_from_arrays},
    identity::high_watermark,
    rows::{root_column, stored_number, stored_root, to_stored},
    veto::{Released, Veto},
};
use crate::slashing::{
    StoreError,
    refusal::{RecordedAttestation, RecordedBlock},
    rules::{self, AttestationState, BlockState, HistoryNeeded, LARGEST, Verdict, VoteEpochs},
    store::{Request, RolledBack},
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

    /// Sends the items as one transaction; answers come in the order of the items. Fails if the
    /// database is another one than `cluster`: the ids of the items are nothing to it.
    fn ask(
        connection: &mut PgConnection,
        items: &[Item<'_, Self::Subject>],
        pin: bool,
        cluster: Uuid,
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
    cluster: Uuid,
    known: impl Fn(&PgRow) -> Result<Option<Subject>, StoreError>,
) -> Result<Vec<Answer<Subject>>, StoreError> {
    let impossible = StoreError::ImpossibleValue { column: "ord" };
    // Without the one row about the database as a whole there are none.
    let first = rows.first().ok_or(RolledBack::TablesLost)?;
    if let Some(found) = first.try_get::<Option<&str>, _>("other_cluster")? {
        let impossible = StoreError::ImpossibleValue { column: "cluster" };
        let found = found.parse().map_err(|_| impossible)?;
        return Err(RolledBack::AnotherDatabase { expected: cluster, found }.into());
    }
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

/// Attestations.
#[derive(Debug)]
pub(super) struct Attestations;

const ATTEST: &str = concat!(
    "WITH verdicts AS MATERIALIZED (SELECT * FROM sp_attest($18, $19, $20, $21, $22, $23)), \
     audited AS (INSERT INTO audit (",
    audit_column_names!(),
    ") SELECT ",
    audit_column_names!(),
    " FROM ",
    audit_columns_from_arrays!(),
    " JOIN verdicts USING (ord) WHERE verdict = 1 ON CONFLICT (id) DO NOTHING) \
     SELECT ord, verdict, known_source, known_target, xid, \
       NULLIF((SELECT cluster FROM sp_meta), $24::uuid)::text AS other_cluster FROM verdicts"
);

const ATTESTATION_EVIDENCE: &str = "SELECT t.ord, m.genesis_validators_root, m.high_epoch, \
     m.high_slot, s.enabled, s.floor_source, s.floor_target, s.max_source, s.max_target, \
     same.source_epoch AS same_source, same.target_epoch AS same_target, \
     same.signing_root AS same_root, around.source_epoch AS around_source, \
     around.target_epoch AS around_target, around.signing_root AS around_root, \
     inside.source_epoch AS inside_source, inside.target_epoch AS inside_target, \
     inside.signing_root AS inside_root \
     FROM unnest($1::int[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS t (vid, src, tgt, ord) \
     CROSS JOIN sp_meta m \
     LEFT JOIN att_state s ON s.validator_id = t.vid \
     LEFT JOIN signed_attestation same \
       ON same.validator_id = t.vid AND same.target_epoch = t.tgt \
     LEFT JOIN LATERAL (SELECT a.* FROM signed_attestation a WHERE a.validator_id = t.vid \
       AND a.target_epoch > t.tgt AND a.source_epoch < t.src LIMIT 1) around ON true \
     LEFT JOIN LATERAL (SELECT a.* FROM signed_attestation a WHERE a.validator_id = t.vid \
       AND a.target_epoch < t.tgt AND a.source_epoch > t.src LIMIT 1) inside ON true \
     ORDER BY t.ord";

/// A pair of columns; `None` where either is none.
pub(super) fn vote_epochs(
    row: &PgRow,
    source: &'static str,
    target: &'static str,
) -> Result<Option<VoteEpochs>, StoreError> {
    let pair = stored_number(row, source)?.zip(stored_number(row, target)?);
    Ok(pair.map(|(source, target)| VoteEpochs { source: Epoch(source), target: Epoch(target) }))
}

impl Kind for Attestations {
    type Subject = VoteEpochs;
    type Record = RecordedAttestation;
    type State = AttestationState;
    type Watermark = Epoch;

    const UNLOCKED: &'static str = "SELECT validator_id FROM att_state \
         WHERE validator_id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED";

    fn fits(VoteEpochs { source, target }: VoteEpochs) -> bool {
        source.0 <= LARGEST && target.0 <= LARGEST
    }

    async fn ask(
        connection: &mut PgConnection,
        items: &[Item<'_, VoteEpochs>],
        pin: bool,
        cluster: Uuid,
    ) -> Result<Vec<Answer<VoteEpochs>>, StoreError> {
        let (sources, targets) = epoch_columns(items);
        let rows = audit_rows(items)
            .bind(sqlx::query(ATTEST))
            .bind(validators(items))
            .bind(sources)
            .bind(targets)
            .bind(roots(items))
            .bind(chains(items))
            .bind(pin)
            .bind(cluster.to_string())
            .fetch_all(connection)
            .await?;
        in_order(&rows, items.len(), cluster, |row| {
            vote_epochs(row, "known_source", "known_target")
        })
    }

    async fn evidence(
        connection: &mut PgConnection,
        items: &[Item<'_, VoteEpochs>],
    ) -> Result<Vec<Evidence<Self>>, StoreError> {
        let (sources, targets) = epoch_columns(items);
        let rows = sqlx::query(ATTESTATION_EVIDENCE)
            .bind(validators(items))
            .bind(sources)
            .bind(targets)
            .fetch_all(connection)
            .await?;
        rows.iter().map(attestation_evidence).collect()
    }

    fn judge(
        evidence: &Evidence<Self>,
        state: &AttestationState,
        request: &Request<VoteEpochs>,
    ) -> Result<Verdict, HistoryNeeded> {
        let Request { subject, signing_root, .. } = *request;
        let history = Some(evidence.history.as_slice());
        rules::attestation(state, evidence.high_watermark, subject, signing_root, history)
    }

    const HAS_REACHED: &'static str =
        "SELECT EXISTS (SELECT FROM att_state WHERE validator_id = $1 AND max_target >= $2)";

    fn height(subject: VoteEpochs) -> i64 {
        to_stored(subject.target.0)
    }

    fn partition(subject: VoteEpochs) -> Option<i64> {
        Some(super::partitions::attestation_partition(subject.target))
    }

    fn veto(veto: &mut Veto) -> &mut Released<Self> {
        &mut veto.attestations
    }

    fn highest(one: VoteEpochs, other: VoteEpochs) -> VoteEpochs {
        VoteEpochs { source: one.source.max(other.source), target: one.target.max(other.target) }
    }

    fn reaches(known: VoteEpochs, wanted: VoteEpochs) -> bool {
        known.source >= wanted.source && known.target >= wanted.target
    }

    fn record(VoteEpochs { source, target }: VoteEpochs, root: Root) -> RecordedAttestation {
        RecordedAttestation { source, target, signing_root: known_root(root) }
    }

    fn is_safe_beside(
        max: VoteEpochs,
        recent: &[RecordedAttestation],
        subject: VoteEpochs,
        signing_root: Root,
    ) -> bool {
        let state = AttestationState { enabled: true, floor: None, max: Some(max) };
        rules::attestation(&state, None, subject, signing_root, Some(recent)) == Ok(Verdict::New)
    }
}

fn epoch_columns(items: &[Item<'_, VoteEpochs>]) -> (Vec<i64>, Vec<i64>) {
    let subjects = items.iter().map(|item| item.request.subject);
    subjects.map(|subject| (to_stored(subject.source.0), to_stored(subject.target.0))).unzip()
}

fn attestation_evidence(row: &PgRow) -> Result<Evidence<Attestations>, StoreError> {
    let enabled: Option<bool> = row.try_get("enabled")?;
    let floor = vote_epochs(row, "floor_source", "floor_target")?;
    let max = vote_epochs(row, "max_source", "max_target")?;
    let mut history = Vec::new();
    for (source, target, root) in [
        ("same_source", "same_target", "same_root"),
        ("around_source", "around_target", "around_root"),
        ("inside_source", "inside_target", "inside_root"),
    ] {
        if let Some(VoteEpochs { source, target }) = vote_epochs(row, source, target)? {
            let signing_root = stored_root(row, root)?;
            history.push(RecordedAttestation { source, target, signing_root });
        }
    }
    Ok(Evidence {
        pinned: stored_root(row, "genesis_validators_root")?,
        high_watermark: high_watermark(row)?.map(|high| high.epoch),
        state: enabled.map(|enabled| AttestationState { enabled, floor, max }),
        history,
    })
}

/// Blocks.
#[derive(Debug)]
pub(super) struct Blocks;

const BLOCK: &str = concat!(
    "WITH verdicts AS MATERIALIZED (SELECT * FROM sp_block($18, $19, $20, $21, $22)), \
     audited AS (INSERT INTO audit (",
    audit_column_names!(),
    ") SELECT ",
    audit_column_names!(),
    " FROM ",
    audit_columns_from_arrays!(),
    " JOIN verdicts USING (ord) WHERE verdict = 1 ON CONFLICT (id) DO NOTHING) \
     SELECT ord, verdict, known_slot, xid, \
       NULLIF((SELECT cluster FROM sp_meta), $23::uuid)::text AS other_cluster FROM verdicts"
);

const BLOCK_EVIDENCE: &str = "SELECT t.ord, m.genesis_validators_root, m.high_epoch, m.high_slot, \
     s.enabled, s.floor_slot, s.max_slot, same.slot AS same_slot, same.signing_root AS same_root \
     FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS t (vid, slot, ord) \
     CROSS JOIN sp_meta m \
     LEFT JOIN blk_state s ON s.validator_id = t.vid \
     LEFT JOIN signed_block same ON same.validator_id = t.vid AND same.slot = t.slot \
     ORDER BY t.ord";

impl Kind for Blocks {
    type Subject = Slot;
    type Record = RecordedBlock;
    type State = BlockState;
    type Watermark = Slot;

    const UNLOCKED: &'static str = "SELECT validator_id FROM blk_state \
         WHERE validator_id = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED";

    fn fits(slot: Slot) -> bool {
        slot.0 <= LARGEST
    }

    async fn ask(
        connection: &mut PgConnection,
        items: &[Item<'_, Slot>],
        pin: bool,
        cluster: Uuid,
    ) -> Result<Vec<Answer<Slot>>, StoreError> {
        let rows = audit_rows(items)
            .bind(sqlx::query(BLOCK))
            .bind(validators(items))
            .bind(slot_column(items))
            .bind(roots(items))
            .bind(chains(items))
            .bind(pin)
            .bind(cluster.to_string())
            .fetch_all(connection)
            .await?;
        in_order(&rows, items.len(), cluster, |row| Ok(stored_number(row, "known_slot")?.map(Slot)))
    }

    async fn evidence(
        connection: &mut PgConnection,
        items: &[Item<'_, Slot>],
    ) -> Result<Vec<Evidence<Self>>, StoreError> {
        let rows = sqlx::query(BLOCK_EVIDENCE)
            .bind(validators(items))
            .bind(slot_column(items))
            .fetch_all(connection)
            .await?;
        rows.iter().map(block_evidence).collect()
    }

    fn judge(
        evidence: &Evidence<Self>,
        state: &BlockState,
        request: &Request<Slot>,
    ) -> Result<Verdict, HistoryNeeded> {
        let Request { subject, signing_root, .. } = *request;
        let history = Some(evidence.history.as_slice());
        rules::block(state, evidence.high_watermark, subject, signing_root, history)
    }

    const HAS_REACHED: &'static str =
        "SELECT EXISTS (SELECT FROM blk_state WHERE validator_id = $1 AND max_slot >= $2)";

    fn height(slot: Slot) -> i64 {
        to_stored(slot.0)
    }

    fn partition(_: Slot) -> Option<i64> {
        None
    }

    fn veto(veto: &mut Veto) -> &mut Released<Self> {
        &mut veto.blocks
    }

    fn highest(one: Slot, other: Slot) -> Slot {
        one.max(other)
    }

    fn reaches(known: Slot, wanted: Slot) -> bool {
        known >= wanted
    }

    fn record(slot: Slot, root: Root) -> RecordedBlock {
        RecordedBlock { slot, signing_root: known_root(root) }
    }

    fn is_safe_beside(max: Slot, recent: &[RecordedBlock], slot: Slot, signing_root: Root) -> bool {
        let state = BlockState { enabled: true, floor: None, max: Some(max) };
        rules::block(&state, None, slot, signing_root, Some(recent)) == Ok(Verdict::New)
    }
}

fn slot_column(items: &[Item<'_, Slot>]) -> Vec<i64> {
    items.iter().map(|item| to_stored(item.request.subject.0)).collect()
}

fn block_evidence(row: &PgRow) -> Result<Evidence<Blocks>, StoreError> {
    let enabled: Option<bool> = row.try_get("enabled")?;
    let floor = stored_number(row, "floor_slot")?.map(Slot);
    let max = stored_number(row, "max_slot")?.map(Slot);
    let slot = stored_number(row, "same_slot")?.map(Slot);
    let signing_root = stored_root(row, "same_root")?;
    Ok(Evidence {
        pinned: stored_root(row, "genesis_validators_root")?,
        high_watermark: high_watermark(row)?.map(|high| high.slot),
        state: enabled.map(|enabled| BlockState { enabled, floor, max }),
        history: slot.map(|slot| RecordedBlock { slot, signing_root }).into_iter().collect(),
    })
}
