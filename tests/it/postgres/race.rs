//! Signers that share a database and are asked for conflicting duties of the same keys at once.

use midslot_tests::released::{Vote, slashable_votes};

use super::*;

const KEYS: u64 = 12;
const ROUNDS: u64 = 150;

/// Epochs between two targets of a race over several partitions.
pub(super) const STRIDE: u64 = 75;

/// What one task released, and how often as new.
pub(super) async fn race(
    protection: SlashingProtection,
    seed: u64,
) -> (Vec<Vote>, Vec<(u64, u64)>) {
    race_at(protection, seed, 1).await
}

/// The same for epochs that are `stride` apart.
pub(super) async fn race_at(
    protection: SlashingProtection,
    seed: u64,
    stride: u64,
) -> (Vec<Vote>, Vec<(u64, u64)>) {
    let mut dice = Dice(seed);
    let (mut released, mut winners) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // The window moves on, so that there is always something new to race for.
        let base = round / 10;
        let votes: Vec<Vote> = (0..4)
            .map(|_| Vote {
                key: dice.roll(KEYS),
                source: (base + dice.roll(4)) * stride,
                target: (base + dice.roll(8)) * stride,
                root: u8::try_from(1 + dice.roll(3)).unwrap(),
            })
            .collect();
        let duties: Vec<Duty> =
            votes.iter().map(|vote| attestation(vote.source, vote.target, vote.root)).collect();
        let number = |vote: &Vote| u32::try_from(vote.key).unwrap();
        let (a, b, c, d) = tokio::join!(
            said(&protection, number(&votes[0]), &duties[0]),
            said(&protection, number(&votes[1]), &duties[1]),
            said(&protection, number(&votes[2]), &duties[2]),
            said(&protection, number(&votes[3]), &duties[3]),
        );
        for (vote, word) in votes.into_iter().zip([a, b, c, d]) {
            match word {
                "new" => {
                    winners.push((vote.key, vote.target));
                    released.push(vote);
                }
                "repeat" => released.push(vote),
                "failed" => panic!("{vote:?} was not answered"),
                _ => {}
            }
        }
    }
    (released, winners)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_signers_release_nothing_slashable_and_every_request_is_answered() {
    let database = database().await;
    let signers = [open(&database.url()).await, open(&database.url()).await];
    let keys: Vec<PublicKey> = (0..u32::try_from(KEYS).unwrap()).map(key).collect();
    for signer in &signers {
        signer.register(&keys).await.unwrap();
    }
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let signer = signers[usize::try_from(number).unwrap() % 2].clone();
            tokio::spawn(race(signer, 0xace + number))
        })
        .collect();
    let (mut released, mut winners) = (Vec::new(), Vec::new());
    for task in tasks {
        let (votes, wins) = task.await.unwrap();
        released.extend(votes);
        winners.extend(wins);
    }
    let count = winners.len();
    winners.sort_unstable();
    winners.dedup();
    assert_eq!(winners.len(), count, "two winners of one key and target");
    assert!(count > 50, "only {count} were signed: the race shows nothing");
    released.sort_unstable();
    released.dedup();
    assert_eq!(slashable_votes(&released), None);
    let mut connection = database.connect().await.unwrap();
    assert_eq!(trouble(&mut connection).await, (0, 0));
}

/// Records above their key's maxima, and deadlocks.
pub(super) async fn trouble(connection: &mut sqlx::PgConnection) -> (i64, i64) {
    let contradictions: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM att_state s JOIN signed_attestation a USING (validator_id) \
         WHERE a.target_epoch > s.max_target OR a.source_epoch > s.max_source \
         OR s.floor_target > s.max_target OR s.floor_source > s.max_source",
    )
    .fetch_one(&mut *connection)
    .await
    .unwrap();
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(connection)
    .await
    .unwrap();
    (contradictions, deadlocks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_blocks_for_a_slot_wins() {
    let database = database().await;
    let signers = [ready(&database.url()).await, ready(&database.url()).await];
    for slot in 1..=10 {
        let tasks: Vec<_> = (1..=8_u8)
            .map(|root| {
                let signer = signers[usize::from(root % 2)].clone();
                tokio::spawn(async move { said(&signer, 0, &block(slot, root)).await })
            })
            .collect();
        let mut words = Vec::new();
        for task in tasks {
            words.push(task.await.unwrap());
        }
        words.sort_unstable();
        assert_eq!(words[..7], ["double_proposal"; 7]);
        assert_eq!(words[7], "new");
    }
}
