//! The link to the server that breaks while a move commits: before the server hears of it, or when it is
//! done and nobody was told.

use midslot_tests::postgres::{CutProxy, Fault, Moment};

use super::{
    pair::{Pair, Sides},
    *,
};

async fn one_side_signs_at_most(source: Backend) {
    let (mut sides, mut failed) = (Sides::default(), 0);
    for moment in [Moment::BeforeSent, Moment::AfterAnswered] {
        for nth in 1.. {
            let mut pair = Pair::new(source).await;
            let proxy = CutProxy::start(pair.server()).await.unwrap();
            proxy.arm_nth(nth, b"COMMIT", moment, Fault::CutConnection);
            let ended = pair.run_plainly(Some(proxy.address())).await;
            let is_done = ended.code == Some(0);
            if proxy.count_fired() == 0 {
                assert!(is_done && nth > 1, "{}", ended.output);
                break;
            }
            // Told, or mended by itself.
            assert!(is_done || ended.code == Some(1), "{}", ended.output);
            assert!(!ended.output.contains(pair.database.password()), "{}", ended.output);
            failed += u32::from(!is_done);
            pair.check(is_done, &mut sides, &format!("{moment:?} of COMMIT {nth}")).await;
        }
    }
    println!("from {source:?}: {failed} moves failed, {sides:?}");
    assert!(sides.source + sides.nobody > 0, "{sides:?}");
}

#[tokio::test]
async fn move_to_postgres_that_loses_the_answer_to_a_commit_leaves_one_side_that_signs() {
    one_side_signs_at_most(Backend::Sqlite).await;
}

#[tokio::test]
async fn move_to_sqlite_that_loses_the_answer_to_a_commit_leaves_one_side_that_signs() {
    one_side_signs_at_most(Backend::Postgres).await;
}
