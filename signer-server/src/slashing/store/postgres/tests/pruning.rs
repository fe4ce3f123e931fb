//! Pruning: what goes, what stays, what is refused for it, and that signing goes on.

use proptest::prelude::*;
use sqlx::Connection;

use super::*;
use crate::slashing::{
    refusal::RecordedAttestation,
    rules::{self, AttestationState, Verdict},
    store::pruning::{Pruning, PruningPolicy},
};

const POLICY: PruningPolicy = PruningPolicy { epochs_to_keep: 250, slots_per_epoch: 1 };

/// Runs to the end; gives the number of records that went.
async fn prune(store: &mut PostgresStore, policy: PruningPolicy) -> u64 {
    let mut rows = 0;
    loop {
        let step = store.prune_step(policy).await.unwrap();
        rows += step.rows;
        if step.is_last {
            return rows;
        }
    }
}

const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits \
     WHERE inhparent = 'signed_attestation'::regclass \
     AND inhrelid::regclass::text IN ('signed_attestation_p0', 'signed_attestation_p1', \
     'signed_attestation_p2', 'signed_attestation_p3')";
const FLOORS: &str = "SELECT floor_target FROM att_state ORDER BY validator_id LIMIT 1";
const ATTESTATIONS: &str = "SELECT count(*) FROM signed_attestation";

#[tokio::test]
async fn partitions_that_are_old_for_all_are_dropped_and_rows_of_others_deleted() {
    let mut scene = Scene::new().await;
    // The second key has stopped signing long ago, and keeps as much as the first.
    scene.with_votes(&[1_000, 300]).await;
    let rows = prune(&mut scene.stores.pruning, POLICY).await;
    // Of the first key what lies in the partitions below 675, of the second what is below 51.
    assert_eq!(rows, 674 + 50 + 750 + 50);
    assert_eq!(scene.number(ATTESTATIONS).await, 326 + 250);
    assert_eq!(scene.number(PARTITIONS).await, 3, "the one from 450 to 674 is gone");
    assert_eq!(scene.number("SELECT count(*) FROM signed_block").await, 2 * 250);
    assert_eq!(scene.number(FLOORS).await, 674);
    let source = "SELECT floor_source FROM att_state ORDER BY validator_id LIMIT 1";
    assert_eq!(scene.number(source).await, 673);
    let second = "SELECT floor_target FROM att_state ORDER BY validator_id DESC LIMIT 1";
    assert_eq!(scene.number(second).await, 50);
    assert_eq!(scene.number("SELECT max(floor_slot) FROM blk_state").await, 750);

    assert_eq!(scene.attest(1, 674, 675, 1).await, Decision::Repeat);
    assert_eq!(scene.attest(2, 50, 51, 1).await, Decision::Repeat);
    for (source, target) in [(673, 674), (0, 1), (672, 1_200), (700, 705)] {
        let decision = scene.attest(1, source, target, 2).await;
        assert!(matches!(decision, Decision::Refused(_)), "{source} -> {target}: {decision:?}");
    }
    assert_eq!(scene.attest(1, 1_000, 1_001, 2).await, Decision::New);
    assert_eq!(prune(&mut scene.stores.pruning, POLICY).await, 0, "the second time nothing");
}

#[tokio::test]
async fn a_run_that_ends_between_floors_and_drop_forbids_as_much_and_the_next_one_goes_on() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[1_000]).await;
    while scene.number(FLOORS).await < 674 {
        let step = scene.stores.pruning.prune_step(POLICY).await.unwrap();
        assert!(!step.is_last && step.rows == 0, "{step:?}");
    }
    // As after a kill: the connection is gone, and with it the turn.
    scene.stores.pruning = open(&scene.database).await.pruning;
    assert_eq!(scene.number(ATTESTATIONS).await, 1_000);
    assert_eq!(scene.attest(1, 499, 500, 1).await, Decision::Repeat, "the row is there");
    let refused = scene.attest(1, 499, 500, 2).await;
    assert!(matches!(refused, Decision::Refused(_)), "{refused:?}");
    while scene.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(prune(&mut scene.stores.pruning, POLICY).await, 674 + 750);
    assert_eq!(scene.number(PARTITIONS).await, 1);
}

#[tokio::test]
async fn a_second_pruner_backs_off() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[1_000]).await;
    let mut other = open(&scene.database).await.pruning;
    assert!(!scene.stores.pruning.prune_step(POLICY).await.unwrap().is_last);
    let step = other.prune_step(POLICY).await.unwrap();
    assert!(step.is_last && step.rows == 0, "{step:?}");
    prune(&mut scene.stores.pruning, POLICY).await;
    assert_eq!(scene.number(ATTESTATIONS).await, 326);
    assert!(!other.prune_step(POLICY).await.unwrap().is_last, "then it is its turn");
}

#[tokio::test]
async fn a_partition_in_use_is_not_waited_for_and_signing_goes_on() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[1_000]).await;
    let mut reader = scene.database.connect().await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    let count = sqlx::query_scalar::<_, i64>(ATTESTATIONS);
    assert_eq!(count.fetch_one(&mut *reading).await.unwrap(), 1_000);
    let Opened { pruning, attestations, .. } = &mut scene.stores;
    let signer = &mut attestations[0];
    let mut votes = 0;
    let (rows, ()) = tokio::join!(prune(pruning, POLICY), async {
        for target in 1_001..1_101 {
            assert_eq!(attest(signer, 1, target - 1, target, 1).await, Decision::New);
            votes += 1;
        }
    });
    assert_eq!((rows, votes), (674 + 750, 100), "the rows went one by one");
    drop(reading);
    reader.close().await.unwrap();
    prune(&mut scene.stores.pruning, POLICY).await;
    assert_eq!(scene.number(PARTITIONS).await, 1, "then the empty tables go");
}

#[tokio::test]
async fn a_row_that_no_floor_covers_stays_and_keeps_its_partition() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[1_000, 1_000]).await;
    while scene.number(FLOORS).await < 674 {
        scene.stores.pruning.prune_step(POLICY).await.unwrap();
    }
    // What an import may add after the floors were raised: a source above them.
    scene
        .execute("UPDATE signed_attestation SET source_epoch = 900 WHERE target_epoch = 500")
        .await;
    // A key that the survey did not know.
    scene.stores.general.register(&[PublicKey([7; 48])]).await.unwrap();
    scene
        .execute(
            "INSERT INTO signed_attestation SELECT max(id), 300, 200, NULL FROM validator \
             WHERE pubkey = decode(repeat('07', 48), 'hex')",
        )
        .await;
    prune(&mut scene.stores.pruning, POLICY).await;
    let left = "SELECT count(*) FROM signed_attestation WHERE target_epoch < 675";
    assert_eq!(scene.number(left).await, 3);
    assert_eq!(scene.number(PARTITIONS).await, 3);
    let refused = scene.attest(1, 800, 1_100, 2).await;
    assert!(
        matches!(refused, Decision::Refused(_)),
        "it surrounds 900 -> 500, which is on record: {refused:?}"
    );
    // The next run raises the floors to them first.
    prune(&mut scene.stores.pruning, POLICY).await;
    assert_eq!(scene.number(left).await, 1, "the newest of a key stays");
    let floor = "SELECT min(floor_source) FROM att_state WHERE max_target = 1000";
    assert_eq!(scene.number(floor).await, 900);
}

#[tokio::test]
async fn a_user_without_the_right_to_drop_deletes_rows() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[1_000]).await;
    scene
        .execute(
            "REVOKE EXECUTE ON FUNCTION \
             sp_drop_attestation_partition(bigint, integer[], bigint[]) FROM CURRENT_USER",
        )
        .await;
    assert_eq!(prune(&mut scene.stores.pruning, POLICY).await, 674 + 750);
    assert_eq!(scene.number(ATTESTATIONS).await, 326);
    assert_eq!(scene.number(PARTITIONS).await, 4);
}

#[derive(Clone, Debug)]
enum Action {
    Attest { source: u64, target: u64, root: u8 },
    Prune { keep: u64, steps: usize },
    Restart,
}

/// Epochs between two targets, so that each partition has three.
const STRIDE: u64 = 75;

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let attest = (0..=20_u64, 0..=20_u64, 1..=3_u8).prop_map(|(source, target, root)| {
        Action::Attest { source: source * STRIDE, target: target * STRIDE, root }
    });
    let prune = (1..=6_u64, 1..=12_usize)
        .prop_map(|(keep, steps)| Action::Prune { keep: keep * STRIDE, steps });
    prop::collection::vec(prop_oneof![20 => attest, 6 => prune, 1 => Just(Action::Restart)], 1..60)
}

/// Compares with a signer that forgets nothing, over everything that the pruned one has signed.
async fn run(actions: Vec<Action>) -> Result<(), TestCaseError> {
    let mut scene = Scene::new().await;
    scene.stores.general.register(&[PublicKey([1; 48])]).await.unwrap();
    let mut state = AttestationState::UNUSED;
    let mut signed: Vec<RecordedAttestation> = Vec::new();
    for action in actions {
        match action {
            Action::Attest { source, target, root } => {
                let epochs = VoteEpochs { source: Epoch(source), target: Epoch(target) };
                let signing_root = Root([root; 32]);
                let oracle =
                    rules::attestation(&state, None, epochs, signing_root, Some(&signed)).unwrap();
                let decision = scene.attest(1, source, target, root).await;
                match (oracle, decision) {
                    (Verdict::New, Decision::New) => {
                        state = state.with_recorded(epochs);
                        signed.push(RecordedAttestation {
                            source: epochs.source,
                            target: epochs.target,
                            signing_root: Some(signing_root),
                        });
                    }
                    (Verdict::Repeat, Decision::Repeat) => {}
                    (_, Decision::Refused(_)) => {
                        let max = state.max.unwrap_or(epochs);
                        let is_normal =
                            target > max.target.0 && source >= max.source.0 && source <= target;
                        prop_assert!(!is_normal, "{source} -> {target} is above everything");
                    }
                    (oracle, decision) => {
                        prop_assert!(false, "{:?} but pruned {:?}", oracle, decision);
                    }
                }
            }
            Action::Prune { keep, steps } => {
                for _ in 0..steps {
                    let policy = PruningPolicy { epochs_to_keep: keep, slots_per_epoch: 1 };
                    scene.stores.pruning.prune_step(policy).await.unwrap();
                }
            }
            Action::Restart => scene.stores = open(&scene.database).await,
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pruned_store_differs_from_one_that_forgets_nothing_only_by_refusing(actions in actions()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(actions))?;
    }
}
