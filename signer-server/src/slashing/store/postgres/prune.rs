//! Letting old records go, on a connection of its own and by one signer at a time.
//!
//! Every step is one short transaction, and a crash between any two is safe:
//!
//! 1. a survey of what each key keeps;
//! 2. floors rise to the highest source and target of what goes;
//! 3. partitions of which nothing is kept are dropped ([`partitions`]). The server looks again
//!    whether the floors cover each row, while nobody can add one;
//! 4. old rows of the remaining keys are deleted, each only if its key's floors cover it;
//! 5. the same for blocks, which are few.
//!
//! Only what lies in partitions that are old for some key goes: of the newest one all rows stay
//! until all of it is old. So a key keeps up to 224 epochs more than the policy says, and nobody
//! has to delete rows of keys that sign all the time.

mod sql;

use signer_client::wire::{Epoch, Slot};
use sqlx::PgConnection;

use super::{
    PostgresStore, partitions,
    session::{self, in_patience},
};
use crate::slashing::store::{
    PruningPolicy, StoreError,
    pruning::{Pruning, PruningStep},
    rows::to_stored,
};

/// Keys of one step.
const KEYS: i64 = 1_000;
const KEYS_AT_ONCE: usize = 1_000;

/// Rows that one statement deletes at most.
const ROWS: i64 = 10_000;

/// How often to try to drop a partition that others are using before it is left for the next run.
const DROP_ATTEMPTS: u32 = 3;

/// A run under way.
#[derive(Debug)]
pub(super) struct PruningRun {
    /// Holds the lock that keeps other signers from pruning.
    connection: PgConnection,
    stage: Stage,
    cuts: Cuts,
}

#[derive(Debug)]
enum Stage {
    /// What the keys after this id keep.
    Survey { after: i32 },
    /// Floors of the keys from this place on.
    Floors { from: usize },
    /// Partitions still to look at, the next one last.
    Partitions { left: Vec<i64>, attempts: u32 },
    /// Old rows of the keys from this place on.
    Rows { from: usize },
    /// Blocks of the keys after this id.
    Blocks { after: i32 },
}

/// Where the history of each key is cut: targets below go.
#[derive(Debug, Default)]
struct Cuts {
    ids: Vec<i32>,
    /// In the order of `ids`.
    targets: Vec<i64>,
    /// No cut is above the end of the last partition that is old for any key.
    highest: i64,
}

impl Cuts {
    /// Lowers all cuts to the beginning of the partition that the highest of them is in.
    fn align(&mut self) {
        let epochs = to_stored(partitions::EPOCHS);
        let highest = self.targets.iter().copied().max().unwrap_or(0);
        self.highest = highest / epochs * epochs;
        for target in &mut self.targets {
            *target = (*target).min(self.highest);
        }
    }

    fn chunk(&self, from: usize) -> (&[i32], &[i64]) {
        let to = self.ids.len().min(from + KEYS_AT_ONCE);
        (&self.ids[from..to], &self.targets[from..to])
    }
}

impl Pruning for PostgresStore {
    async fn prune_step(&mut self, policy: PruningPolicy) -> Result<PruningStep, StoreError> {
        self.shared.check_not_halted()?;
        let run = match self.pruning.take() {
            Some(run) => Some(run),
            None => self.begin_pruning().await?,
        };
        // Another signer prunes.
        let Some(mut run) = run else { return Ok(PruningStep { rows: 0, is_last: true }) };
        let step = in_patience(run.step(policy)).await?;
        if step.is_last {
            session::close(run.connection).await;
        } else {
            self.pruning = Some(run);
        }
        Ok(step)
    }
}

impl PostgresStore {
    /// Connects and takes the turn; `None` when another signer has it.
    async fn begin_pruning(&mut self) -> Result<Option<PruningRun>, StoreError> {
        let mut connection = self.shared.server.connect().await?;
        // A server that went back is not pruned, and stops everything.
        self.shared.probe(&mut connection).await?;
        if !in_patience(sql::take_turn(&mut connection)).await? {
            session::close(connection).await;
            return Ok(None);
        }
        let stage = Stage::Survey { after: 0 };
        Ok(Some(PruningRun { connection, stage, cuts: Cuts::default() }))
    }
}

impl PruningRun {
    async fn step(&mut self, policy: PruningPolicy) -> Result<PruningStep, StoreError> {
        let mut rows = 0;
        let next = match &mut self.stage {
            Stage::Survey { after } => {
                let newest = sql::newest_attestations(&mut self.connection, *after, KEYS).await?;
                for (id, target) in &newest {
                    // The lowest one that is kept says what goes, if anything is below it.
                    let cut = target
                        .map_or(0, |target| to_stored(policy.first_kept_target(Epoch(target)).0));
                    if cut > 0 {
                        self.cuts.ids.push(*id);
                        self.cuts.targets.push(cut);
                    }
                }
                if let Some((last, _)) = newest.last() {
                    Some(Stage::Survey { after: *last })
                } else {
                    self.cuts.align();
                    Some(Stage::Floors { from: 0 })
                }
            }
            Stage::Floors { from } if *from < self.cuts.ids.len() => {
                let (ids, targets) = self.cuts.chunk(*from);
                sql::raise_attestation_floors(
                    &mut self.connection,
                    ids,
                    targets,
                    self.cuts.highest,
                )
                .await?;
                Some(Stage::Floors { from: *from + KEYS_AT_ONCE })
            }
            Stage::Floors { .. } => {
                let epochs = to_stored(partitions::EPOCHS);
                let mut left = partitions::of_attestations(&mut self.connection).await?;
                left.retain(|number| *number < self.cuts.highest / epochs);
                left.reverse();
                Some(Stage::Partitions { left, attempts: 0 })
            }
            Stage::Partitions { left, attempts } => match left.last() {
                None => Some(Stage::Rows { from: 0 }),
                Some(&number) => {
                    let Cuts { ids, targets, .. } = &self.cuts;
                    let dropped =
                        sql::drop_partition(&mut self.connection, number, ids, targets).await;
                    *attempts += 1;
                    match dropped {
                        Ok(dropped) => {
                            rows = dropped.unwrap_or(0);
                            left.pop();
                            *attempts = 0;
                        }
                        // Others use it.
                        Err(StoreError::NotCommitted(_)) if *attempts < DROP_ATTEMPTS => {}
                        Err(error @ (StoreError::NotCommitted(_) | StoreError::Driver(_))) => {
                            tracing::warn!(
                                partition = number, %error,
                                "old attestations could not be dropped as a whole"
                            );
                            left.pop();
                            *attempts = 0;
                        }
                        Err(error) => return Err(error),
                    }
                    None
                }
            },
            Stage::Rows { from } if *from < self.cuts.ids.len() => {
                let (ids, targets) = self.cuts.chunk(*from);
                rows = sql::delete_attestations(
                    &mut self.connection,
                    ids,
                    targets,
                    self.cuts.highest,
                    ROWS,
                )
                .await?;
                (rows < ROWS.unsigned_abs()).then_some(Stage::Rows { from: *from + KEYS_AT_ONCE })
            }
            Stage::Rows { .. } => Some(Stage::Blocks { after: 0 }),
            Stage::Blocks { after } => {
                let newest = sql::newest_blocks(&mut self.connection, *after, KEYS).await?;
                let Some((last, _)) = newest.last() else {
                    return Ok(PruningStep { rows: 0, is_last: true });
                };
                let cuts = newest.iter().filter_map(|(id, slot)| {
                    let cut = policy.first_kept_slot(Slot((*slot)?)).0;
                    (cut > 0).then_some((*id, to_stored(cut)))
                });
                let (ids, slots): (Vec<i32>, Vec<i64>) = cuts.unzip();
                sql::raise_block_floors(&mut self.connection, &ids, &slots).await?;
                rows = sql::delete_blocks(&mut self.connection, &ids, &slots, ROWS).await?;
                (rows < ROWS.unsigned_abs()).then_some(Stage::Blocks { after: *last })
            }
        };
        if let Some(next) = next {
            self.stage = next;
        }
        Ok(PruningStep { rows, is_last: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_end_with_a_partition() {
        let cuts = |targets: &[i64]| {
            let ids = (1..).take(targets.len()).collect();
            let mut cuts = Cuts { ids, targets: targets.to_vec(), highest: 0 };
            cuts.align();
            (cuts.targets, cuts.highest)
        };
        assert_eq!(cuts(&[]), (vec![], 0));
        assert_eq!(cuts(&[224]), (vec![0], 0));
        assert_eq!(cuts(&[225, 226, 449]), (vec![225; 3], 225));
        assert_eq!(cuts(&[3, 450]), (vec![3, 450], 450));
        assert_eq!(cuts(&[i64::MAX]), (vec![i64::MAX / 225 * 225], i64::MAX / 225 * 225));
    }
}
