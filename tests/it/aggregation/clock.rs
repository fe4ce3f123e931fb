//! The time of day jumps while a job runs.

use http::StatusCode;
use midslot_tests::wall_clock::WallClock;

use super::{ATTEMPTS, endless_job, get, group, job, options, path_of, submit, until};

const DAY: i64 = 86_400;
const DEADLINE_MS: u32 = 3_000;

#[tokio::test]
async fn a_clock_that_jumps_neither_ends_a_job_nor_prolongs_it() {
    let mut options = options();
    let clock = WallClock::of(&mut options);
    let signer = options.start().await.unwrap();
    for attempt in 0..ATTEMPTS {
        clock.shift_seconds(0);
        let mut endless = endless_job(&signer, attempt).await;
        endless["deadline_ms"] = DEADLINE_MS.into();
        let path = path_of(&signer, &endless).await;
        until(&signer, &path, "running").await;
        let (ahead, back) = (DAY * i64::from(attempt + 1), -DAY * i64::from(attempt + 1));
        clock.shift_seconds(ahead);
        // The signer does see another day: this slot is long over there.
        let refused = submit(&signer, &job(&[group(1)])).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
        assert!(refused.text().contains("slot"), "{}", refused.text());
        let in_future = get(&signer, &path).await.json();
        clock.shift_seconds(back);
        let in_past = get(&signer, &path).await.json();
        let over = until(&signer, &path, "done").await.json();
        assert_eq!(over["reason"], "deadline", "{over}");
        let total_ms = over["phases_ms"]["total"].as_f64().unwrap();
        assert!(total_ms >= f64::from(DEADLINE_MS), "{over}");
        if in_future["status"] == "running" && in_past["status"] == "running" {
            return;
        }
    }
    panic!("no job was running when the clock jumped");
}
