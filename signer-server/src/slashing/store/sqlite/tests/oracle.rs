//! The store against the rules on the complete history, kept beside it in a plain list: whatever
//! part of the history the queries fetch must lead to the same verdict.

use proptest::prelude::*;

use super::*;
use crate::slashing::{
    refusal::RecordedAttestation,
    rules::{self, AttestationState, Verdict},
};

#[derive(Clone, Debug)]
enum Step {
    Attest { key: u8, source: u64, target: u64, root: u8 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let attest = (0..2_u8, 0..=12_u64, 0..=12_u64, 0..=3_u8)
        .prop_map(|(key, source, target, root)| Step::Attest { key, source, target, root });
    prop::collection::vec(prop_oneof![30 => attest, 1 => Just(Step::Restart)], 1..60)
}

/// What an import may leave: any epochs, roots known or not, no floor.
fn imported() -> impl Strategy<Value = Vec<(u64, u64, u8)>> {
    prop::collection::vec((0..=9_u64, 0..=9_u64, 0..=2_u8), 0..5)
}

struct Key {
    state: AttestationState,
    history: Vec<RecordedAttestation>,
}

async fn import(store: &mut SqliteStore, key: u8, model: &mut Key, rows: &[(u64, u64, u8)]) {
    let id = store.state.keys[&PublicKey([key; 48])].id;
    let connection = store.connection().unwrap();
    for &(source, target, root) in rows {
        if model.history.iter().any(|record| record.target == Epoch(target)) {
            continue;
        }
        let signing_root = (root > 0).then_some(Root([root; 32]));
        let (source, target) = (Epoch(source), Epoch(target));
        sqlx::query("INSERT INTO signed_attestation VALUES ($1, $2, $3, $4, 0, 1)")
            .bind(id)
            .bind(i64::try_from(target.0).unwrap())
            .bind(i64::try_from(source.0).unwrap())
            .bind(signing_root.as_ref().map(|root| root.as_bytes().as_slice()))
            .execute(&mut *connection)
            .await
            .unwrap();
        model.history.push(RecordedAttestation { source, target, signing_root });
        model.state.max = model.state.with_recorded(VoteEpochs { source, target }).max;
    }
    let Some(max) = model.state.max else { return };
    sqlx::query("UPDATE att_state SET max_source = $2, max_target = $3 WHERE validator_id = $1")
        .bind(id)
        .bind(i64::try_from(max.source.0).unwrap())
        .bind(i64::try_from(max.target.0).unwrap())
        .execute(connection)
        .await
        .unwrap();
}

/// Of several records in the way the queries may meet another one first.
fn cause(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Surrounding { .. } | Refusal::Surrounded { .. } => "surround",
        other => other.code(),
    }
}

async fn run(rows: Vec<(u64, u64, u8)>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let Scene { folder, mut store } = scene().await;
    let mut keys: [Key; 2] =
        std::array::from_fn(|_| Key { state: AttestationState::UNUSED, history: vec![] });
    for key in 0..2 {
        import(&mut store, key, &mut keys[usize::from(key)], &rows).await;
    }
    store.close().await.unwrap();
    let mut store = open_in(&folder).await.unwrap();

    let mut next_id = 1;
    for step in steps {
        let Step::Attest { key, source, target, root } = step else {
            store.close().await.unwrap();
            store = open_in(&folder).await.unwrap();
            continue;
        };
        let model = &mut keys[usize::from(key)];
        let mut request = vote(key, source, target, root);
        (request.audit.id, next_id) = (next_id, next_id + 1);
        let (epochs, root) = (request.subject, request.signing_root);
        let expected =
            rules::attestation(&model.state, None, epochs, root, Some(&model.history)).unwrap();
        let decision = store.clear_attestations(&[request]).await.unwrap()[0];
        match (expected, decision) {
            (Verdict::New, Decision::New) => {
                model.state = model.state.with_recorded(epochs);
                model.history.push(RecordedAttestation {
                    source: epochs.source,
                    target: epochs.target,
                    signing_root: (root != Root::ZERO).then_some(root),
                });
            }
            (Verdict::Repeat, Decision::Repeat) => {}
            (Verdict::Refused(expected), Decision::Refused(refusal)) => {
                prop_assert_eq!(cause(expected), cause(refusal));
            }
            (expected, decision) => prop_assert!(false, "{:?} but {:?}", expected, decision),
        }
        let state = store.state.keys[&PublicKey([key; 48])].attestation;
        prop_assert_eq!(state, model.state);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn store_decides_as_the_rules_do_on_the_whole_history(rows in imported(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(rows, steps))?;
    }
}
