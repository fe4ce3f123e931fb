//! One batch: ask the database, mend what can be mended, name the reasons of refusals.

use std::{collections::HashSet, sync::Arc, time::Duration};

use signer_client::wire::PublicKey;
use tokio::time::Instant;

use super::{
    Newest, PostgresStore, audit,
    error::Remedy,
    kind::{Answer, Evidence, Item, Kind},
    partitions, register,
    session::in_time,
};
use crate::slashing::{
    StoreError,
    refusal::Refusal,
    rules::{self, Verdict},
    store::{Decision, Request, RolledBack},
};

/// Verdicts, as the schema lists them.
const NEW: i16 = 1;
const REPEAT: i16 = 2;
const NO_STATE: i16 = 9;
const NO_CHAIN: i16 = 10;

/// Not a verdict of the database: it was not asked, because it could not hold the numbers.
const TOO_LARGE: i16 = 0;

/// The rule behind a verdict, for a refusal that the records no longer explain.
const fn rule(verdict: i16) -> &'static str {
    match verdict {
        3 => "it surrounds another attestation or is surrounded by one",
        4 => "it is not above the low watermark",
        5 => "another record is in its place",
        6 => "it reaches the high watermark",
        7 => "its source is after its target",
        8 => "the key is disabled",
        11 => "it belongs to another chain",
        TOO_LARGE => "it has a number above 2^63 - 1",
        _ => "the signer does not know this verdict",
    }
}

/// After a lock could not be had in time, this long every batch looks first which keys are locked.
const CONTENTION: Duration = Duration::from_secs(5);

/// What became of one item.
type Outcome<Subject> = Result<Answer<Subject>, Decision>;

impl PostgresStore {
    /// See [`crate::slashing::store::Store::clear_attestations`].
    pub(super) async fn clear<K: Kind>(
        &mut self,
        batch: &[Request<K::Subject>],
    ) -> Result<Vec<Decision>, StoreError> {
        self.shared.check_not_halted()?;
        let mut decisions = vec![Decision::Unregistered; batch.len()];
        let mut items = self.items::<K>(batch).await?;
        // The order of ids, in which the database locks.
        items.sort_unstable_by_key(|item| item.validator);
        // What the database's numbers can't hold is refused without being sent.
        let (items, too_large): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| K::fits(item.request.subject));

        let outcomes = self.settle_unlocked::<K>(&items).await?;
        let mut refused: Vec<(Item<'_, K::Subject>, i16)> =
            too_large.into_iter().map(|item| (item, TOO_LARGE)).collect();
        for (item, outcome) in items.iter().zip(outcomes) {
            decisions[item.place] = match outcome {
                Err(decision) => decision,
                // A key gets its id and its state in one transaction, for good.
                Ok(Answer { verdict: NO_STATE, .. }) => {
                    let key = item.request.key;
                    return Err(self.shared.halt(RolledBack::RecordsLost { key }));
                }
                Ok(answer) if matches!(answer.verdict, NEW | REPEAT) => {
                    self.release::<K>(item, &answer)?
                }
                Ok(answer) => {
                    refused.push((*item, answer.verdict));
                    continue;
                }
            };
        }
        self.explain::<K>(&refused, &mut decisions).await;
        Ok(decisions)
    }

    /// The requests whose keys are registered, with their ids.
    async fn items<'a, K: Kind>(
        &mut self,
        batch: &'a [Request<K::Subject>],
    ) -> Result<Vec<Item<'a, K::Subject>>, StoreError> {
        let unknown: Vec<PublicKey> = {
            let ids = self.shared.ids.read();
            let keys = batch.iter().map(|request| request.key);
            keys.filter(|key| !ids.contains_key(key)).collect()
        };
        if !unknown.is_empty() {
            let connection = self.connection()?;
            let found = in_time(register::look_up(connection, &unknown)).await?;
            self.shared.ids.write().extend(found);
        }
        let ids = self.shared.ids.read();
        let numbered = batch.iter().enumerate();
        Ok(numbered
            .filter_map(|(place, request)| {
                let validator = *ids.get(&request.key)?;
                Some(Item { place, validator, request })
            })
            .collect())
    }

    /// The same as [`Self::settle`], and nobody waits for keys that an operator's work has locked
    /// (an import, mostly) but those who ask for these keys.
    async fn settle_unlocked<K: Kind>(
        &mut self,
        items: &[Item<'_, K::Subject>],
    ) -> Result<Vec<Outcome<K::Subject>>, StoreError> {
        let is_contended = self.contended_until.is_some_and(|until| Instant::now() < until);
        if !is_contended {
            match self.settle::<K>(items).await {
                Err(error) if Remedy::of(&error) == Remedy::LeaveOutLocked => {
                    tracing::warn!(
                        "the records of some keys are locked by other work on the database; \
                         requests for them fail until it ends"
                    );
                    self.contended_until = Some(Instant::now() + CONTENTION);
                }
                settled => return settled,
            }
        }
        let ids: Vec<i32> = items.iter().map(|item| item.validator).collect();
        let query = sqlx::query_scalar(K::UNLOCKED).bind(ids);
        let connection = self.connection()?;
        let unlocked = async { Ok(query.fetch_all(connection).await?) };
        let unlocked: HashSet<i32> = in_time(unlocked).await?.into_iter().collect();
        let is_unlocked = |item: &Item<'_, K::Subject>| unlocked.contains(&item.validator);
        if !items.iter().all(is_unlocked) {
            self.contended_until = Some(Instant::now() + CONTENTION);
        }
        let free: Vec<_> = items.iter().copied().filter(is_unlocked).collect();
        let mut settled = self.settle::<K>(&free).await?.into_iter();
        let outcome = |item| {
            let outcome = if is_unlocked(item) { settled.next() } else { None };
            outcome.unwrap_or(Err(Decision::Unreadable))
        };
        Ok(items.iter().map(outcome).collect())
    }

    /// An outcome for every item, in their order.
    async fn settle<K: Kind>(
        &mut self,
        items: &[Item<'_, K::Subject>],
    ) -> Result<Vec<Outcome<K::Subject>>, StoreError> {
        if items.is_empty() {
            return Ok(vec![]);
        }
        let answers = match self.send::<K>(items, false).await {
            Ok(answers) => answers,
            // One record that the database refuses must not take the others with it.
            Err(error) if Remedy::of(&error) == Remedy::Singly => {
                let mut outcomes = Vec::with_capacity(items.len());
                for item in items {
                    outcomes.push(self.settle_alone::<K>(item).await?);
                }
                return Ok(outcomes);
            }
            Err(error) => return Err(error),
        };
        let mut outcomes: Vec<_> = answers.into_iter().map(Ok).collect();
        for (item, outcome) in items.iter().zip(&mut outcomes) {
            if matches!(outcome, Ok(Answer { verdict: NO_CHAIN, .. })) {
                *outcome = self.settle_alone::<K>(item).await?;
            }
        }
        Ok(outcomes)
    }

    /// One item in a transaction of its own, which may say which chain the database protects.
    async fn settle_alone<K: Kind>(
        &mut self,
        item: &Item<'_, K::Subject>,
    ) -> Result<Outcome<K::Subject>, StoreError> {
        let error = match self.send::<K>(&[*item], true).await {
            Ok(answers) => {
                let missing = StoreError::ImpossibleValue { column: "ord" };
                return answers.into_iter().next().map(Ok).ok_or(missing);
            }
            Err(error) if Remedy::of(&error) == Remedy::Singly => error,
            Err(error) => return Err(error),
        };
        let key = item.request.key;
        let is_in_the_way = matches!(&error, StoreError::Constraint(cause) if cause
            .as_database_error()
            .is_some_and(sqlx::error::DatabaseError::is_unique_violation));
        if is_in_the_way {
            tracing::error!(
                %key, %error, "the slashing protection database contradicts its own state"
            );
            return Ok(Err(Decision::Refused(Refusal::RecordInTheWay)));
        }
        tracing::error!(%key, %error, "the database can't handle the records of a key");
        Ok(Err(Decision::Unreadable))
    }

    /// Sends the items as one transaction, a second time where that can help.
    async fn send<K: Kind>(
        &mut self,
        items: &[Item<'_, K::Subject>],
        pin: bool,
    ) -> Result<Vec<Answer<K::Subject>>, StoreError> {
        let error = match self.send_once::<K>(items, pin).await {
            Err(error) => error,
            answers => return answers,
        };
        match Remedy::of(&error) {
            Remedy::Retry => {
                tracing::warn!(%error, "sending a batch of records again");
                self.send_once::<K>(items, pin).await
            }
            Remedy::Resend => {
                tracing::warn!(%error, "connecting again to send a batch of records again");
                self.reconnect().await?;
                let mut answers = self.send_once::<K>(items, pin).await?;
                self.tell_new_from_repeat(items, &mut answers).await?;
                Ok(answers)
            }
            Remedy::MakePartitions => {
                self.make_partitions::<K>(items).await?;
                self.send_once::<K>(items, pin).await
            }
            Remedy::LeaveOutLocked | Remedy::Singly | Remedy::GiveUp => Err(error),
        }
    }

    async fn send_once<K: Kind>(
        &mut self,
        items: &[Item<'_, K::Subject>],
        pin: bool,
    ) -> Result<Vec<Answer<K::Subject>>, StoreError> {
        let shared = Arc::clone(&self.shared);
        let asked = in_time(K::ask(self.connection()?, items, pin, &shared.identity)).await;
        let answers = asked.map_err(|error| shared.heed(error))?;
        if let Some(answer) = answers.iter().find(|answer| answer.verdict == NEW) {
            self.shared.note_durable(answer.xid);
        }
        Ok(answers)
    }

    /// After a batch was sent twice: what the first sending recorded is no repeat. Its audit row
    /// tells, because it is written in the same transaction.
    async fn tell_new_from_repeat<Subject: Copy + Sync>(
        &mut self,
        items: &[Item<'_, Subject>],
        answers: &mut [Answer<Subject>],
    ) -> Result<(), StoreError> {
        let repeats = items.iter().zip(&*answers).filter(|(_, answer)| answer.verdict == REPEAT);
        let ids: Vec<i64> = repeats.map(|(item, _)| item.request.audit.id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let written = in_time(audit::written(self.connection()?, &ids)).await?;
        for (item, answer) in items.iter().zip(answers) {
            if answer.verdict == REPEAT && written.contains(&item.request.audit.id) {
                answer.verdict = NEW;
            }
        }
        Ok(())
    }

    async fn make_partitions<K: Kind>(
        &mut self,
        items: &[Item<'_, K::Subject>],
    ) -> Result<(), StoreError> {
        let subjects = items.iter().map(|item| item.request.subject);
        let attestations: Vec<i64> = subjects.filter_map(K::partition).collect();
        let ids = items.iter().map(|item| item.request.audit.id);
        let days: Vec<i64> = ids.map(partitions::audit_day).collect();
        in_time(partitions::make(self.connection()?, &attestations, &days)).await
    }

    /// The last word before a signature may leave: what this process remembers.
    fn release<K: Kind>(
        &mut self,
        item: &Item<'_, K::Subject>,
        answer: &Answer<K::Subject>,
    ) -> Result<Decision, StoreError> {
        let Request { key, subject, signing_root, .. } = *item.request;
        let is_new = answer.verdict == NEW;
        let released = K::veto(&mut self.veto);
        // A batch that was sent twice says NEW of what its first sending recorded: the maxima then
        // include it, and nothing of it was remembered.
        if released.contradicts(&key, subject, signing_root, is_new, answer) {
            return Err(self.shared.halt(RolledBack::RecordsLost { key }));
        }
        released.remember(key, subject, signing_root);
        if is_new {
            self.shared.note_newest(Newest {
                xid: answer.xid,
                key,
                validator: item.validator,
                height: K::height(subject),
                has_reached: K::HAS_REACHED,
            });
        }
        Ok(if is_new { Decision::New } else { Decision::Repeat })
    }

    /// Names the reasons. Whatever happens here, refused stays refused.
    async fn explain<K: Kind>(
        &mut self,
        refused: &[(Item<'_, K::Subject>, i16)],
        decisions: &mut [Decision],
    ) {
        if refused.is_empty() {
            return;
        }
        for (item, verdict) in refused {
            let refusal = Refusal::ByDatabase { rule: rule(*verdict) };
            decisions[item.place] = Decision::Refused(refusal);
        }
        let items: Vec<_> = refused.iter().map(|(item, _)| *item).collect();
        let evidence = match self.connection() {
            Ok(connection) => in_time(K::evidence(connection, &items)).await,
            Err(error) => Err(error),
        };
        match evidence {
            Ok(evidence) => {
                for (item, evidence) in items.iter().zip(&evidence) {
                    if let Some(decision) = named(item, evidence) {
                        decisions[item.place] = decision;
                    }
                }
            }
            Err(error) => {
                tracing::error!(%error, "the reasons of refusals can't be read");
                if Remedy::of(&error) == Remedy::Resend {
                    self.connection = None;
                }
            }
        }
    }
}

/// What the pure rules say to a refused item; `None` when they would not refuse it.
fn named<K: Kind>(item: &Item<'_, K::Subject>, evidence: &Evidence<K>) -> Option<Decision> {
    let Some(state) = &evidence.state else { return Some(Decision::Unregistered) };
    let claimed = item.request.genesis_validators_root;
    if let Err(refusal) = rules::genesis_validators_root(evidence.pinned, claimed) {
        return Some(Decision::Refused(refusal));
    }
    match K::judge(evidence, state, item.request) {
        Ok(Verdict::Refused(refusal)) => Some(Decision::Refused(refusal)),
        _ => None,
    }
}
