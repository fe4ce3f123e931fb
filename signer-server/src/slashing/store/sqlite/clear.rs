//! One batch: decide every request, record the new ones in one transaction.

use signer_client::wire::Root;
use sqlx::{Connection, SqliteConnection};

use super::{
    SqliteStore, audit,
    kind::{Allowed, Kind},
    state::KeyState,
};
use crate::{
    clock,
    slashing::{
        StoreError,
        refusal::Refusal,
        rules::{self, Verdict},
        store::{Decision, Request, rows::to_stored},
    },
};

impl SqliteStore {
    /// See [`crate::slashing::store::Store::clear_attestations`].
    pub(super) async fn clear<K: Kind>(
        &mut self,
        batch: &[Request<K::Subject>],
    ) -> Result<Vec<Decision>, StoreError> {
        self.connection()?;
        let mut decisions = Vec::with_capacity(batch.len());
        let mut allowed: Vec<(usize, Allowed<'_, K::Subject>)> = Vec::new();
        let mut pinned = self.state.genesis_validators_root;
        for (index, request) in batch.iter().enumerate() {
            let Some(&state) = self.state.keys.get(&request.key) else {
                decisions.push(Decision::Unregistered);
                continue;
            };
            decisions.push(match self.judge::<K>(&state, pinned, request).await {
                Ok(Verdict::Repeat) => Decision::Repeat,
                Ok(Verdict::Refused(refusal)) => Decision::Refused(refusal),
                // A damaged place in one key's history is no reason to refuse the others.
                Err(error) => {
                    let key = request.key;
                    tracing::error!(%key, %error, "the history of a key can't be read");
                    Decision::Unreadable
                }
                Ok(Verdict::New) => {
                    // The first allowed duty of a database says which chain it protects.
                    pinned = pinned.or(Some(request.genesis_validators_root));
                    let state_after = K::with_recorded(state, request.subject);
                    allowed.push((index, Allowed { request, state_after }));
                    Decision::New
                }
            });
        }
        if !allowed.is_empty() {
            let records: Vec<_> = allowed.iter().map(|(_, allowed)| *allowed).collect();
            match self.record::<K>(&records, pinned).await {
                Ok(()) => {}
                // One record that the database refuses must not take the others with it.
                Err(StoreError::Constraint(_)) => {
                    for (index, record) in allowed {
                        decisions[index] = self.record_alone::<K>(record, pinned).await?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        // A repeat counts, too: its first signature may never have left.
        let releases = |decision: &Decision| matches!(decision, Decision::New | Decision::Repeat);
        if decisions.iter().any(releases) {
            self.check_in_place()?;
        }
        Ok(decisions)
    }

    async fn judge<K: Kind>(
        &mut self,
        state: &KeyState,
        pinned: Option<Root>,
        request: &Request<K::Subject>,
    ) -> Result<Verdict, StoreError> {
        let claimed = request.genesis_validators_root;
        if let Err(refusal) = rules::genesis_validators_root(pinned, claimed) {
            return Ok(Verdict::Refused(refusal));
        }
        let high_watermark = self.state.high_watermark;
        if let Ok(verdict) = K::judge(state, high_watermark, request, None) {
            return Ok(verdict);
        }
        let history = K::history(self.connection()?, state.id, request.subject).await?;
        // With a history the rules always decide; if ever they did not, nothing would be signed.
        K::judge(state, high_watermark, request, Some(&history)).map_err(|_| StoreError::NotOpen)
    }

    /// Records all of them or none, then moves the state in memory.
    async fn record<K: Kind>(
        &mut self,
        records: &[Allowed<'_, K::Subject>],
        pinned: Option<Root>,
    ) -> Result<(), StoreError> {
        self.log_grew = true;
        let batches = self.state.batches + 1;
        write::<K>(self.connection()?, records, batches, pinned).await?;
        self.state.batches = batches;
        self.state.genesis_validators_root = pinned;
        for record in records {
            self.state.keys.insert(record.request.key, record.state_after);
        }
        Ok(())
    }

    async fn record_alone<K: Kind>(
        &mut self,
        record: Allowed<'_, K::Subject>,
        pinned: Option<Root>,
    ) -> Result<Decision, StoreError> {
        match self.record::<K>(&[record], pinned).await {
            Ok(()) => Ok(Decision::New),
            Err(StoreError::Constraint(error)) => {
                let key = record.request.key;
                tracing::error!(
                    %key, %error,
                    "the slashing protection database contradicts its own state; the key signs \
                     nothing of this kind until the next start"
                );
                if let Some(state) = self.state.keys.get_mut(&key) {
                    K::disable(state);
                }
                Ok(Decision::Refused(Refusal::RecordInTheWay))
            }
            Err(error) => Err(error),
        }
    }
}

/// The transaction. Dropped halfway it is rolled back.
async fn write<K: Kind>(
    connection: &mut SqliteConnection,
    records: &[Allowed<'_, K::Subject>],
    batches: u64,
    pinned: Option<Root>,
) -> Result<(), StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let moved = K::write(&mut transaction, records, clock::now_unix_micros()).await?;
    let missing = (records.len() as u64).saturating_sub(moved);
    if missing > 0 {
        return Err(StoreError::StateMissing { missing });
    }
    sqlx::query("UPDATE sp_meta SET batches = $1, genesis_validators_root = $2")
        .bind(to_stored(batches))
        .bind(pinned.as_ref().map(|root| root.as_bytes().as_slice()))
        .execute(&mut *transaction)
        .await?;
    let entries: Vec<_> = records.iter().map(|record| &*record.request.audit).collect();
    audit::insert(&mut transaction, &entries).await?;
    Ok(transaction.commit().await?)
}
