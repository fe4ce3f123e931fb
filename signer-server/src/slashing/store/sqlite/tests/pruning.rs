//! Pruning: what goes, what stays, and that nothing slashable is let through for it.

use proptest::prelude::*;

use super::*;
use crate::slashing::{
    refusal::RecordedAttestation,
    rules::{self, AttestationState, Verdict},
    store::pruning::{Pruning, PruningPolicy},
};

const POLICY: PruningPolicy = PruningPolicy { epochs_to_keep: 3, slots_per_epoch: 4 };

/// Runs to the end; gives the number of records that went and of steps.
async fn prune(store: &mut SqliteStore, policy: PruningPolicy) -> (u64, usize) {
    let (mut rows, mut steps) = (0, 0);
    loop {
        let step = store.prune_step(policy).await.unwrap();
        rows += step.rows;
        steps += 1;
        if step.is_last {
            return (rows, steps);
        }
    }
}

fn proposal(key: u8, slot: u64, root: u8) -> Request<Slot> {
    let vote = vote(key, 0, 0, root);
    Request {
        key: vote.key,
        subject: Slot(slot),
        signing_root: vote.signing_root,
        genesis_validators_root: CHAIN,
        audit: vote.audit,
    }
}

async fn attest(store: &mut SqliteStore, key: u8, source: u64, target: u64, root: u8) -> Decision {
    store.clear_attestations(&[vote(key, source, target, root)]).await.unwrap()[0]
}

#[tokio::test]
async fn old_records_go_per_key_and_their_floors_take_over() {
    let mut scene = scene().await;
    for target in 1..=10 {
        assert_eq!(attest(&mut scene.store, 1, target - 1, target, 1).await, Decision::New);
        scene.store.clear_blocks(&[proposal(1, target * 3, 1)]).await.unwrap();
    }
    // A key that signed long ago, and never again, keeps as much.
    for target in 1..=4 {
        assert_eq!(attest(&mut scene.store, 2, target - 1, target, 1).await, Decision::New);
    }
    let (rows, _) = prune(&mut scene.store, POLICY).await;
    // Targets 1 to 7 of ten, 1 of four; of the slots 3, 6 .. 30 those below 19.
    assert_eq!(rows, 7 + 1 + 6);
    let kept = "SELECT count(*) FROM signed_attestation WHERE target_epoch > 7 OR \
                (validator_id = (SELECT id FROM validator ORDER BY pubkey LIMIT 1 OFFSET 2) \
                 AND target_epoch > 1)";
    assert_eq!(scene.count(kept).await, 6);
    assert_eq!(scene.count("SELECT count(*) FROM signed_attestation").await, 6);
    assert_eq!(scene.count("SELECT min(slot) FROM signed_block").await, 21);

    let Scene { folder, store } = scene;
    store.close().await.unwrap();
    let mut store = open_in(&folder).await.unwrap();
    let floors = store.state.keys[&PublicKey([1; 48])];
    assert_eq!(
        floors.attestation.floor,
        Some(VoteEpochs { source: Epoch(6), target: Epoch(7) }),
        "the maxima of what went"
    );
    assert_eq!(floors.block.floor, Some(Slot(18)));
    assert_eq!(attest(&mut store, 1, 9, 10, 1).await, Decision::Repeat);
    for (source, target) in [(6, 7), (0, 1), (5, 20)] {
        let decision = attest(&mut store, 1, source, target, 2).await;
        assert!(matches!(decision, Decision::Refused(_)), "{source} -> {target}: {decision:?}");
    }
    assert_eq!(attest(&mut store, 1, 10, 11, 1).await, Decision::New);
    assert_eq!(prune(&mut store, POLICY).await.0, 1, "a second run finds what is old by now");
}

#[tokio::test]
async fn floors_above_all_records_disturb_nothing() {
    let mut scene = scene().await;
    for target in 1..=10 {
        attest(&mut scene.store, 1, target - 1, target, 1).await;
    }
    scene
        .execute(
            "UPDATE att_state SET floor_source = 100, floor_target = 100, max_source = 100, \
             max_target = 100 WHERE max_target = 10",
        )
        .await;
    let Scene { folder, store } = scene;
    store.close().await.unwrap();
    let mut store = open_in(&folder).await.unwrap();
    assert_eq!(prune(&mut store, POLICY).await.0, 7);
    let state = store.state.keys[&PublicKey([1; 48])].attestation;
    let hundred = Some(VoteEpochs { source: Epoch(100), target: Epoch(100) });
    assert_eq!((state.floor, state.max), (hundred, hundred), "no floor went down");
    store.close().await.unwrap();
    let mut store = open_in(&folder).await.unwrap();
    assert_eq!(store.state.keys[&PublicKey([1; 48])].attestation.floor, hundred);
    assert_eq!(attest(&mut store, 1, 100, 101, 1).await, Decision::New);
}

#[tokio::test]
async fn many_records_go_in_many_short_transactions() {
    let mut scene = scene().await;
    scene
        .execute(
            "INSERT INTO signed_attestation WITH RECURSIVE n(t) AS (SELECT 1 UNION ALL SELECT \
             t + 1 FROM n WHERE t < 2000) SELECT v.id, n.t, n.t - 1, zeroblob(32), 0, 0 \
             FROM n, validator v",
        )
        .await;
    scene.execute("UPDATE att_state SET max_source = 1999, max_target = 2000").await;
    let Scene { folder, store } = scene;
    store.close().await.unwrap();
    let mut store = open_in(&folder).await.unwrap();
    let (rows, steps) = prune(&mut store, POLICY).await;
    assert_eq!(rows, 10 * 1_997);
    assert!(steps >= 10 * 1_997 / 1_024, "{steps} steps");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM signed_attestation")
        .fetch_one(store.connection().unwrap())
        .await
        .unwrap();
    assert_eq!(left, 10 * 3);
}

#[tokio::test]
async fn signing_between_two_steps_is_judged_on_the_whole_history() {
    let mut scene = scene().await;
    for target in 1..=1_500 {
        attest(&mut scene.store, 1, target - 1, target, 1).await;
    }
    let step = scene.store.prune_step(POLICY).await.unwrap();
    assert!(!step.is_last || step.rows == 1_497, "{step:?}");
    for (source, target) in [(1, 2), (1_000, 1_001), (1_400, 1_501), (0, 3_000)] {
        let decision = attest(&mut scene.store, 1, source, target, 2).await;
        assert!(matches!(decision, Decision::Refused(_)), "{source} -> {target}: {decision:?}");
    }
    assert_eq!(attest(&mut scene.store, 1, 1_500, 1_501, 2).await, Decision::New);
    prune(&mut scene.store, POLICY).await;
    assert_eq!(attest(&mut scene.store, 1, 1_500, 1_501, 2).await, Decision::Repeat);
}

/// A transaction that stops between floor and deletion, as after a kill, is none.
#[tokio::test]
async fn a_record_that_can_not_be_deleted_keeps_its_floor_where_it_was() {
    let mut scene = scene().await;
    for target in 1..=10 {
        attest(&mut scene.store, 1, target - 1, target, 1).await;
    }
    let before = scene.store.state.keys[&PublicKey([1; 48])];
    scene
        .execute(
            "CREATE TRIGGER keep BEFORE DELETE ON signed_attestation WHEN old.target_epoch = 5 \
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .await;
    while let Ok(step) = scene.store.prune_step(POLICY).await {
        assert!(!step.is_last, "the key was never reached");
    }
    scene.store.recover().await.unwrap();
    assert_eq!(scene.store.state.keys[&PublicKey([1; 48])], before);
    assert_eq!(scene.count("SELECT count(*) FROM signed_attestation").await, 10);
}

#[derive(Clone, Debug)]
enum Action {
    Attest { source: u64, target: u64, root: u8 },
    Prune { keep: u64, steps: usize },
    Restart,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let attest = (0..=14_u64, 0..=14_u64, 1..=3_u8)
        .prop_map(|(source, target, root)| Action::Attest { source, target, root });
    let prune = (1..=6_u64, 1..=3_usize).prop_map(|(keep, steps)| Action::Prune { keep, steps });
    prop::collection::vec(prop_oneof![20 => attest, 4 => prune, 1 => Just(Action::Restart)], 1..60)
}

/// Compares with a signer that forgets nothing, over everything that the pruned one has signed.
async fn run(actions: Vec<Action>) -> Result<(), TestCaseError> {
    let Scene { folder, mut store } = scene().await;
    let mut state = AttestationState::UNUSED;
    let mut signed: Vec<RecordedAttestation> = Vec::new();
    for (step, action) in actions.into_iter().enumerate() {
        match action {
            Action::Attest { source, target, root } => {
                let mut request = vote(1, source, target, root);
                request.audit.id = i64::try_from(step).unwrap() + 1;
                let (epochs, root) = (request.subject, request.signing_root);
                let oracle = rules::attestation(&state, None, epochs, root, Some(&signed)).unwrap();
                let decision = store.clear_attestations(&[request]).await.unwrap()[0];
                match (oracle, decision) {
                    (Verdict::New, Decision::New) => {
                        state = state.with_recorded(epochs);
                        signed.push(RecordedAttestation {
                            source: epochs.source,
                            target: epochs.target,
                            signing_root: Some(root),
                        });
                    }
                    (Verdict::Repeat, Decision::Repeat) | (_, Decision::Refused(_)) => {}
                    (oracle, decision) => {
                        prop_assert!(false, "{:?} but pruned {:?}", oracle, decision);
                    }
                }
                // What is above all that was ever signed is never refused.
                if oracle == Verdict::New
                    && store.state.keys[&PublicKey([1; 48])].attestation.max == state.max
                {
                    let above = state.max.is_some_and(|max| max.target < epochs.target);
                    prop_assert!(!above || decision == Decision::New);
                }
            }
            Action::Prune { keep, steps } => {
                for _ in 0..steps {
                    let policy = PruningPolicy { epochs_to_keep: keep, slots_per_epoch: 1 };
                    store.prune_step(policy).await.unwrap();
                }
            }
            Action::Restart => {
                store.close().await.unwrap();
                store = open_in(&folder).await.unwrap();
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn pruned_store_differs_from_one_that_forgets_nothing_only_by_refusing(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(actions))?;
    }
}
