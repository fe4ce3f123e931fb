//! The ways in which selection proofs are asked for, and the signer of each.

use std::path::Path;

use anyhow::{Context, Result};
use midslot_tests::{BeaconNode, BeaconNodeBuilder, HttpClient, Signer, SignerOptions};
use serde::Serialize;
use signer_client::{
    load::{Duties, LoadChain, Profile, interop_public_key},
    wire::Epoch,
};

use super::EPOCH;
use crate::baseline;

/// The signer's count of proofs that it had ready.
const HITS: &str = "midslot_proof_lookups_total{result=\"hit\"}";
/// Places of a subcommittee in the sync committee of the mainnet preset.
const SUBCOMMITTEE_SIZE: u64 = 128;

/// A way to have proofs made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Variant {
    /// All at once, and a signer with a blocking task for each request.
    FifoBurst,
    /// All at once.
    Burst,
    /// Lighthouse since its pull request 4033.
    Lighthouse,
    /// Our own client's scheduler.
    PreRequests,
    /// Lighthouse as it is, and a signer that asks a beacon node.
    Prefetch,
}

/// What a run is played against; ends when dropped.
pub(super) struct RunningSigner {
    pub(super) url: String,
    process: Option<Signer>,
    _beacon_node: Option<BeaconNode>,
}

impl RunningSigner {
    /// Proofs that were answered from memory; `None` for the baseline, which keeps none.
    pub(super) async fn proofs_from_memory(&self) -> Result<Option<u64>> {
        let Some(process) = &self.process else { return Ok(None) };
        let metrics = HttpClient::new(process.metrics.context("the signer has no metrics port")?);
        let page = metrics.get("/metrics").await?;
        let hits = page.text().lines().find_map(|line| line.strip_prefix(HITS));
        Ok(Some(hits.context("the signer does not count hits")?.trim().parse()?))
    }
}

impl Variant {
    pub(super) const ALL: [Self; 5] =
        [Self::FifoBurst, Self::Burst, Self::Lighthouse, Self::PreRequests, Self::Prefetch];

    pub(super) fn by_name(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|variant| variant.name() == name);
        found.with_context(|| {
            format!("unknown way {name}; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FifoBurst => "fifo-burst",
            Self::Burst => "burst",
            Self::Lighthouse => "lighthouse",
            Self::PreRequests => "pre-requests",
            Self::Prefetch => "prefetch",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::FifoBurst => "FIFO baseline, epoch's proofs in one burst",
            Self::Burst => "(a) epoch's proofs in one burst",
            Self::Lighthouse => "(b) Lighthouse, 8 slots ahead at mid-slot",
            Self::PreRequests => "(c) our client, pre-requests",
            Self::Prefetch => "(d) as (b), signer prefetches",
        }
    }

    pub(super) const fn profile(self) -> Profile {
        match self {
            Self::FifoBurst | Self::Burst => Profile::EpochBurst,
            Self::Lighthouse | Self::Prefetch => Profile::Lighthouse,
            Self::PreRequests => Profile::Midslot,
        }
    }

    /// Starts the signer with the keystores and the network in a folder.
    pub(super) async fn start(
        self,
        folder: &Path,
        chain: &LoadChain,
        validators: u32,
        seed: u64,
        network_validators: u32,
    ) -> Result<RunningSigner> {
        let keys = (0..u64::from(validators)).map(|index| interop_public_key(index).to_string());
        if self == Self::FifoBurst {
            let keys: Vec<_> = keys.collect();
            let url = format!("http://{}", baseline::start(&keys).await?);
            return Ok(RunningSigner { url, process: None, _beacon_node: None });
        }
        let path = |name: &str| folder.join(name).display().to_string();
        // The runs share the key folder, and each has a chain and a database of its own: what an
        // earlier one signed means nothing on this one's chain.
        let mut options = SignerOptions::empty()
            .root("--metrics-enabled")
            .eth2("--accept-new-slashing-protection-db=true")
            .eth2(format!("--network={}", path("network.yaml")))
            .eth2(format!("--keystores-path={}", path("keystores")))
            .eth2(format!("--keystores-passwords-path={}", path("passwords")));
        let mut beacon_node = None;
        if self == Self::Prefetch {
            let duties = Duties::new(seed, validators, network_validators);
            let node = beacon_node_with(chain, &duties, keys).start().await?;
            options = options.root(format!("--prefetch-beacon-nodes={}", node.url()));
            beacon_node = Some(node);
        }
        let process = options.start().await?;
        let url = format!("http://{}", process.client.address());
        Ok(RunningSigner { url, process: Some(process), _beacon_node: beacon_node })
    }
}

/// A beacon node that tells the duties of the load.
fn beacon_node_with(
    chain: &LoadChain,
    duties: &Duties,
    keys: impl Iterator<Item = String>,
) -> BeaconNodeBuilder {
    let info = chain.fork_info();
    let root = info.genesis_validators_root.to_string();
    let slot_ms = u64::try_from(chain.slot_duration().as_millis()).unwrap_or(u64::MAX);
    let mut node = BeaconNodeBuilder::new(chain.genesis_time(), &root, slot_ms)
        .fork(0, &info.fork.previous_version.to_string())
        .fork(info.fork.epoch.0, &info.fork.current_version.to_string())
        .validators(keys);
    // The run lasts less than two epochs.
    for epoch in EPOCH - 2..EPOCH + 3 {
        let mut slots = vec![0; duties.validators() as usize];
        for (validator, slot) in duties.attesters_of(Epoch(epoch)) {
            slots[validator as usize] = slot.0;
        }
        node = node.attester_slots(epoch, slots);
    }
    // Members of a subcommittee sit side by side.
    let members = duties.sync_members(Epoch(EPOCH));
    let places: Vec<_> = (0_u64..)
        .zip(members)
        .map(|(number, member)| {
            let place = member.subcommittee_index * SUBCOMMITTEE_SIZE + number / 4;
            (place, member.validator as usize)
        })
        .collect();
    node.sync_committee(0, &places)
}
