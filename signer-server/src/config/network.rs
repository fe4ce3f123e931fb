//! Which chain the keys sign for.

use signer_client::wire::{Epoch, Fork};

use super::{
    error::ParameterError,
    option::OptionSpec,
    options::eth2::{
        ALTAIR_FORK_EPOCH, BELLATRIX_FORK_EPOCH, CAPELLA_FORK_EPOCH, DENEB_FORK_EPOCH,
        ELECTRA_FORK_EPOCH, FULU_FORK_EPOCH, NETWORK,
    },
    values::Values,
};
use crate::{
    duty::{Network, NetworkError},
    telemetry::logs::with_causes,
};

/// The network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Name of a known network or path of a network's configuration file, as given.
    pub network: String,
    /// Whether it was given, and is not the default.
    pub is_given: bool,
    /// Forks that begin at another epoch than the network says.
    pub fork_epoch_overrides: ForkEpochOverrides,
}

/// Epochs at which forks begin, in place of the network's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is named after its fork")]
pub struct ForkEpochOverrides {
    pub altair: Option<Epoch>,
    pub bellatrix: Option<Epoch>,
    pub capella: Option<Epoch>,
    pub deneb: Option<Epoch>,
    pub electra: Option<Epoch>,
    pub fulu: Option<Epoch>,
}

impl NetworkConfig {
    pub(super) fn from_values(values: &Values) -> Result<Self, ParameterError> {
        let epoch = |spec: &OptionSpec| Ok(values.optional_integer(spec)?.map(Epoch));
        Ok(Self {
            network: values.non_empty_text(&NETWORK)?,
            is_given: values.origin(&NETWORK).is_some(),
            fork_epoch_overrides: ForkEpochOverrides {
                altair: epoch(&ALTAIR_FORK_EPOCH)?,
                bellatrix: epoch(&BELLATRIX_FORK_EPOCH)?,
                capella: epoch(&CAPELLA_FORK_EPOCH)?,
                deneb: epoch(&DENEB_FORK_EPOCH)?,
                electra: epoch(&ELECTRA_FORK_EPOCH)?,
                fulu: epoch(&FULU_FORK_EPOCH)?,
            },
        })
    }

    /// The network that these options describe. Reads its file, when it has one.
    pub fn load(&self) -> Result<Network, NetworkError> {
        let mut network = Network::by_name_or_file(&self.network)?;
        let overrides = &self.fork_epoch_overrides;
        for (fork, epoch) in [
            (Fork::Altair, overrides.altair),
            (Fork::Bellatrix, overrides.bellatrix),
            (Fork::Capella, overrides.capella),
            (Fork::Deneb, overrides.deneb),
            (Fork::Electra, overrides.electra),
            (Fork::Fulu, overrides.fulu),
        ] {
            if let Some(epoch) = epoch {
                network.override_fork_epoch(fork, epoch)?;
            }
        }
        network.check_fork_order()?;
        Ok(network)
    }

    /// Refuses a network that can't be loaded, so that the mistake counts as one in the options.
    pub(super) fn check(&self, values: &Values) -> Result<(), ParameterError> {
        match self.load() {
            Ok(_) => Ok(()),
            Err(error) => Err(values.invalid(&NETWORK, with_causes(&error))),
        }
    }
}
