use std::collections::BTreeMap;

use super::*;
use crate::load::chain::SLOTS_PER_EPOCH;

const FIRST: Slot = Slot(320);

fn duties() -> Duties {
    Duties::new(1, 640, 1_000_000)
}

fn proof_slots(profile: Profile, slot: u64) -> Vec<(u16, Vec<u64>)> {
    steps(profile, &duties(), Slot(slot), FIRST)
        .into_iter()
        .filter_map(|step| match step.action {
            Action::SelectionProofs(proofs) => {
                Some((step.at.0, proofs.iter().map(|(slot, _)| slot.0).collect()))
            }
            _ => None,
        })
        .collect()
}

/// How often the proofs of each slot are asked for in two epochs.
fn asked(profile: Profile) -> BTreeMap<u64, usize> {
    let mut asked = BTreeMap::new();
    for slot in FIRST.0..FIRST.0 + 2 * SLOTS_PER_EPOCH {
        for (_, slots) in proof_slots(profile, slot) {
            for slot in slots {
                *asked.entry(slot).or_default() += 1;
            }
        }
    }
    asked
}

#[test]
fn every_client_proposes_attests_and_aggregates_at_the_same_instants() {
    for profile in Profile::ALL {
        let steps = steps(profile, &duties(), Slot(330), FIRST);
        let at = |wanted: fn(&Action) -> bool| {
            let found: Vec<_> = steps.iter().filter(|step| wanted(&step.action)).collect();
            assert_eq!(found.len(), 1, "{profile}");
            found[0].at
        };
        assert_eq!(at(|action| matches!(action, Action::Propose(_))), BasisPoints(0));
        assert_eq!(at(|action| matches!(action, Action::Attest(_))), ATTESTATION_DUE);
        assert_eq!(at(|action| matches!(action, Action::SyncMessages(_))), ATTESTATION_DUE);
        assert_eq!(at(|action| matches!(action, Action::Aggregate(_))), AGGREGATE_DUE);
        assert_eq!(at(|action| matches!(action, Action::Contribute(_))), AGGREGATE_DUE);
    }
}

#[test]
fn all_but_prysm_ask_for_a_proof_once() {
    for profile in Profile::ALL {
        if matches!(profile, Profile::Prysm | Profile::Midslot) {
            continue;
        }
        let asked = asked(profile);
        assert!(asked.values().all(|count| *count == 1), "{profile}: {asked:?}");
        // Nobody's proof is missing, and none is asked for when it is too late.
        for slot in FIRST.0..FIRST.0 + 2 * SLOTS_PER_EPOCH {
            assert!(asked.contains_key(&slot), "{profile}: slot {slot}");
        }
        assert_eq!(asked.keys().next(), Some(&FIRST.0), "{profile}");
    }
}

#[test]
fn lighthouse_works_in_the_middle_of_the_slot() {
    assert_eq!(proof_slots(Profile::Lighthouse, 320), [(5000, (320..328).collect())]);
    assert_eq!(proof_slots(Profile::Lighthouse, 321), [(5000, vec![328])]);
    assert_eq!(Profile::Lighthouse.manners().proofs_at_once, 1);
}

#[test]
fn a_burst_is_an_epoch_at_its_start() {
    assert_eq!(proof_slots(Profile::EpochBurst, 320), [(0, (320..352).collect())]);
    assert_eq!(proof_slots(Profile::EpochBurst, 321), []);
    assert_eq!(proof_slots(Profile::EpochBurst, 352), [(0, (352..384).collect())]);
    // A start within an epoch is a burst for what is left of it.
    let late = Profile::EpochBurst.proof_steps(Slot(351), Slot(351), 640);
    assert_eq!(late, [crate::load::profile::ProofStep { at: BasisPoints(0), slots: 351..352 }]);
}

#[test]
fn prysm_asks_for_two_epochs_at_each_start_of_one() {
    assert_eq!(proof_slots(Profile::Prysm, 320), [(0, (320..384).collect())]);
    assert_eq!(proof_slots(Profile::Prysm, 352), [(0, (352..416).collect())]);
    assert_eq!(proof_slots(Profile::Prysm, 353), []);
    assert_eq!(Profile::Prysm.manners().idle_connections, 2);
}

#[test]
fn teku_spreads_many_duties() {
    assert_eq!(proof_slots(Profile::Teku, 352), [(0, (384..416).collect())]);
    let spread = Profile::Teku.proof_steps(Slot(352), FIRST, 1000);
    assert_eq!(spread.len(), 32);
    // The last slot comes 31 s after the first.
    assert_eq!((spread[31].at, spread[31].slots.clone()), (BasisPoints(31 * 833), 415..416));
    let start = Profile::Teku.proof_steps(FIRST, FIRST, 1000);
    assert_eq!(start.len(), 8 + 32);
    assert_eq!(start[7].at, BasisPoints(7 * 417));
}

#[test]
fn vero_takes_the_nearest_slots_first() {
    let expected = [(0, (320..323).collect()), (0, (323..384).collect::<Vec<_>>())];
    assert_eq!(proof_slots(Profile::Vero, 320), expected);
}

#[test]
fn nimbus_and_grandine_keep_a_window_full() {
    assert_eq!(proof_slots(Profile::Nimbus, 320), [(0, (320..352).collect())]);
    assert_eq!(proof_slots(Profile::Nimbus, 321), [(0, vec![352])]);
    assert_eq!(proof_slots(Profile::Grandine, 321), [(0, vec![328])]);
    assert_eq!(Profile::Nimbus.manners().idle_connections, 0);
}

#[test]
fn our_own_client_looks_proofs_up() {
    let steps = steps(Profile::Midslot, &duties(), Slot(330), FIRST);
    assert!(!steps.iter().any(|step| matches!(
        step.action,
        Action::SelectionProofs(_) | Action::SyncSelectionProofs(_)
    )));
    let looks = steps.iter().find(|step| matches!(step.action, Action::LookUp(..))).unwrap();
    assert!(looks.at < AGGREGATE_DUE);
}

#[test]
fn lighthouse_asks_for_sync_proofs_two_epochs_ahead() {
    let slots = |profile, slot| {
        steps(profile, &duties(), Slot(slot), FIRST).into_iter().find_map(|step| {
            match step.action {
                Action::SyncSelectionProofs(proofs) => {
                    Some((step.at, proofs.iter().map(|(slot, _)| slot.0).collect::<Vec<_>>()))
                }
                _ => None,
            }
        })
    };
    assert_eq!(slots(Profile::Lighthouse, 320), Some((BasisPoints(0), (320..=384).collect())));
    assert_eq!(slots(Profile::Lighthouse, 321), Some((BasisPoints(0), vec![385])));
    assert_eq!(slots(Profile::Teku, 321), Some((ATTESTATION_DUE, vec![321])));
}

#[test]
fn names_are_read_back() {
    for profile in Profile::ALL {
        assert_eq!(profile.name().parse(), Ok(profile));
    }
    assert!("Lighthouse ".parse::<Profile>().unwrap_err().to_string().contains("epoch-burst"));
}
