//! Requests whose sender goes away at any moment: nothing is half done, nothing stays locked, and
//! the rows tell the same as the answers.

use std::{collections::BTreeMap, time::Duration};

use midslot_tests::{
    Dice,
    released::{Vote, slashable_votes},
};
use signer_server::audit::{Client, Filter, MAX_PAGE, Outcome};

use super::{Place, on_both};
use crate::postgres::{attestation, key, said};

const KEYS: u32 = 8;
const REQUESTS: usize = 400;

async fn requests_dropped_at_any_time_leave_rows_that_match(place: &Place) {
    let mut dice = Dice(0xcace1);
    let protection = place.open().await;
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    protection.register(&keys).await.unwrap();
    // Pins the chain, which takes one request at a time.
    assert_eq!(said(&protection, KEYS - 1, &attestation(1, 1, 1)).await, "new");

    let mut tasks = Vec::new();
    for number in 0..REQUESTS {
        let number = u64::try_from(number).unwrap();
        let vote = Vote {
            key: dice.roll(KEYS.into()),
            source: 1 + number / 40,
            target: 2 + number / 40 + dice.roll(5),
            root: dice.root(2),
        };
        let duty = attestation(vote.source, vote.target, vote.root);
        let protection = protection.clone();
        let key = key(u32::try_from(vote.key).unwrap());
        // Begun here: a task may be dropped before it has run at all.
        let mut ticket = protection.audit().begin(Client::default(), &key.to_string());
        let task = tokio::spawn(async move {
            let cleared = protection.clear(&key, &duty, &mut ticket).await;
            let outcome = match &cleared {
                Ok(cleared) if cleared.is_repeat() => Outcome::Repeated,
                Ok(_) => Outcome::Signed,
                Err(_) => Outcome::Refused,
            };
            ticket.finish(outcome, None);
            (vote, outcome)
        });
        if dice.roll(2) == 0 {
            let (handle, patience) = (task.abort_handle(), Duration::from_millis(dice.roll(6)));
            tokio::spawn(async move {
                tokio::time::sleep(patience).await;
                handle.abort();
            });
        }
        tasks.push(task);
        if dice.roll(4) == 0 {
            tokio::time::sleep(Duration::from_micros(dice.roll(3_000))).await;
        }
    }
    let mut answers = BTreeMap::<&str, i64>::new();
    let (mut released, mut dropped) = (Vec::new(), 0);
    for task in tasks {
        match task.await {
            Ok((vote, outcome)) => {
                *answers.entry(outcome.name()).or_default() += 1;
                if outcome != Outcome::Refused {
                    released.push(vote);
                }
            }
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                dropped += 1;
            }
        }
    }
    assert!(dropped >= 10 && released.len() > 20, "{dropped} dropped, {answers:?}");
    assert_eq!(slashable_votes(&released), None);

    // No lock is left and no queue stands still: every key signs, and repeats what it signed.
    for number in 0..KEYS {
        assert_eq!(said(&protection, number, &attestation(50, 51, 1)).await, "new");
    }
    for vote in &released {
        let duty = attestation(vote.source, vote.target, vote.root);
        let number = u32::try_from(vote.key).unwrap();
        assert_eq!(said(&protection, number, &duty).await, "repeat", "{vote:?}");
    }
    let rows = settled(&protection).await;
    let repeats = i64::try_from(released.len()).unwrap();
    let of = |outcome: Outcome| rows.get(outcome.name()).copied().unwrap_or(0);
    let answered = |outcome: Outcome| answers.get(outcome.name()).copied().unwrap_or(0);
    // Each request has one row, whatever became of it.
    let all = i64::try_from(REQUESTS).unwrap() + 1 + i64::from(KEYS) + repeats;
    assert_eq!(rows.values().sum::<i64>(), all, "{rows:?}");
    assert_eq!(of(Outcome::Repeated), answered(Outcome::Repeated) + repeats);
    assert_eq!(of(Outcome::Refused), answered(Outcome::Refused));
    assert_eq!(of(Outcome::Signed), answered(Outcome::Signed) + 1 + i64::from(KEYS));
    assert_eq!(of(Outcome::Abandoned), i64::from(dropped));

    // A record that nobody heard of may be there; one that somebody heard of must be.
    protection.close().await.unwrap();
    let recorded = place.number("SELECT count(*) FROM signed_attestation").await;
    assert!(recorded >= of(Outcome::Signed), "{recorded} records, {rows:?}");
    let contradictions = "SELECT count(*) FROM att_state s JOIN signed_attestation a ON \
         a.validator_id = s.validator_id WHERE a.target_epoch > s.max_target \
         OR a.source_epoch > s.max_source OR a.target_epoch < s.floor_target";
    assert_eq!(place.number(contradictions).await, 0);
}

/// How many rows of the audit have each outcome, once all of them are written.
async fn settled(
    protection: &signer_server::slashing::SlashingProtection,
) -> BTreeMap<String, i64> {
    loop {
        let mut outcomes = BTreeMap::new();
        let (mut before_id, mut is_settled) = (None, protection.audit().waiting_rows() == 0);
        loop {
            let filter = Filter { limit: MAX_PAGE, before_id, ..Filter::default() };
            let page = protection.read_audit(&filter).await.unwrap();
            for row in page.entries {
                // Written with the record, and not yet completed with what became of it.
                is_settled &= !row.reason.is_some_and(|reason| reason.contains("confirmed"));
                *outcomes.entry(row.outcome.name().to_owned()).or_default() += 1;
            }
            before_id = page.next_before_id;
            if before_id.is_none() {
                break;
            }
        }
        if is_settled {
            return outcomes;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

on_both! { requests_dropped_at_any_time_leave_rows_that_match }
