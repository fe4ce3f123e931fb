//! When pruning gets a turn: never before a request, always some time.

use super::*;

const MORE: PruningStep = PruningStep { rows: 10, is_last: false };
const LAST: PruningStep = PruningStep { rows: 1, is_last: true };

fn schedule(at_start: bool, interval: Duration) -> PruningSchedule {
    let policy = PruningPolicy { epochs_to_keep: 250, slots_per_epoch: 32 };
    PruningSchedule { policy, interval, at_start }
}

/// A rig whose store has these steps of pruning to do, all batches permitted.
fn rig_with_steps(schedule: PruningSchedule, steps: Vec<Result<PruningStep, StoreError>>) -> Rig {
    let script = Script { pruning: Mutex::new(steps.into()), ..Script::default() };
    let long = Duration::from_mins(1);
    let health_check = HealthCheck { interval: long, timeout: long };
    rig_that_prunes(1_000, 1_000, health_check, Some(schedule), script)
}

fn steps_in(lines: &[String]) -> usize {
    lines.iter().filter(|line| *line == "prune").count()
}

#[tokio::test(start_paused = true)]
async fn a_run_at_the_start_and_one_after_each_interval() {
    let hour = Duration::from_hours(1);
    let rig = rig_with_steps(schedule(true, hour), vec![Ok(MORE), Ok(MORE), Ok(LAST)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(steps_in(&rig.script.lines()), 3);
    let totals = rig.lane.status().general().pruning();
    assert_eq!((totals.rows, totals.runs), (21, 1));
    tokio::time::sleep(hour).await;
    assert_eq!(steps_in(&rig.script.lines()), 4);
    assert_eq!(rig.lane.status().general().pruning().runs, 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_run_at_the_start_the_first_comes_an_interval_later() {
    let rig = rig_with_steps(schedule(false, Duration::from_hours(12)), vec![]);
    tokio::time::sleep(Duration::from_hours(11)).await;
    assert_eq!(steps_in(&rig.script.lines()), 0);
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(steps_in(&rig.script.lines()), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_wait_go_before_the_next_step_and_a_burst_is_left_alone() {
    let steps = std::iter::repeat_with(|| Ok(MORE)).take(100).collect();
    let rig = rig_with_steps(schedule(true, Duration::from_hours(1)), steps);
    rig.until(|lines| steps_in(lines) == 1).await;
    for target in 1..=20_u8 {
        let task = rig.attest(target, 1).await;
        assert_eq!(task.await.unwrap(), Ok(Decision::New));
    }
    let lines = rig.script.lines();
    let first = lines.iter().position(|line| line.starts_with("attestations")).unwrap();
    // At most the step that had begun when the first request came lies between.
    assert!(first <= 3, "{lines:?}");
    assert_eq!(steps_in(&lines[first..]), 0, "no step inside the burst: {lines:?}");
    rig.until(|lines| steps_in(lines) == 100).await;
}

#[tokio::test(start_paused = true)]
async fn signer_that_is_never_quiet_is_pruned_as_well() {
    let steps = vec![Ok(MORE), Ok(MORE), Ok(LAST)];
    let rig = rig_with_steps(schedule(true, Duration::from_hours(1)), steps);
    for number in 0..1_000_u32 {
        let task = rig.attest(u8::try_from(number % 250).unwrap(), 1).await;
        task.await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        if rig.lane.status().general().pruning().runs == 1 {
            return;
        }
        rig.permits.add_permits(1);
    }
    panic!("the run never ended: {:?}", rig.lane.status().general().pruning());
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_ends_the_run_and_signing_goes_on() {
    let steps = vec![Ok(MORE), Err(StoreError::NotOpen), Ok(LAST)];
    let rig = rig_with_steps(schedule(true, Duration::from_hours(1)), steps);
    rig.until(|lines| lines.iter().any(|line| line == "recover")).await;
    assert_eq!(rig.attest(1, 1).await.await.unwrap(), Ok(Decision::New));
    tokio::time::sleep(Duration::from_mins(30)).await;
    assert_eq!(steps_in(&rig.script.lines()), 2);
    tokio::time::sleep(Duration::from_mins(31)).await;
    assert_eq!(rig.lane.status().general().pruning().runs, 1);
}
