//! Attestations: source and target, and a history with surrounding votes.

use signer_client::wire::{Epoch, Root};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    super::{
        columns::{audit_column_names, audit_columns_from_arrays},
        identity::{self, other_identity},
        partitions,
        veto::{Released, Veto},
    },
    Answer, Evidence, Item, Kind, audit_rows, chains, in_order, known_root, roots, validators,
};
use crate::slashing::{
    StoreError,
    marker::Identity,
    refusal::RecordedAttestation,
    rules::{self, AttestationState, HistoryNeeded, LARGEST, Verdict, VoteEpochs},
    store::{
        Request,
        rows::{high_watermark, stored_root, to_stored, vote_epochs},
    },
};

/// Attestations.
#[derive(Debug)]
pub(in super::super) struct Attestations;

const ATTEST: &str = concat!(
    "WITH verdicts AS MATERIALIZED (SELECT * FROM sp_attest($18, $19, $20, $21, $22, $23)), \
     audited AS (INSERT INTO audit (",
    audit_column_names!(),
    ") SELECT ",
    audit_column_names!(),
    " FROM ",
    audit_columns_from_arrays!(),
    " JOIN verdicts USING (ord) WHERE verdict = 1 ON CONFLICT (id) DO NOTHING) \
     SELECT ord, verdict, known_source, known_target, xid, ",
    other_identity!("24", "25"),
    " FROM verdicts"
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
        expected: &Identity,
    ) -> Result<Vec<Answer<VoteEpochs>>, StoreError> {
        let (sources, targets) = epoch_columns(items);
        let (cluster, table) = identity::parameters(expected);
        let rows = audit_rows(items)
            .bind(sqlx::query(ATTEST))
            .bind(validators(items))
            .bind(sources)
            .bind(targets)
            .bind(roots(items))
            .bind(chains(items))
            .bind(pin)
            .bind(cluster)
            .bind(table)
            .fetch_all(connection)
            .await?;
        in_order(&rows, items.len(), expected, |row| {
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
        Some(partitions::attestation_partition(subject.target))
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
