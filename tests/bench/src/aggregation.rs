//! What the prove step of the aggregation worker takes on one core, beside verifying each signature
//! by itself, which is measured in the same turns.
//!
//! Keys are warm where nothing else is said: they are the same in every slot. Signatures are new
//! each time, but for the row that says so.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use blst::{
    BLST_ERROR,
    min_pk::{PublicKey, SecretKey, Signature},
};
use midslot_aggregation::{
    BitsLen, Checkpoint, Control, DecodedSignature, Group, GroupEnd, KeyBytes, KeyTable, Options,
    Overlap, Phase, PointCache, Positions, Scratch, SignatureBytes, Single, ValidKey, VerifyMode,
    aggregate_group,
};

use crate::{TURNS, median};

const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
const MEMBERS: u16 = 512;
const COMMITTEES: u8 = 64;
/// The phases, as columns.
const PHASES: [(Phase, &str); 6] = [
    (Phase::Decode, "decode"),
    (Phase::Select, "select"),
    (Phase::Sum, "sum"),
    (Phase::Verify, "verify"),
    (Phase::Bisect, "bisect"),
    (Phase::SelfCheck, "self-check"),
];

/// Prints the table for one committee.
pub(crate) fn one_committee() -> Result<()> {
    let committee = &make_committee(0)?;
    println!("aggregation, one core, {MEMBERS} signatures; ms, medians");
    println!("{}", Row::header());
    for bad in [0, 1, 8, 64] {
        let group = committee.with_bad(bad);
        let singly = times(TURNS, || one_by_one(&group));
        let singly = median(singly);
        Row::bare(&format!("{bad} bad, one by one"), singly).print(singly);
        for (verify, name) in modes(bad) {
            for warmth in [Warmth::Nothing, Warmth::Keys, Warmth::KeysAndSignatures] {
                if bad > 0 && warmth != Warmth::Keys {
                    continue;
                }
                let title = format!("{bad} bad, {name}, {}", warmth.name());
                let groups = std::slice::from_ref(&group);
                let expected = u32::from(MEMBERS - bad);
                measure(&title, groups, verify, warmth, TURNS, expected)?.print(singly);
            }
        }
    }
    Ok(())
}

/// Prints the table for all committees of a slot.
pub(crate) fn all_committees() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let committees = make_committees(cores)?;
    println!("aggregation, one core, {COMMITTEES} committees of {MEMBERS}; ms, medians");
    println!("{}", Row::header());
    let groups: Vec<_> = committees.iter().map(|committee| committee.with_bad(0)).collect();
    // Most of a minute, and the same work whatever is bad: one turn.
    let singly = median(times(1, || groups.iter().map(one_by_one).sum()));
    Row::bare("one by one", singly).print(singly);
    for bad in [0, 1, 8, 64] {
        let groups: Vec<_> = committees.iter().map(|committee| committee.with_bad(bad)).collect();
        // A turn is of so many groups that one is enough where it takes long.
        let turns = if bad > 1 { 1 } else { 3 };
        for (verify, name) in modes(bad) {
            let title = format!("{bad} bad each, {name}, warm keys");
            let expected = u32::from(MEMBERS - bad);
            measure(&title, &groups, verify, Warmth::Keys, turns, expected)?.print(singly);
        }
    }
    Ok(())
}

/// `none` cannot tell bad signatures, so it is measured without any.
fn modes(bad: u16) -> impl Iterator<Item = (VerifyMode, &'static str)> {
    [(VerifyMode::Aggregate, "aggregate"), (VerifyMode::Each, "each"), (VerifyMode::None, "none")]
        .into_iter()
        .filter(move |&(mode, _)| bad == 0 || mode != VerifyMode::None)
}

/// Proves all groups in each turn, with one scratch and cache as a worker does.
fn measure(
    title: &str,
    groups: &[Group],
    verify: VerifyMode,
    warmth: Warmth,
    turns: usize,
    expected: u32,
) -> Result<Row> {
    let options = Options { verify, overlap: Overlap::Disjoint };
    let mut scratch = Scratch::new();
    let mut warm = Cache::new(warmth);
    let mut rows = Vec::new();
    // One turn more, to warm up.
    for turn in 0..=turns {
        let mut cold = Cache::new(Warmth::Nothing);
        let cache = if warmth == Warmth::Nothing { &mut cold } else { &mut warm };
        let mut watch = Watch::new();
        for group in groups {
            let seed = [u8::try_from(turn)?; 32];
            let outcome = aggregate_group(group, options, &mut scratch, cache, &seed, &mut watch);
            ensure!(outcome.end == GroupEnd::Complete, "{:?}", outcome.end);
            let coverage = outcome.aggregate.map_or(0, |aggregate| aggregate.bits.count());
            ensure!(coverage == expected, "{title}: {coverage} signatures and not {expected}");
        }
        rows.push(watch.finish());
    }
    rows.remove(0);
    let of = |value: &dyn Fn(&Watch) -> f64| median(rows.iter().map(value).collect());
    Ok(Row {
        title: title.to_owned(),
        total: of(&|watch| watch.total.as_secs_f64()),
        phases: Some(std::array::from_fn(|phase| of(&|watch| watch.phases[phase].as_secs_f64()))),
        longest_step: rows.iter().map(|watch| watch.longest_step).max(),
    })
}

/// What a client without any of this does: validates and verifies each signature, and adds up the
/// good ones. Tells how many there are, so that nothing is left out.
fn one_by_one(group: &Group) -> usize {
    let keys: Vec<_> = group
        .keys
        .0
        .iter()
        .filter_map(|key| match key {
            KeyBytes::Compressed(bytes) => PublicKey::uncompress(bytes).ok(),
            KeyBytes::Missing | KeyBytes::Unreadable => None,
        })
        .collect();
    let good: Vec<_> = group
        .singles
        .iter()
        .zip(&keys)
        .filter_map(|(single, key)| {
            let SignatureBytes::Compressed(bytes) = single.signature else { return None };
            let signature = Signature::sig_validate(&bytes, true).ok()?;
            let verdict = signature.verify(false, &group.message, CIPHERSUITE, &[], key, false);
            (verdict == BLST_ERROR::BLST_SUCCESS).then_some(signature)
        })
        .collect();
    let references: Vec<_> = good.iter().collect();
    let sum = blst::min_pk::AggregateSignature::aggregate(&references, false);
    std::hint::black_box(sum.map(|sum| sum.to_signature().compress())).ok();
    good.len()
}

fn times(turns: usize, run: impl Fn() -> usize) -> Vec<f64> {
    (0..turns)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(run());
            start.elapsed().as_secs_f64()
        })
        .collect()
}

/// A committee, all of whose members have signed.
struct Committee {
    group: Group,
    /// A point of the group that is nobody's signature.
    wrong: SignatureBytes,
}

impl Committee {
    /// The group, in which so many signatures, evenly spread, are wrong.
    fn with_bad(&self, bad: u16) -> Group {
        let mut group = self.group.clone();
        for index in 0..bad {
            let place = usize::from(index) * usize::from(MEMBERS) / usize::from(bad);
            group.singles[place].signature = self.wrong;
        }
        group
    }
}

fn make_committees(cores: usize) -> Result<Vec<Committee>> {
    let numbers: Vec<u8> = (0..COMMITTEES).collect();
    std::thread::scope(|threads| {
        let parts: Vec<_> = numbers
            .chunks(numbers.len().div_ceil(cores))
            .map(|part| {
                threads.spawn(|| part.iter().map(|&it| make_committee(it)).collect::<Vec<_>>())
            })
            .collect();
        let made = parts.into_iter().map(std::thread::ScopedJoinHandle::join);
        let made: Vec<_> = made.flat_map(Result::unwrap_or_default).collect::<Result<_>>()?;
        ensure!(made.len() == numbers.len(), "a thread that made committees ended early");
        Ok(made)
    })
}

fn make_committee(number: u8) -> Result<Committee> {
    let message = [number; 32];
    let (mut keys, mut singles) = (Vec::new(), Vec::new());
    let mut wrong = SignatureBytes::Unreadable;
    for position in 0..MEMBERS {
        let mut material = [number; 32];
        material[..2].copy_from_slice(&position.to_le_bytes());
        let secret = SecretKey::key_gen(&material, &[])
            .map_err(|error| anyhow::anyhow!("no secret key: {error:?}"))?;
        keys.push(KeyBytes::Compressed(secret.sk_to_pk().compress()));
        let sign = |message: &[u8]| {
            SignatureBytes::Compressed(secret.sign(message, CIPHERSUITE, &[]).compress())
        };
        singles.push(Single { positions: Positions::One(position), signature: sign(&message) });
        if position == 0 {
            wrong = sign(b"something else");
        }
    }
    let bits_len = BitsLen::new(u64::from(MEMBERS));
    let bits_len = bits_len.ok_or_else(|| anyhow::anyhow!("a committee too large"))?;
    let keys = Arc::new(KeyTable(keys));
    Ok(Committee { group: Group { message, bits_len, keys, singles, children: Vec::new() }, wrong })
}

/// What is known from before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Warmth {
    Nothing,
    Keys,
    KeysAndSignatures,
}

impl Warmth {
    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "cold",
            Self::Keys => "warm keys",
            Self::KeysAndSignatures => "all warm",
        }
    }
}

struct Cache {
    warmth: Warmth,
    keys: HashMap<[u8; 48], ValidKey>,
    signatures: HashMap<[u8; 96], DecodedSignature>,
}

impl Cache {
    fn new(warmth: Warmth) -> Self {
        Self { warmth, keys: HashMap::new(), signatures: HashMap::new() }
    }
}

impl PointCache for Cache {
    fn key(&mut self, bytes: &[u8; 48]) -> Option<ValidKey> {
        self.keys.get(bytes).copied()
    }

    fn keep_key(&mut self, bytes: &[u8; 48], key: ValidKey) {
        if self.warmth != Warmth::Nothing {
            self.keys.insert(*bytes, key);
        }
    }

    fn signature(&mut self, bytes: &[u8; 96]) -> Option<DecodedSignature> {
        self.signatures.get(bytes).copied()
    }

    fn keep_signature(&mut self, bytes: &[u8; 96], signature: DecodedSignature) {
        if self.warmth == Warmth::KeysAndSignatures {
            self.signatures.insert(*bytes, signature);
        }
    }
}

/// Measures phases, and the longest time in which nobody could stop the work.
struct Watch {
    start: Instant,
    phase: Option<(usize, Instant)>,
    last_check: Instant,
    phases: [Duration; PHASES.len()],
    longest_step: Duration,
    total: Duration,
}

impl Watch {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            start: now,
            phase: None,
            last_check: now,
            phases: [Duration::ZERO; PHASES.len()],
            longest_step: Duration::ZERO,
            total: Duration::ZERO,
        }
    }

    fn end_phase(&mut self) {
        if let Some((phase, since)) = self.phase.take() {
            self.phases[phase] += since.elapsed();
        }
    }

    fn finish(mut self) -> Self {
        self.end_phase();
        self.total = self.start.elapsed();
        self
    }
}

impl Checkpoint for Watch {
    fn check(&mut self) -> Control {
        self.longest_step = self.longest_step.max(self.last_check.elapsed());
        self.last_check = Instant::now();
        Control::Continue
    }

    fn enter(&mut self, phase: Phase) {
        self.end_phase();
        let place = PHASES.iter().position(|&(known, _)| known == phase);
        self.phase = place.map(|place| (place, Instant::now()));
    }
}

/// Seconds.
struct Row {
    title: String,
    total: f64,
    phases: Option<[f64; PHASES.len()]>,
    longest_step: Option<Duration>,
}

impl Row {
    fn header() -> String {
        let [decode, select, sum, verify, bisect, self_check] = PHASES.map(|(_, name)| name);
        format!(
            "{:<34}{:>9}{:>9}{decode:>11}{select:>11}{sum:>11}{verify:>11}{bisect:>11}{self_check:>11}{:>14}",
            "", "total", "faster", "longest step"
        )
    }

    fn bare(title: &str, total: f64) -> Self {
        Self { title: title.to_owned(), total, phases: None, longest_step: None }
    }

    fn print(&self, singly: f64) {
        let cells: Vec<_> = self
            .phases
            .iter()
            .flatten()
            .map(|seconds| format!("{:>11.2}", seconds * 1e3))
            .collect();
        let phases = cells.concat();
        let step = self
            .longest_step
            .map(|step| format!("{:>14.2}", step.as_secs_f64() * 1e3))
            .unwrap_or_default();
        let (total, faster) = (self.total * 1e3, singly / self.total);
        println!("{:<34}{total:>9.1}{faster:>8.1}x{phases}{step}", self.title);
    }
}
