//! What asks beacon nodes, and what it has learned of them.

use std::sync::Arc;

use midslot_tests::BeaconNode;
use parking_lot::Mutex;
use signer_client::wire::{Epoch, PublicKey, Slot};

use super::{
    super::{
        super::{
            BeaconAddress, PrefetchState, PrefetchStatus,
            book::Book,
            chain::Chain,
            node::{Node, NodeFailure},
            worker::{Asker, Source},
        },
        key, keys, network,
    },
    EPOCH, HOUR_MS, NOW, PATIENCE,
};
use crate::{
    keys::Registry,
    telemetry::metrics::{Category, Metrics, MetricsOptions},
};

pub(super) struct Bench {
    pub(super) asker: Asker,
    metrics: Arc<Metrics>,
    pub(super) ours: Arc<[PublicKey]>,
}

impl Bench {
    pub(super) fn new(genesis_time: u64, nodes: &[&BeaconNode], ours: u64) -> Self {
        let addresses: Vec<_> = nodes.iter().map(|node| node.url()).collect();
        Self::at(genesis_time, &addresses, ours)
    }

    pub(super) fn at(genesis_time: u64, addresses: &[String], ours: u64) -> Self {
        let options = MetricsOptions { version: "test", slashing_protection_enabled: true };
        let metrics = Arc::new(Metrics::new(options));
        let sources = addresses.iter().map(|address| {
            let address = BeaconAddress::parse(address).unwrap();
            Source::new(Node::new(address, PATIENCE).unwrap(), PATIENCE)
        });
        let asker = Asker {
            chain: Chain::of(&network(genesis_time, HOUR_MS)).unwrap(),
            sources: sources.collect(),
            book: Arc::new(Mutex::new(Book::default())),
            registry: Arc::new(Registry::default()),
            metrics: metrics.clone(),
            status: Arc::new(PrefetchStatus::default()),
            ours: Arc::default(),
        };
        Self { asker, metrics, ours: keys(ours).into() }
    }

    pub(super) async fn refresh(&mut self) -> PrefetchState {
        self.refresh_at(NOW).await
    }

    pub(super) async fn refresh_at(&mut self, slot: u64) -> PrefetchState {
        self.asker.refresh(Slot(slot), self.ours.clone()).await;
        self.asker.status.report().state
    }

    /// Demands that refreshing fails, and gives why.
    pub(super) async fn failure(&mut self) -> String {
        match self.refresh().await {
            PrefetchState::Failing { reason } => reason,
            state => panic!("{state:?}"),
        }
    }

    pub(super) fn attesters(&self, slot: u64) -> Vec<PublicKey> {
        self.asker.book.lock().attesters_at(Epoch(slot / 32), Slot(slot)).to_vec()
    }

    /// All that the book has for both epochs.
    pub(super) fn duties(&self) -> Vec<(u64, PublicKey)> {
        let slots = EPOCH.0 * 32..(EPOCH.0 + 2) * 32;
        slots
            .flat_map(|slot| self.attesters(slot).into_iter().map(move |key| (slot, key)))
            .collect()
    }

    /// Demands that the book has what the node tells.
    pub(super) fn assert_told(&self, node: &BeaconNode, validators: usize) {
        assert_eq!(self.duties().len(), 2 * validators);
        for epoch in [EPOCH.0, EPOCH.0 + 1] {
            for position in 0..validators {
                let slot = node.attester_slot(epoch, position);
                assert!(self.attesters(slot).contains(&key(position as u64)), "{position}");
            }
        }
    }

    pub(super) fn count(&self, series: &str) -> u64 {
        let page = self.metrics.render(&[Category::Signing]);
        let found = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {series}")).parse().unwrap()
    }

    pub(super) fn failures(&self, failure: NodeFailure) -> u64 {
        let reason = match failure {
            NodeFailure::Unreachable => "unreachable",
            NodeFailure::Status => "status",
            NodeFailure::Answer => "answer",
            NodeFailure::WrongChain => "wrong_chain",
            NodeFailure::NotSynced => "not_synced",
        };
        self.count(&format!("midslot_prefetch_node_failures_total{{reason=\"{reason}\"}}"))
    }
}
