//! `Web3Signer`'s options of `eth2`: network, slashing protection, local keys and interfaces.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};

const NETWORK_HEADING: &str = "Network";
const SLASHING: &str = "Slashing protection";
const KEYS: &str = "Keys";
const INTERFACES: &str = "Interfaces";

const AT_LEAST_1: Kind = Kind::Integer { min: 1, max: i32::MAX as u64 };
const EPOCH: Kind = Kind::Integer { min: 0, max: u64::MAX };

/// A hidden option that moves a fork to another epoch.
const fn fork_epoch(names: &'static [&'static str]) -> OptionSpec {
    OptionSpec::new(names, EPOCH, NETWORK_HEADING, "Epoch at which this fork begins.").hidden()
}

option_table!(
    TABLE,
    Scope::Eth2,
    NETWORK = OptionSpec::new(
        &["network"],
        Kind::Text,
        NETWORK_HEADING,
        "Name of the network, or path of its configuration file in the consensus clients' YAML \
         format."
    )
    .default("mainnet"),
    ALTAIR_FORK_EPOCH = fork_epoch(&["Xnetwork-altair-fork-epoch"]),
    BELLATRIX_FORK_EPOCH = fork_epoch(&["Xnetwork-bellatrix-fork-epoch"]),
    CAPELLA_FORK_EPOCH = fork_epoch(&["Xnetwork-capella-fork-epoch"]),
    DENEB_FORK_EPOCH = fork_epoch(&["Xnetwork-deneb-fork-epoch"]),
    ELECTRA_FORK_EPOCH = fork_epoch(&["Xnetwork-electra-fork-epoch"]),
    FULU_FORK_EPOCH = fork_epoch(&["Xnetwork-fulu-fork-epoch"]),
    TRUSTED_SETUP = OptionSpec::new(
        &["Xtrusted-setup"],
        Kind::Text,
        NETWORK_HEADING,
        "Setup for KZG commitments."
    )
    .hidden()
    .no_effect("signing never verifies KZG commitments"),
    SLASHING_PROTECTION_ENABLED = OptionSpec::new(
        &["slashing-protection-enabled"],
        Kind::Boolean,
        SLASHING,
        "Refuse to sign what could get a validator slashed."
    )
    .default("true"),
    DB_URL = OptionSpec::new(
        &["slashing-protection-db-url"],
        Kind::Text,
        SLASHING,
        "Database of signed blocks and attestations: `sqlite:<file>`, `jdbc:postgresql://...` or \
         `postgres://...`. Without it: SQLite in the file slashing-protection.sqlite of \
         --data-path. Several signers may share one PostgreSQL database."
    )
    .secret(),
    DB_USERNAME = OptionSpec::new(
        &["slashing-protection-db-username"],
        Kind::Text,
        SLASHING,
        "User of the PostgreSQL database."
    ),
    DB_PASSWORD = OptionSpec::new(
        &["slashing-protection-db-password"],
        Kind::Text,
        SLASHING,
        "Password of the PostgreSQL database."
    )
    .secret(),
    DB_POOL_FILE = OptionSpec::new(
        &["slashing-protection-db-pool-configuration-file"],
        Kind::Path,
        SLASHING,
        "Properties file with the settings of the PostgreSQL connection pool."
    ),
    PRUNING_DB_POOL_FILE = OptionSpec::new(
        &["slashing-protection-pruning-db-pool-configuration-file"],
        Kind::Path,
        SLASHING,
        "The same for the connection that prunes."
    ),
    PRUNING_ENABLED = OptionSpec::new(
        &["slashing-protection-pruning-enabled"],
        Kind::Boolean,
        SLASHING,
        "Delete old records in the background."
    )
    .default("true"),
    PRUNING_EPOCHS_TO_KEEP = OptionSpec::new(
        &["slashing-protection-pruning-epochs-to-keep"],
        AT_LEAST_1,
        SLASHING,
        "Epochs of records that pruning leaves."
    )
    .default("250"),
    PRUNING_SLOTS_PER_EPOCH = OptionSpec::new(
        &["slashing-protection-pruning-slots-per-epoch"],
        AT_LEAST_1,
        SLASHING,
        "Slots of one epoch, to count the block records that pruning leaves."
    )
    .default("32"),
    PRUNING_INTERVAL = OptionSpec::new(
        &["slashing-protection-pruning-interval"],
        AT_LEAST_1,
        SLASHING,
        "Hours between two prunings."
    )
    .default("12"),
    PRUNING_AT_BOOT_ENABLED = OptionSpec::new(
        &["slashing-protection-pruning-at-boot-enabled"],
        Kind::Boolean,
        SLASHING,
        "Prune once right after the start."
    )
    .default("false"),
    HEALTH_CHECK_TIMEOUT = OptionSpec::new(
        &["slashing-protection-db-health-check-timeout-milliseconds"],
        AT_LEAST_1,
        SLASHING,
        "Milliseconds after which an unanswered database check counts as failed."
    )
    .default("3000"),
    HEALTH_CHECK_INTERVAL = OptionSpec::new(
        &["slashing-protection-db-health-check-interval-milliseconds"],
        AT_LEAST_1,
        SLASHING,
        "Milliseconds between two database checks."
    )
    .default("30000"),
    DB_CONNECTION_POOL_ENABLED = OptionSpec::new(
        &["Xslashing-protection-db-connection-pool-enabled"],
        Kind::Boolean,
        SLASHING,
        "Use the JVM's connection pool."
    )
    .default("true")
    .hidden()
    .no_effect("records are written in batches over few connections, without the JVM's pool"),
    KEYSTORES_PATH = OptionSpec::new(
        &["keystores-path"],
        Kind::Path,
        KEYS,
        "Folder of EIP-2335 keystores (*.json), all of them loaded."
    ),
    KEYSTORES_PASSWORDS_PATH = OptionSpec::new(
        &["keystores-passwords-path"],
        Kind::Path,
        KEYS,
        "Folder with one password file (<keystore's name>.txt) for each keystore."
    ),
    KEYSTORES_PASSWORD_FILE = OptionSpec::new(
        &["keystores-password-file"],
        Kind::Path,
        KEYS,
        "File with the one password of all keystores."
    ),
    KEY_MANAGER_API_ENABLED = OptionSpec::new(
        &["key-manager-api-enabled", "enable-key-manager-api"],
        Kind::Boolean,
        INTERFACES,
        "Serve the standard Key Manager API."
    )
    .default("false")
    .unavailable("the Key Manager API"),
    KEY_MANAGER_SKIP_KEYSTORE_STORAGE = OptionSpec::new(
        &["Xkey-manager-skip-keystore-storage"],
        Kind::Boolean,
        INTERFACES,
        "Keep keystores that the Key Manager API imports in memory only."
    )
    .default("false")
    .hidden()
    .companion(),
    COMMIT_BOOST_API_ENABLED = OptionSpec::new(
        &["commit-boost-api-enabled"],
        Kind::Boolean,
        INTERFACES,
        "Serve the Commit-Boost signer API."
    )
    .default("false")
    .unavailable("the Commit-Boost API"),
    PROXY_KEYSTORES_PATH = OptionSpec::new(
        &["proxy-keystores-path"],
        Kind::Path,
        INTERFACES,
        "Folder of Commit-Boost proxy keys."
    )
    .companion(),
    PROXY_KEYSTORES_PASSWORD_FILE = OptionSpec::new(
        &["proxy-keystores-password-file"],
        Kind::Path,
        INTERFACES,
        "File with the password of the proxy keys."
    )
    .companion(),
    SIGNING_EXT_ENABLED = OptionSpec::new(
        &["Xsigning-ext-enabled"],
        Kind::Flag,
        INTERFACES,
        "Serve the extension endpoint, which signs proofs of validation."
    )
    .default("false")
    .hidden(),
);
