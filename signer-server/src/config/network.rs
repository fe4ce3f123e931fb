//! Which chain the keys sign for.

use signer_client::wire::Epoch;

use super::{
    error::ParameterError,
    option::OptionSpec,
    options::eth2::{
        ALTAIR_FORK_EPOCH, BELLATRIX_FORK_EPOCH, CAPELLA_FORK_EPOCH, DENEB_FORK_EPOCH,
        ELECTRA_FORK_EPOCH, FULU_FORK_EPOCH, NETWORK,
    },
    values::Values,
};

/// The network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Name of a known network or path of a network's configuration file, as given.
    pub network: String,
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
}
