//! `Web3Signer`'s options of `eth2` for keys that a cloud's secret store holds.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};

const AZURE: &str = "Azure Key Vault";
const AWS: &str = "AWS Secrets Manager";
const GCP: &str = "GCP Secret Manager";

const AT_LEAST_1: Kind = Kind::Integer { min: 1, max: i32::MAX as u64 };
const AZURE_AUTH_MODES: Kind = Kind::Choice(&[
    "CLIENT_SECRET",
    "USER_ASSIGNED_MANAGED_IDENTITY",
    "SYSTEM_ASSIGNED_MANAGED_IDENTITY",
]);
const AWS_AUTH_MODES: Kind = Kind::Choice(&["SPECIFIED", "ENVIRONMENT"]);

option_table!(
    TABLE,
    Scope::Eth2,
    AZURE_VAULT_ENABLED = OptionSpec::new(
        &["azure-vault-enabled"],
        Kind::Flag,
        AZURE,
        "Load the keys of an Azure vault."
    )
    .default("false")
    .unavailable("loading keys from Azure Key Vault"),
    AZURE_VAULT_AUTH_MODE = OptionSpec::new(
        &["azure-vault-auth-mode"],
        AZURE_AUTH_MODES,
        AZURE,
        "How to authenticate to the vault."
    )
    .default("CLIENT_SECRET")
    .companion(),
    AZURE_VAULT_NAME =
        OptionSpec::new(&["azure-vault-name"], Kind::Text, AZURE, "Name of the vault.").companion(),
    AZURE_CLIENT_ID =
        OptionSpec::new(&["azure-client-id"], Kind::Text, AZURE, "Client that authenticates.")
            .companion(),
    AZURE_TENANT_ID =
        OptionSpec::new(&["azure-tenant-id"], Kind::Text, AZURE, "Tenant that owns the vault.")
            .companion(),
    AZURE_CLIENT_SECRET =
        OptionSpec::new(&["azure-client-secret"], Kind::Text, AZURE, "Secret of the client.")
            .secret()
            .companion(),
    AZURE_RESPONSE_TIMEOUT = OptionSpec::new(
        &["azure-response-timeout"],
        AT_LEAST_1,
        AZURE,
        "Seconds to wait for an answer of the vault."
    )
    .default("60")
    .companion(),
    AZURE_TAGS = OptionSpec::new(
        &["azure-tags"],
        Kind::Map,
        AZURE,
        "Load only secrets that carry all of these tags."
    )
    .companion(),
    AWS_SECRETS_ENABLED = OptionSpec::new(
        &["aws-secrets-enabled"],
        Kind::Flag,
        AWS,
        "Load keys from AWS Secrets Manager."
    )
    .default("false")
    .unavailable("loading keys from AWS Secrets Manager"),
    AWS_SECRETS_AUTH_MODE = OptionSpec::new(
        &["aws-secrets-auth-mode"],
        AWS_AUTH_MODES,
        AWS,
        "Where the credentials come from."
    )
    .default("SPECIFIED")
    .companion(),
    AWS_SECRETS_ACCESS_KEY_ID = OptionSpec::new(
        &["aws-secrets-access-key-id"],
        Kind::Text,
        AWS,
        "Identifier of the access key."
    )
    .secret()
    .companion(),
    AWS_SECRETS_SECRET_ACCESS_KEY = OptionSpec::new(
        &["aws-secrets-secret-access-key"],
        Kind::Text,
        AWS,
        "Secret of the access key."
    )
    .secret()
    .companion(),
    AWS_SECRETS_REGION =
        OptionSpec::new(&["aws-secrets-region"], Kind::Text, AWS, "Region of the secrets.")
            .companion(),
    AWS_SECRETS_PREFIXES_FILTER = OptionSpec::new(
        &["aws-secrets-prefixes-filter"],
        Kind::List,
        AWS,
        "Load only secrets whose name begins with one of these."
    )
    .companion(),
    AWS_SECRETS_TAG = OptionSpec::new(
        &["aws-secrets-tag"],
        Kind::Map,
        AWS,
        "Load only secrets with these tag keys and values."
    )
    .companion(),
    AWS_ENDPOINT_OVERRIDE = OptionSpec::new(
        &["aws-endpoint-override"],
        Kind::Text,
        AWS,
        "Address to use in place of the region's own."
    )
    .companion(),
    AWS_CONNECTION_CACHE_SIZE = OptionSpec::new(
        &["aws-connection-cache-size"],
        AT_LEAST_1,
        AWS,
        "Connections to keep open."
    )
    .default("1")
    .companion(),
    GCP_SECRETS_ENABLED = OptionSpec::new(
        &["gcp-secrets-enabled"],
        Kind::Flag,
        GCP,
        "Load keys from GCP Secret Manager."
    )
    .default("false")
    .unavailable("loading keys from GCP Secret Manager"),
    GCP_PROJECT_ID =
        OptionSpec::new(&["gcp-project-id"], Kind::Text, GCP, "Project that owns the secrets.")
            .companion(),
    GCP_SECRETS_FILTER = OptionSpec::new(
        &["gcp-secrets-filter"],
        Kind::Text,
        GCP,
        "Load only secrets that match this filter."
    )
    .companion(),
);
