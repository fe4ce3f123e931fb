//! Random lives of keys (votes, blocks, repeats, restarts, raised floors, keys switched off and on)
//! against [`Reference`]: every answer must be the reference's, no two released duties may be
//! slashable, and a reference with any one rule weakened must be told apart. Small numbers find more than big ones.

use std::time::Instant;

use midslot_tests::{
    Dice,
    released::{Proposal, Vote, slashable_proposals, slashable_votes},
    soak,
};

use signer_server::slashing::SlashingProtection;

use super::{
    Change, Place, on_both,
    reference::{Reference, Weakness},
};
use crate::postgres::{attestation, block, key, said};

/// Lives of one test, without a soak.
const LIVES: u64 = 25;
const STEPS: u64 = 40;

/// Of several records in the way the database may meet another one first.
fn cause(word: &'static str) -> &'static str {
    if matches!(word, "surrounding" | "surrounded") { "surround" } else { word }
}

/// What the lives have shown.
#[derive(Debug)]
pub(crate) struct Lives {
    /// The first answer that is not the reference's.
    pub(crate) disagreement: Option<String>,
    /// Weaknesses that would have gone unnoticed: a reference with one of them gave the same
    /// answers all along.
    unnoticed: Vec<Weakness>,
}

/// One key as the plain rules see it, and as each weakness does that has not shown yet. Until one
/// shows, it has signed the same.
struct Witnesses {
    sound: Reference,
    weak: Vec<Reference>,
}

impl Witnesses {
    fn new(weaknesses: &[Weakness]) -> Self {
        let weak = weaknesses.iter().map(|weakness| Reference::new(*weakness)).collect();
        Self { sound: Reference::new(Weakness::None), weak }
    }

    fn each(&mut self, change: impl Fn(&mut Reference)) {
        change(&mut self.sound);
        self.weak.iter_mut().for_each(change);
    }

    /// The right answer. Whoever has another one is out.
    fn judge(&mut self, judge: impl Fn(&mut Reference) -> &'static str) -> &'static str {
        let right = judge(&mut self.sound);
        self.weak.retain_mut(|reference| judge(reference) == right);
        right
    }
}

/// Runs one life after another until the end or the first disagreement. Each has a key of its own,
/// from `first_key` on; `more` says whether there is another life.
pub(crate) async fn live(place: &Place, first_key: u32, more: impl Fn(u64) -> bool) -> Lives {
    let mut dice = Dice(0x11fe);
    let mut protection = place.open().await;
    let mut lives = Lives { disagreement: None, unnoticed: Weakness::ALL.to_vec() };
    let mut life = 0;
    while lives.disagreement.is_none() && more(life) {
        let number = first_key + u32::try_from(life).unwrap();
        protection.register(&[key(number)]).await.unwrap();
        let mut witnesses = Witnesses::new(&lives.unnoticed);
        for _ in 0..STEPS {
            let change = match dice.roll(80) {
                0 => {
                    protection.close().await.unwrap();
                    protection = place.open().await;
                    continue;
                }
                1 => {
                    let (epoch, slot) = (dice.roll(8), dice.roll(8));
                    witnesses.each(|reference| reference.raise_floors(epoch, slot));
                    Change::Floors { epoch, slot }
                }
                2 => {
                    let enabled = !witnesses.sound.enabled;
                    witnesses.each(|reference| reference.enabled = enabled);
                    Change::Enabled(enabled)
                }
                _ => {
                    lives.disagreement = ask(&protection, number, &mut witnesses, &mut dice).await;
                    if lives.disagreement.is_some() {
                        break;
                    }
                    continue;
                }
            };
            protection = place.change(protection, key(number), change).await;
        }
        assert_eq!(slashable_votes(&witnesses.sound.votes), None);
        assert_eq!(slashable_proposals(&witnesses.sound.proposals), None);
        lives.unnoticed.retain(|weakness| witnesses.weak.iter().any(|r| r.weakness == *weakness));
        life += 1;
    }
    let closed = protection.close().await;
    // A signer that has found the database out by itself has halted, and does not close well.
    if lives.disagreement.is_none() {
        closed.unwrap();
    }
    lives
}

/// One duty; tells of an answer that is not the right one.
async fn ask(
    protection: &SlashingProtection,
    number: u32,
    witnesses: &mut Witnesses,
    dice: &mut Dice,
) -> Option<String> {
    let key = u64::from(number);
    let root = dice.root(4) - 1;
    let (asked, right, answer) = if dice.roll(5) == 0 {
        let proposal = Proposal { key, slot: dice.roll(13), root };
        let answer = said(protection, number, &block(proposal.slot, root)).await;
        let right = witnesses.judge(|reference| reference.propose(proposal));
        (format!("{proposal:?}"), right, answer)
    } else {
        let (source, target) = (dice.roll(13), dice.roll(13));
        let vote = Vote { key, source, target, root };
        let answer = said(protection, number, &attestation(source, target, root)).await;
        let right = witnesses.judge(|reference| reference.attest(vote));
        (format!("{vote:?}"), right, answer)
    };
    (cause(answer) != right)
        .then(|| format!("{asked}: {answer}, but {right} with {:?}", witnesses.sound))
}

async fn answers_are_those_of_the_plain_rules_and_of_no_weaker_ones(place: &Place) {
    let start = Instant::now();
    let more = |life| soak().map_or(life < LIVES, |soak| start.elapsed() < soak);
    let lives = live(place, 0, more).await;
    assert_eq!(lives.disagreement, None);
    assert_eq!(lives.unnoticed, [], "the lives would not show these");
}

on_both! { answers_are_those_of_the_plain_rules_and_of_no_weaker_ones }
