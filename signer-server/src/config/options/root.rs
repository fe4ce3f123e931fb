//! `Web3Signer`'s root options: those that stand before `eth2`.

use super::{
    super::option::{Kind, OptionSpec, Scope},
    option_table,
};
use crate::telemetry::{
    logs::{LogFormat, LogLevel},
    metrics::Category,
};

const GENERAL: &str = "General";
const KEYS: &str = "Keys";
const LOGGING: &str = "Logging";
const HTTP: &str = "HTTP";
const METRICS: &str = "Metrics";
const METRICS_PUSH: &str = "Metrics push";
const TLS: &str = "TLS";
const JVM: &str = "Without effect here";

const PORT: Kind = Kind::Integer { min: 0, max: 65_535 };
/// Integers that `Web3Signer` holds in 32 signed bits.
const AT_LEAST_0: Kind = Kind::Integer { min: 0, max: i32::MAX as u64 };
const AT_LEAST_1: Kind = Kind::Integer { min: 1, max: i32::MAX as u64 };
const AT_LEAST_100: Kind = Kind::Integer { min: 100, max: i32::MAX as u64 };

const PUSH_MISSING: &str = "pushing metrics to a gateway";
const TLS_MISSING: &str = "TLS";
const LOADING_ADVICE: &str =
    "keys are loaded by a fixed number of threads; see --key-loading-threads";

option_table!(
    TABLE,
    Scope::Root,
    CONFIG_FILE = OptionSpec::new(
        &["config-file"],
        Kind::Path,
        GENERAL,
        "YAML file with option values. Only the command line can name it."
    ),
    DATA_PATH = OptionSpec::new(
        &["data-path"],
        Kind::Path,
        GENERAL,
        "Folder for what the signer writes: its database, unless another is named, and the file \
         `web3signer.ports` with the ports that it listens on."
    ),
    KEY_CONFIG_PATH = OptionSpec::new(
        &["key-config-path", "key-store-path"],
        Kind::Path,
        KEYS,
        "Folder of key configuration files (YAML)."
    )
    .default("./"),
    KEY_CONFIG_FILE_MAX_SIZE = OptionSpec::new(
        &["key-store-config-file-max-size"],
        AT_LEAST_1,
        KEYS,
        "Largest key configuration file that is read, in bytes."
    )
    .default("104857600"),
    SIGNER_LOAD_PARALLEL = OptionSpec::new(
        &["signer-load-parallel"],
        Kind::Boolean,
        KEYS,
        "Load keys on several threads; false means one."
    )
    .default("true"),
    LOGGING_LEVEL = OptionSpec::new(
        &["logging", "l"],
        Kind::Choice(LogLevel::NAMES),
        LOGGING,
        "The least severe messages that are logged."
    )
    .default("INFO"),
    LOGGING_FORMAT = OptionSpec::new(
        &["logging-format"],
        Kind::Choice(LogFormat::NAMES),
        LOGGING,
        "Form of a log line: plain text or one of the JSON layouts."
    )
    .default("PLAIN"),
    ACCESS_LOGS_ENABLED = OptionSpec::new(
        &["access-logs-enabled"],
        Kind::Flag,
        LOGGING,
        "Log one line for every HTTP request."
    )
    .default("false"),
    HTTP_LISTEN_HOST = OptionSpec::new(
        &["http-listen-host"],
        Kind::Text,
        HTTP,
        "Address or host name to listen on for signing requests."
    )
    .default("127.0.0.1"),
    HTTP_LISTEN_PORT = OptionSpec::new(
        &["http-listen-port"],
        PORT,
        HTTP,
        "Port to listen on for signing requests; 0 takes any free port."
    )
    .default("9000"),
    HTTP_HOST_ALLOWLIST = OptionSpec::new(
        &["http-host-allowlist"],
        Kind::List,
        HTTP,
        "Host names that a request's Host header may carry; `*` or `all` for any, `none` for none."
    )
    .default("localhost,127.0.0.1"),
    HTTP_CORS_ORIGINS = OptionSpec::new(
        &["http-cors-origins"],
        Kind::List,
        HTTP,
        "Regular expressions for the origins of browser requests; `*` or `all` for any, `none` \
         for none."
    )
    .default("none"),
    IDLE_CONNECTION_TIMEOUT = OptionSpec::new(
        &["idle-connection-timeout-seconds"],
        AT_LEAST_0,
        HTTP,
        "Close a connection after this many seconds without traffic; 0 never closes it."
    )
    // Web3Signer closes after 30 s, and then races with clients that reuse a connection once an
    // epoch.
    .default("120"),
    METRICS_ENABLED = OptionSpec::new(
        &["metrics-enabled"],
        Kind::Flag,
        METRICS,
        "Serve Prometheus metrics on a port of their own."
    )
    .default("false"),
    METRICS_HOST = OptionSpec::new(
        &["metrics-host"],
        Kind::Text,
        METRICS,
        "Address or host name to listen on for metrics requests."
    )
    .default("127.0.0.1"),
    METRICS_PORT = OptionSpec::new(
        &["metrics-port"],
        PORT,
        METRICS,
        "Port to listen on for metrics requests; 0 takes any free port."
    )
    .default("9001"),
    METRICS_CATEGORIES = OptionSpec::new(
        &["metrics-category", "metrics-categories"],
        Kind::Choices(Category::NAMES),
        METRICS,
        "Groups of metrics to serve."
    )
    .default("ETH2_SLASHING_PROTECTION,HTTP,SIGNING,JVM,PROCESS"),
    METRICS_HOST_ALLOWLIST = OptionSpec::new(
        &["metrics-host-allowlist"],
        Kind::List,
        METRICS,
        "Host names that a metrics request's Host header may carry; `*` or `all` for any, `none` \
         for none."
    )
    .default("localhost,127.0.0.1"),
    METRICS_PUSH_ENABLED = OptionSpec::new(
        &["metrics-push-enabled"],
        Kind::Flag,
        METRICS_PUSH,
        "Push metrics to a Prometheus push gateway."
    )
    .default("false")
    .unavailable(PUSH_MISSING),
    METRICS_PUSH_HOST = OptionSpec::new(
        &["metrics-push-host"],
        Kind::Text,
        METRICS_PUSH,
        "Host of the push gateway."
    )
    .default("127.0.0.1")
    .companion(),
    METRICS_PUSH_PORT =
        OptionSpec::new(&["metrics-push-port"], PORT, METRICS_PUSH, "Port of the push gateway.")
            .default("9001")
            .companion(),
    METRICS_PUSH_INTERVAL = OptionSpec::new(
        &["metrics-push-interval"],
        AT_LEAST_1,
        METRICS_PUSH,
        "Seconds between two pushes."
    )
    .default("15")
    .companion(),
    METRICS_PUSH_PROMETHEUS_JOB = OptionSpec::new(
        &["metrics-push-prometheus-job"],
        Kind::Text,
        METRICS_PUSH,
        "Job name at the push gateway."
    )
    .default("web3signer-job")
    .companion(),
    TLS_KEYSTORE_FILE = OptionSpec::new(
        &["tls-keystore-file"],
        Kind::Path,
        TLS,
        "PKCS#12 file with the server's certificate and key."
    )
    .unavailable(TLS_MISSING),
    TLS_KEYSTORE_PASSWORD_FILE = OptionSpec::new(
        &["tls-keystore-password-file"],
        Kind::Path,
        TLS,
        "File whose first line is the password of the PKCS#12 file."
    )
    .unavailable(TLS_MISSING),
    TLS_ALLOW_ANY_CLIENT = OptionSpec::new(
        &["tls-allow-any-client"],
        Kind::Boolean,
        TLS,
        "Ask clients for no certificate."
    )
    .default("false")
    .unavailable(TLS_MISSING),
    TLS_KNOWN_CLIENTS_FILE = OptionSpec::new(
        &["tls-known-clients-file"],
        Kind::Path,
        TLS,
        "File with the names and certificate fingerprints of the clients that may connect."
    )
    .unavailable(TLS_MISSING),
    TLS_ALLOW_CA_CLIENTS = OptionSpec::new(
        &["tls-allow-ca-clients"],
        Kind::Boolean,
        TLS,
        "Let clients connect whose certificate a trusted authority has signed."
    )
    .default("false")
    .unavailable(TLS_MISSING),
    VERTX_WORKER_POOL_SIZE =
        OptionSpec::new(&["vertx-worker-pool-size"], AT_LEAST_1, JVM, "Size of a JVM thread pool.")
            .default("20")
            .no_effect("signing has threads of its own; see --signing-threads"),
    RELOAD_TIMEOUT = OptionSpec::new(
        &["reload-timeout"],
        AT_LEAST_1,
        JVM,
        "Minutes after which the JVM warns of a slow reload."
    )
    .default("30")
    .no_effect("a reload runs to its end on the key loading threads and blocks nothing"),
    SIGNER_LOAD_TIMEOUT = OptionSpec::new(
        &["signer-load-timeout"],
        AT_LEAST_1,
        JVM,
        "Seconds to wait for one key configuration file."
    )
    .default("60")
    .no_effect(LOADING_ADVICE),
    SIGNER_LOAD_BATCH_SIZE = OptionSpec::new(
        &["signer-load-batch-size"],
        AT_LEAST_100,
        JVM,
        "Key configuration files in one batch of tasks."
    )
    .default("500")
    .no_effect(LOADING_ADVICE),
    SIGNER_LOAD_SEQUENTIAL_THRESHOLD = OptionSpec::new(
        &["signer-load-sequential-threshold"],
        AT_LEAST_1,
        JVM,
        "Number of key configuration files from which on they are loaded in parallel."
    )
    .default("100")
    .no_effect(LOADING_ADVICE),
);
