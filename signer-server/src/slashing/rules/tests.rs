//! One test per condition, each of which fails when that condition is weakened, and random
//! sequences against a checker that knows nothing but EIP-3076's definition of slashable.

use proptest::prelude::*;

use super::*;

const A: Root = Root([1; 32]);
const B: Root = Root([2; 32]);

fn vote(source: u64, target: u64) -> VoteEpochs {
    VoteEpochs { source: Epoch(source), target: Epoch(target) }
}

fn recorded(source: u64, target: u64, signing_root: Option<Root>) -> RecordedAttestation {
    RecordedAttestation { source: Epoch(source), target: Epoch(target), signing_root }
}

/// State and history after the given attestations were signed in this order, unchecked.
fn after(records: &[RecordedAttestation]) -> AttestationState {
    records.iter().fold(AttestationState::UNUSED, |state, record| {
        state.with_recorded(VoteEpochs { source: record.source, target: record.target })
    })
}

fn judge(
    state: &AttestationState,
    request: VoteEpochs,
    root: Root,
    history: &[RecordedAttestation],
) -> Verdict {
    attestation(state, None, request, root, Some(history)).unwrap()
}

fn judge_block(state: &BlockState, slot: u64, root: Root, history: &[RecordedBlock]) -> Verdict {
    block(state, None, Slot(slot), root, Some(history)).unwrap()
}

fn recorded_block(slot: u64, signing_root: Option<Root>) -> RecordedBlock {
    RecordedBlock { slot: Slot(slot), signing_root }
}

#[test]
fn first_vote_needs_no_history_and_sets_floor_and_max() {
    let state = AttestationState::UNUSED;
    assert_eq!(attestation(&state, None, vote(3, 4), A, None), Ok(Verdict::New));
    let state = state.with_recorded(vote(3, 4));
    assert_eq!((state.floor, state.max), (Some(vote(3, 4)), Some(vote(3, 4))));
}

#[test]
fn normal_duty_needs_no_history_and_everything_else_does() {
    let state = after(&[recorded(3, 4, Some(A))]);
    assert_eq!(attestation(&state, None, vote(3, 5), B, None), Ok(Verdict::New));
    assert_eq!(attestation(&state, None, vote(4, 5), B, None), Ok(Verdict::New));
    for request in [vote(3, 4), vote(2, 5), vote(1, 2)] {
        assert_eq!(attestation(&state, None, request, B, None), Err(HistoryNeeded));
    }
    let state = BlockState::UNUSED.with_recorded(Slot(9));
    assert_eq!(block(&state, None, Slot(10), A, None), Ok(Verdict::New));
    assert_eq!(block(&state, None, Slot(9), A, None), Err(HistoryNeeded));
}

#[test]
fn source_equal_to_target_is_allowed() {
    assert_eq!(judge(&AttestationState::UNUSED, vote(0, 0), A, &[]), Verdict::New);
}

#[test]
fn source_after_target_is_refused() {
    assert!(matches!(
        judge(&AttestationState::UNUSED, vote(5, 4), A, &[]),
        Verdict::Refused(Refusal::SourceAfterTarget { .. })
    ));
}

#[test]
fn c1_double_proposal_is_refused_and_names_the_record() {
    let history = [recorded_block(8, Some(A)), recorded_block(9, Some(A))];
    let state = BlockState::UNUSED.with_recorded(Slot(8)).with_recorded(Slot(9));
    let refused = Verdict::Refused(Refusal::DoubleProposal { earlier: history[1] });
    assert_eq!(judge_block(&state, 9, B, &history), refused);
    assert_eq!(judge_block(&state, 9, A, &history), Verdict::Repeat);
}

#[test]
fn c1_record_without_root_or_with_zero_root_is_never_a_repeat() {
    let state = BlockState::UNUSED.with_recorded(Slot(9));
    for (stored, requested) in [(None, A), (None, Root::ZERO), (Some(Root::ZERO), Root::ZERO)] {
        let verdict = judge_block(&state, 9, requested, &[recorded_block(9, stored)]);
        assert!(matches!(verdict, Verdict::Refused(Refusal::DoubleProposal { .. })), "{verdict:?}");
    }
}

#[test]
fn c2_slot_at_and_below_the_floor_is_refused() {
    let state = BlockState { enabled: true, floor: Some(Slot(10)), max: Some(Slot(20)) };
    for slot in [0, 9, 10] {
        let refusal = Refusal::SlotNotAboveFloor { slot: Slot(slot), floor: Slot(10) };
        assert_eq!(judge_block(&state, slot, A, &[]), Verdict::Refused(refusal));
    }
    assert_eq!(judge_block(&state, 11, A, &[]), Verdict::New);
}

#[test]
fn c2_exact_repeat_below_the_floor_is_signed_again() {
    let state = BlockState { enabled: true, floor: Some(Slot(10)), max: Some(Slot(20)) };
    assert_eq!(judge_block(&state, 7, A, &[recorded_block(7, Some(A))]), Verdict::Repeat);
}

#[test]
fn c3_double_vote_is_refused_and_names_the_record() {
    let history = [recorded(2, 3, Some(A)), recorded(3, 4, Some(A))];
    let state = after(&history);
    let refused = Verdict::Refused(Refusal::DoubleVote { earlier: history[1] });
    assert_eq!(judge(&state, vote(3, 4), B, &history), refused);
    assert_eq!(judge(&state, vote(3, 4), A, &history), Verdict::Repeat);
}

#[test]
fn c3_repeat_with_another_source_is_a_double_vote() {
    let history = [recorded(2, 3, Some(A)), recorded(3, 5, Some(A))];
    let verdict = judge(&after(&history), vote(4, 5), A, &history);
    assert_eq!(verdict, Verdict::Refused(Refusal::DoubleVote { earlier: history[1] }));
}

#[test]
fn c3_record_without_root_or_with_zero_root_is_never_a_repeat() {
    for (stored, requested) in [(None, A), (None, Root::ZERO), (Some(Root::ZERO), Root::ZERO)] {
        let history = [recorded(3, 4, stored)];
        let verdict = judge(&after(&history), vote(3, 4), requested, &history);
        assert!(matches!(verdict, Verdict::Refused(Refusal::DoubleVote { .. })), "{verdict:?}");
    }
}

#[test]
fn c3_surrounding_a_record_is_refused() {
    let history = [recorded(1, 2, Some(A)), recorded(4, 5, Some(A))];
    let verdict = judge(&after(&history), vote(3, 6), B, &history);
    assert_eq!(verdict, Verdict::Refused(Refusal::Surrounding { earlier: history[1] }));
}

#[test]
fn c3_being_surrounded_by_a_record_is_refused() {
    let history = [recorded(1, 2, Some(A)), recorded(3, 8, Some(A))];
    let verdict = judge(&after(&history), vote(4, 7), B, &history);
    assert_eq!(verdict, Verdict::Refused(Refusal::Surrounded { earlier: history[1] }));
}

#[test]
fn c3_equal_sources_do_not_surround() {
    let history = [recorded(1, 2, Some(A)), recorded(3, 8, Some(A))];
    assert_eq!(judge(&after(&history), vote(3, 7), B, &history), Verdict::New);
}

#[test]
fn c4_source_below_the_floor_is_refused_and_at_the_floor_allowed() {
    let state = AttestationState { enabled: true, floor: Some(vote(5, 6)), max: Some(vote(7, 9)) };
    let refusal = Refusal::SourceBelowFloor { source_epoch: Epoch(4), floor: Epoch(5) };
    assert_eq!(judge(&state, vote(4, 10), A, &[]), Verdict::Refused(refusal));
    assert_eq!(judge(&state, vote(5, 10), A, &[]), Verdict::New);
}

#[test]
fn c5_target_at_and_below_the_floor_is_refused() {
    let state = AttestationState { enabled: true, floor: Some(vote(5, 8)), max: Some(vote(7, 9)) };
    for target in [6, 7, 8] {
        let refusal = Refusal::TargetNotAboveFloor { target: Epoch(target), floor: Epoch(8) };
        assert_eq!(judge(&state, vote(5, target), A, &[]), Verdict::Refused(refusal));
    }
    assert_eq!(judge(&state, vote(7, 10), A, &[]), Verdict::New);
}

#[test]
fn c5_exact_repeat_below_a_raised_floor_is_signed_again() {
    let state = AttestationState { enabled: true, floor: Some(vote(8, 9)), max: Some(vote(8, 9)) };
    let history = [recorded(3, 4, Some(A))];
    assert_eq!(judge(&state, vote(3, 4), A, &history), Verdict::Repeat);
}

#[test]
fn floors_bind_even_when_the_maxima_are_missing() {
    let state = AttestationState { enabled: true, floor: Some(vote(5, 6)), max: None };
    for request in [vote(4, 9), vote(5, 6)] {
        assert!(matches!(judge(&state, request, A, &[]), Verdict::Refused(_)));
    }
    let state = BlockState { enabled: true, floor: Some(Slot(6)), max: None };
    assert!(matches!(judge_block(&state, 6, A, &[]), Verdict::Refused(_)));
}

#[test]
fn high_watermark_refuses_at_and_above_itself_and_repeats_too() {
    let history = [recorded(8, 9, Some(A))];
    let state = after(&history);
    let at = |target, high| {
        attestation(&state, Some(Epoch(high)), vote(8, target), A, Some(&history)).unwrap()
    };
    assert_eq!(at(10, 11), Verdict::New);
    assert!(matches!(at(10, 10), Verdict::Refused(Refusal::EpochAtHighWatermark { .. })));
    assert!(matches!(at(9, 9), Verdict::Refused(Refusal::EpochAtHighWatermark { .. })));

    let block_at = |high| block(&BlockState::UNUSED, Some(Slot(high)), Slot(5), A, None).unwrap();
    assert_eq!(block_at(6), Verdict::New);
    assert!(matches!(block_at(5), Verdict::Refused(Refusal::SlotAtHighWatermark { .. })));
}

#[test]
fn values_above_i64_are_refused() {
    let largest = attestation(&AttestationState::UNUSED, None, vote(0, LARGEST), A, None);
    assert_eq!(largest, Ok(Verdict::New));
    for request in [vote(0, LARGEST + 1), vote(u64::MAX, u64::MAX)] {
        let verdict = attestation(&AttestationState::UNUSED, None, request, A, None).unwrap();
        assert!(matches!(verdict, Verdict::Refused(Refusal::OutOfRange { .. })));
    }
    let verdict = block(&BlockState::UNUSED, None, Slot(LARGEST + 1), A, None).unwrap();
    assert_eq!(verdict, Verdict::Refused(Refusal::OutOfRange { value: LARGEST + 1 }));
}

#[test]
fn disabled_key_signs_nothing_not_even_repeats() {
    let history = [recorded(3, 4, Some(A))];
    let state = AttestationState { enabled: false, ..after(&history) };
    for request in [vote(3, 4), vote(4, 5)] {
        assert_eq!(judge(&state, request, A, &history), Verdict::Refused(Refusal::Disabled));
    }
    let state = BlockState { enabled: false, ..BlockState::UNUSED };
    assert_eq!(judge_block(&state, 1, A, &[]), Verdict::Refused(Refusal::Disabled));
}

#[test]
fn another_chain_is_refused() {
    assert_eq!(genesis_validators_root(None, A), Ok(()));
    assert_eq!(genesis_validators_root(Some(A), A), Ok(()));
    let refusal = Refusal::WrongGenesisValidatorsRoot { pinned: A, claimed: B };
    assert_eq!(genesis_validators_root(Some(A), B), Err(refusal));
}

/// `is_slashable_attestation_data` of the consensus specifications (phase0), on what a vote's
/// epochs and root tell: different data for one target, or one strictly inside the other.
fn slashable(one: &RecordedAttestation, other: &RecordedAttestation) -> bool {
    let double = one.target == other.target
        && (one.source, one.signing_root) != (other.source, other.signing_root);
    let surrounds = |outer: &RecordedAttestation, inner: &RecordedAttestation| {
        outer.source < inner.source && inner.target < outer.target
    };
    double || surrounds(one, other) || surrounds(other, one)
}

/// One key with everything that left it.
struct Signer<State, Record> {
    state: State,
    released: Vec<Record>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No two released attestations of one key are slashable; everything harmless above the
    /// floor is signed; what was signed can be signed again.
    #[test]
    fn attestations_against_every_pair_of_released_signatures(
        requests in prop::collection::vec((0..2_usize, 0..=12_u64, 0..=12_u64, 1..=3_u8), 1..40)
    ) {
        let mut keys: [Signer<AttestationState, RecordedAttestation>; 2] =
            std::array::from_fn(|_| Signer { state: AttestationState::UNUSED, released: vec![] });
        for (key, source, target, root) in requests {
            let signer = &mut keys[key];
            let root = Root([root; 32]);
            let request = vote(source, target);
            let candidate = recorded(source, target, Some(root));
            let verdict = judge(&signer.state, request, root, &signer.released);
            let conflicts = signer.released.iter().any(|earlier| slashable(earlier, &candidate));
            let below_floor = signer.released.first()
                .is_some_and(|first| candidate.source < first.source || candidate.target <= first.target);
            match verdict {
                Verdict::New => {
                    prop_assert!(!conflicts);
                    signer.state = signer.state.with_recorded(request);
                    signer.released.push(candidate);
                }
                Verdict::Repeat => prop_assert!(signer.released.contains(&candidate)),
                Verdict::Refused(_) => {
                    prop_assert!(conflicts || below_floor || source > target);
                    prop_assert!(!signer.released.contains(&candidate));
                }
            }
            // The answer without history is the same answer or none.
            if let Ok(short) = attestation(&keys[key].state, None, request, root, None) {
                let long = judge(&keys[key].state, request, root, &keys[key].released);
                prop_assert_eq!(short, long);
            }
        }
    }

    /// The same for blocks.
    #[test]
    fn blocks_against_every_pair_of_released_signatures(
        requests in prop::collection::vec((0..2_usize, 0..=12_u64, 1..=3_u8), 1..40)
    ) {
        let mut keys: [Signer<BlockState, RecordedBlock>; 2] =
            std::array::from_fn(|_| Signer { state: BlockState::UNUSED, released: vec![] });
        for (key, slot, root) in requests {
            let signer = &mut keys[key];
            let root = Root([root; 32]);
            let candidate = recorded_block(slot, Some(root));
            let conflicts = signer.released.iter()
                .any(|earlier| earlier.slot == candidate.slot && *earlier != candidate);
            let below_floor =
                signer.released.first().is_some_and(|first| candidate.slot <= first.slot);
            match judge_block(&signer.state, slot, root, &signer.released) {
                Verdict::New => {
                    prop_assert!(!conflicts);
                    signer.state = signer.state.with_recorded(candidate.slot);
                    signer.released.push(candidate);
                }
                Verdict::Repeat => prop_assert!(signer.released.contains(&candidate)),
                Verdict::Refused(_) => {
                    prop_assert!(conflicts || below_floor);
                    prop_assert!(!signer.released.contains(&candidate));
                }
            }
        }
    }

    /// Whatever was imported and however high the floors were raised, nothing that leaves
    /// conflicts with anything else.
    #[test]
    fn attestations_over_imported_history(
        imported in prop::collection::vec((0..=8_u64, 0..=8_u64, 0..=3_u8), 0..6),
        raised in prop::option::of((0..=8_u64, 0..=8_u64)),
        requests in prop::collection::vec((0..=12_u64, 0..=12_u64, 1..=3_u8), 1..20)
    ) {
        let mut history: Vec<RecordedAttestation> = vec![];
        for (source, target, root) in imported {
            let root = (root > 0).then_some(Root([root; 32]));
            // One record per target, as the database's primary key enforces.
            if history.iter().all(|earlier| earlier.target != Epoch(target)) {
                history.push(recorded(source, target, root));
            }
        }
        let mut state = after(&history);
        state.floor = history.iter()
            .map(|record| vote(record.source.0, record.target.0))
            .reduce(|low, next| VoteEpochs {
                source: low.source.min(next.source),
                target: low.target.min(next.target),
            });
        if let Some((source, target)) = raised {
            let floor = vote(source, target);
            state.floor = Some(state.floor.map_or(floor, |old| VoteEpochs {
                source: old.source.max(floor.source),
                target: old.target.max(floor.target),
            }));
            state = AttestationState { floor: state.floor, ..state.with_recorded(floor) };
        }
        for (source, target, root) in requests {
            let root = Root([root; 32]);
            let candidate = recorded(source, target, Some(root));
            let floor = state.floor;
            match judge(&state, vote(source, target), root, &history) {
                Verdict::New => {
                    prop_assert!(!history.iter().any(|earlier| slashable(earlier, &candidate)));
                    let above_floor = floor.is_none_or(|floor| {
                        candidate.source >= floor.source && candidate.target > floor.target
                    });
                    prop_assert!(above_floor);
                    state = state.with_recorded(vote(source, target));
                    history.push(candidate);
                }
                Verdict::Repeat => prop_assert!(history.contains(&candidate)),
                Verdict::Refused(_) => {}
            }
        }
    }
}
