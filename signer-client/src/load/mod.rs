//! Plays the validators of a known client against a signer, slot by slot, and measures.
//!
//! [`play`] does all of it: it asks the signer for its keys (which must be interop keys, see
//! [`check_keys`]), does in every slot what the chosen client does in it ([`Profile`], [`steps`]),
//! and gives a [`Report`]. [`make_keystores`] makes keys and a chain to do it with.
//!
//! Invariant: what is signed is a function of chain, slot and validator, on a chain that is made up;
//! no run can make two objects that are slashable together, and no key with value takes part.
//!
//! What counts as a missed deadline, as parts of the slot in which the duty is:
//!
//! | duty | asked for at | missed when not signed by |
//! |---|---|---|
//! | randomness, block | 0, 4 % | 1/3, when the others vote without the block |
//! | attestation, sync message | 1/3 | 2/3, when they are aggregated |
//! | aggregate, contribution | 2/3 | the end of the slot |
//! | selection proof | by profile | 2/3, when it must be known who aggregates |

mod bodies;
mod chain;
mod duties;
mod files;
mod keys;
mod keystores;
mod player;
mod pre_requests;
mod profile;
mod recorder;
mod report;
mod schedule;
mod stats;
mod verify;
mod wire;

use std::{future::Future, sync::Arc, time::Duration};

pub use chain::{ChainFileError, LoadChain, SLOTS_PER_EPOCH};
pub use duties::{Duties, SyncMember, Validator};
pub use files::raise_limit_of_open_files;
pub use keys::{KeyCheckError, check_keys, interop_public_key};
pub use keystores::{KeystoreError, KeystoreFolders, make_keystores};
pub use profile::{AggregateForm, Manners, Profile, ProofStep, UnknownProfile};
pub use report::{Report, Row};
pub use schedule::{AGGREGATE_DUE, ATTESTATION_DUE, Action, BLOCK_READY, LOOK_UP, Step, steps};
pub use stats::{Failure, Kind, Phase, Series};

use self::player::Player;
use crate::{
    client::{Deadline, Endpoint, HttpOptions, HttpSigner, RemoteSigner, SetupError, SignError},
    selection::{ChainError, NoSlotLength, OptionsError},
    wire::{Epoch, PublicKey, Slot},
};

/// How long a signer may take to list its keys.
const LIST_PATIENCE: Duration = Duration::from_mins(1);

/// What to play.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Address of the signer, `http://` or `https://`.
    pub url: String,
    /// Which client.
    pub profile: Profile,
    /// On which chain.
    pub chain: LoadChain,
    /// How many validators.
    pub validators: u32,
    /// How many validators the whole network has: decides how many aggregate and how many are in the
    /// sync committee.
    pub network_validators: u32,
    /// What duties are drawn from.
    pub seed: u64,
    /// When it is over and counting begins.
    pub warm_up: WarmUp,
    /// Slots that are measured.
    pub slots: u64,
    /// Whether every signature is checked.
    pub verify: bool,
}

/// What is played before anything is counted. The first slot is always the next one that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// So many slots.
    Slots(u64),
    /// All slots before this one, at least one.
    Until(Slot),
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Slots that are over, those of the warm-up among them.
    pub slots_done: u64,
    /// All slots.
    pub slots: u64,
    /// Requests that were answered or given up.
    pub sent: u64,
    /// Those without a signature.
    pub failed: u64,
    /// Deadlines that passed without a signature.
    pub missed: u64,
}

/// Why nothing is played.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The address makes no sense.
    #[error("the signer's address is no URL such as http://localhost:9000")]
    Address,
    /// The system's certificates can't be read.
    #[error("the system's certificates of authorities can't be read: {0}")]
    Authorities(#[source] std::io::Error),
    /// The client can't be built.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The signer does not list its keys.
    #[error("the signer does not list its keys: {0}")]
    List(#[source] SignError),
    /// The signer holds keys that it should not, or too few.
    #[error(transparent)]
    Keys(#[from] KeyCheckError),
    /// The chain is too young, or not in Fulu yet.
    #[error("the chain must be in Fulu and past its first epoch; slot {0} is in epoch {1}")]
    EarlySlot(Slot, Epoch),
    /// Counting should have begun already.
    #[error(
        "slot {0} comes before there could be a slot of warm-up: the signer took too long to start"
    )]
    TooLate(Slot),
    /// The scheduler of selection proofs does not take the chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// As above.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// As above.
    #[error(transparent)]
    Clock(#[from] NoSlotLength),
    /// The system gives no thread.
    #[error("no thread for checking signatures: {0}")]
    Thread(#[source] std::io::Error),
}

/// Plays the plan until its last slot is over or `stop` is ready, and says what was measured.
/// `progress` is told several times a second how far it is.
///
/// # Errors
/// See [`LoadError`]; nothing is signed then.
pub async fn play(
    plan: &Plan,
    progress: impl Fn(Progress),
    stop: impl Future<Output = ()>,
) -> Result<Report, LoadError> {
    let keys = keys_of_signer(plan).await?;
    let first = plan.chain.next_slot();
    let warm_up_slots = match plan.warm_up {
        WarmUp::Slots(slots) => slots,
        WarmUp::Until(slot) if first < slot => slot.0 - first.0,
        WarmUp::Until(slot) => return Err(LoadError::TooLate(slot)),
    };
    let epoch = chain::epoch_of(first);
    if epoch.0 == 0 || epoch < plan.chain.fork_info().fork.epoch {
        return Err(LoadError::EarlySlot(first, epoch));
    }
    let player = Arc::new(Player::new(plan, &keys, first, warm_up_slots)?);
    let slots_played = player.play(progress, stop).await;
    let counted = slots_played.saturating_sub(warm_up_slots);
    Ok(player.report(plan, counted))
}

async fn keys_of_signer(plan: &Plan) -> Result<Vec<PublicKey>, LoadError> {
    let signer = HttpSigner::new(vec![Endpoint::new(&plan.url)?], HttpOptions::default())?;
    let held =
        signer.public_keys(Deadline::within(LIST_PATIENCE)).await.map_err(LoadError::List)?;
    Ok(check_keys(&held, plan.validators)?)
}
