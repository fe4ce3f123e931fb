//! Pre-requests beside what else wants room for its audit rows. The keys are unknown, so nothing is
//! signed; a row is left all the same.

use std::num::NonZeroUsize;

use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::json;
use tokio::time::timeout;

use super::*;
use crate::{
    audit::Client,
    scheduler::{Bounds, Class},
    telemetry::metrics::MetricsOptions,
};

/// More rows than may be on their way in one class: a batch of them takes all the room.
const ROWS: usize = 40_000;

/// How long a test waits before it calls something stuck.
const PATIENCE: Duration = Duration::from_mins(1);

fn service() -> Arc<SigningService> {
    let metrics = Arc::new(Metrics::new(MetricsOptions {
        version: "test",
        slashing_protection_enabled: false,
    }));
    let threads = NonZeroUsize::new(1).unwrap();
    let scheduler = Scheduler::start(threads, Bounds([8; 5]), Arc::clone(&metrics)).unwrap();
    Arc::new(SigningService::new(
        Network::by_name_or_file("mainnet").unwrap(),
        Arc::default(),
        Arc::new(scheduler),
        SlashingProtection::disabled(),
        metrics,
    ))
}

/// Asks for the proofs of this many unknown keys, half of them in each of two slots.
async fn begin(service: &Arc<SigningService>, rows: usize) -> BegunSlots {
    let identifiers: Vec<_> = (0..rows / 2).map(|number| format!("0x{number:096x}")).collect();
    let slots = ["1", "2"].map(|slot| json!({ "slot": slot, "identifiers": identifiers }));
    let fork = json!({
        "previous_version": "0x00000000", "current_version": "0x00000000", "epoch": "0",
    });
    let root = format!("0x{:064}", 0);
    let fork_info = json!({ "fork": fork, "genesis_validators_root": root });
    let body = json!({ "fork_info": fork_info, "wait": true, "slots": slots }).to_string();
    let asked = service.pre_request(Client::default(), body.as_bytes(), rows, None);
    match timeout(PATIENCE, asked).await.expect("the pre-request waits for ever").unwrap() {
        PreRequested::Proofs(begun) => begun,
        PreRequested::Accepted(_) => panic!("it was to wait"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_nobody_reads_gives_its_room_back() {
    let service = service();
    let unread = begin(&service, ROWS).await.as_finished(|answer| answer.proofs.len());
    // It needs all the room that there is.
    let mut read = Box::pin(begin(&service, ROWS).await.as_finished(|answer| answer.slot));
    let mut slots = [read.next().await.unwrap(), read.next().await.unwrap()];
    slots.sort_unstable();
    assert_eq!(slots.map(|slot| slot.0), [1, 2]);
    assert!(read.next().await.is_none());
    assert_eq!(unread.collect::<Vec<_>>().await, [ROWS / 2; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_gives_its_room_back() {
    let service = service();
    for _ in 0..3 {
        drop(begin(&service, ROWS).await.as_finished(drop));
        drop(begin(&service, ROWS).await);
    }
    let room = service.audit.wait_for_room(Class::Background, ROWS);
    assert!(timeout(PATIENCE, room).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn pre_requests_and_proofs_that_are_needed_now_do_not_wait_for_each_others_rows() {
    let service = service();
    let needed = service.audit.wait_for_room(Class::SelectionProof, ROWS).await;
    let ahead = begin(&service, ROWS).await;
    drop(needed);
    let needed = service.audit.wait_for_room(Class::SelectionProof, ROWS).now_or_never();
    assert!(needed.is_some(), "a pre-request keeps proofs waiting");
    drop(ahead);
}
