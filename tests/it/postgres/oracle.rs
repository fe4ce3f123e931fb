//! The functions of the schema against the pure rules on the complete history, kept beside them in
//! a plain list. Small domains find more than big ones.

use signer_client::wire::{Epoch, Root, Slot};
use signer_server::slashing::{
    RecordedAttestation, RecordedBlock, Refusal, SlashingProtection,
    rules::{self, AttestationState, BlockState, Verdict, VoteEpochs},
};
use sqlx::PgConnection;

use super::*;

const SEQUENCES: u32 = 45;
const STEPS: u64 = 50;

/// Of several records in the way the database may meet another one first.
fn cause(code: &'static str) -> &'static str {
    if matches!(code, "surrounding" | "surrounded") { "surround" } else { code }
}

fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::New => "new",
        Verdict::Repeat => "repeat",
        Verdict::Refused(refusal) => cause(refusal.code()),
    }
}

fn known(root: Root) -> Option<Root> {
    (root != Root::ZERO).then_some(root)
}

struct Attester {
    number: u32,
    state: AttestationState,
    history: Vec<RecordedAttestation>,
}

impl Attester {
    /// What an import may leave: any epochs, roots known or not, no floor or a raised one.
    async fn import(&mut self, connection: &mut PgConnection, dice: &mut Dice) {
        for _ in 0..dice.roll(5) {
            let (source, target) = (Epoch(dice.roll(10)), Epoch(dice.roll(10)));
            if self.history.iter().any(|record| record.target == target) {
                continue;
            }
            let root = Root([u8::try_from(dice.roll(3)).unwrap(); 32]);
            let signing_root = known(root);
            sqlx::query(
                "INSERT INTO signed_attestation SELECT id, $2, $3, $4, now(), 1 FROM validator \
                 WHERE pubkey = $1",
            )
            .bind(key(self.number).as_bytes().as_slice())
            .bind(i64::try_from(target.0).unwrap())
            .bind(i64::try_from(source.0).unwrap())
            .bind(signing_root.as_ref().map(|root| root.as_bytes().as_slice()))
            .execute(&mut *connection)
            .await
            .unwrap();
            self.history.push(RecordedAttestation { source, target, signing_root });
            self.state.max = self.state.with_recorded(VoteEpochs { source, target }).max;
        }
        if dice.roll(3) == 0 {
            let floor = VoteEpochs { source: Epoch(dice.roll(4)), target: Epoch(dice.roll(6)) };
            self.state.floor = Some(floor);
            self.state.max = self.state.with_recorded(floor).max;
        }
        let number = |number: Option<Epoch>| number.map_or(-1, |n| i64::try_from(n.0).unwrap());
        let AttestationState { floor, max, .. } = self.state;
        sqlx::query(
            "UPDATE att_state SET floor_source = $2, floor_target = $3, max_source = $4, \
             max_target = $5 WHERE validator_id = (SELECT id FROM validator WHERE pubkey = $1)",
        )
        .bind(key(self.number).as_bytes().as_slice())
        .bind(number(floor.map(|floor| floor.source)))
        .bind(number(floor.map(|floor| floor.target)))
        .bind(number(max.map(|max| max.source)))
        .bind(number(max.map(|max| max.target)))
        .execute(connection)
        .await
        .unwrap();
    }

    async fn step(&mut self, protection: &SlashingProtection, dice: &mut Dice) {
        let (source, target) = (dice.roll(13), dice.roll(13));
        let root = u8::try_from(dice.roll(4)).unwrap();
        let vote = VoteEpochs { source: Epoch(source), target: Epoch(target) };
        let signing_root = Root([root; 32]);
        let expected =
            rules::attestation(&self.state, None, vote, signing_root, Some(&self.history)).unwrap();
        let answer = said(protection, self.number, &attestation(source, target, root)).await;
        let state = &self.state;
        assert_eq!(cause(answer), verdict_word(expected), "{vote:?} on {state:?}");
        if expected == Verdict::New {
            self.state = self.state.with_recorded(vote);
            self.history.push(RecordedAttestation {
                source: vote.source,
                target: vote.target,
                signing_root: known(signing_root),
            });
        }
    }

    async fn assert_state(&self, connection: &mut PgConnection) {
        let found: (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT floor_source, floor_target, max_source, max_target FROM att_state s \
             JOIN validator v ON v.id = s.validator_id WHERE v.pubkey = $1",
        )
        .bind(key(self.number).as_bytes().as_slice())
        .fetch_one(connection)
        .await
        .unwrap();
        let pair = |epochs: Option<VoteEpochs>| {
            epochs.map_or((-1, -1), |epochs| {
                let number = |epoch: Epoch| i64::try_from(epoch.0).unwrap();
                (number(epochs.source), number(epochs.target))
            })
        };
        let ((floor_source, floor_target), (max_source, max_target)) =
            (pair(self.state.floor), pair(self.state.max));
        assert_eq!(found, (floor_source, floor_target, max_source, max_target));
    }
}

#[tokio::test]
async fn attestations_are_judged_as_the_rules_do_on_the_whole_history() {
    let database = database().await;
    let protection = open(&database.url()).await;
    let mut connection = database.connect().await.unwrap();
    let mut dice = Dice(0x5eed);
    let mut words = std::collections::BTreeMap::new();
    for number in 0..SEQUENCES {
        protection.register(&[key(number)]).await.unwrap();
        let mut attester =
            Attester { number, state: AttestationState::UNUSED, history: Vec::new() };
        if number % 3 > 0 {
            attester.import(&mut connection, &mut dice).await;
        }
        for _ in 0..STEPS {
            attester.step(&protection, &mut dice).await;
        }
        attester.assert_state(&mut connection).await;
        *words.entry(attester.history.len()).or_insert(0) += 1;
    }
    assert!(words.keys().any(|records| *records >= 5), "sequences got somewhere: {words:?}");
}

#[tokio::test]
async fn blocks_are_judged_as_the_rules_do_on_the_whole_history() {
    let database = database().await;
    let protection = open(&database.url()).await;
    let mut dice = Dice(0xb10c);
    for number in 0..SEQUENCES / 3 {
        protection.register(&[key(number)]).await.unwrap();
        let (mut state, mut history) = (BlockState::UNUSED, Vec::new());
        for _ in 0..STEPS {
            let (slot, root) = (dice.roll(13), u8::try_from(dice.roll(4)).unwrap());
            let signing_root = Root([root; 32]);
            let expected =
                rules::block(&state, None, Slot(slot), signing_root, Some(&history)).unwrap();
            let answer = said(&protection, number, &block(slot, root)).await;
            assert_eq!(answer, verdict_word(expected), "slot {slot} on {state:?}");
            if expected == Verdict::New {
                state = state.with_recorded(Slot(slot));
                let signing_root = known(signing_root);
                history.push(RecordedBlock { slot: Slot(slot), signing_root });
            }
        }
    }
}

#[tokio::test]
async fn refusals_name_what_they_were_compared_with() {
    let database = database().await;
    let protection = ready(&database.url()).await;
    for (source, target) in [(2, 4), (6, 9)] {
        assert_eq!(said(&protection, 0, &attestation(source, target, 1)).await, "new");
    }
    let earlier = RecordedAttestation {
        source: Epoch(6),
        target: Epoch(9),
        signing_root: Some(Root([1; 32])),
    };
    let refusal =
        async |source, target| match sign(&protection, key(0), &attestation(source, target, 2))
            .await
        {
            Err(NotCleared::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
    assert_eq!(refusal(6, 9).await, Refusal::DoubleVote { earlier });
    assert_eq!(refusal(5, 10).await, Refusal::Surrounding { earlier });
    assert_eq!(refusal(7, 8).await, Refusal::Surrounded { earlier });
    assert_eq!(
        refusal(1, 12).await,
        Refusal::SourceBelowFloor { source_epoch: Epoch(1), floor: Epoch(2) }
    );
    assert_eq!(refusal(u64::MAX - 1, u64::MAX).await, Refusal::OutOfRange { value: u64::MAX - 1 });
    assert_eq!(
        refusal(10, 9).await,
        Refusal::SourceAfterTarget { source_epoch: Epoch(10), target: Epoch(9) }
    );
}
