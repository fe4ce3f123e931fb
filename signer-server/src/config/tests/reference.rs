//! The contract with operators who come from `Web3Signer`: the names, aliases, defaults and forms
//! of all its options, written down here a second time, from its documentation and behaviour.

use super::super::{
    option::{Kind, OptionSpec, Scope, Treatment},
    options,
};

/// Scope, names joined by commas, form, default; `-` for none.
const REFERENCE: &str = "
root  config-file                                                path     -
root  data-path                                                  path     -
root  key-config-path,key-store-path                             path     ./
root  key-store-config-file-max-size                             integer  104857600
root  logging,l                                                  choice   INFO
root  logging-format                                             choice   PLAIN
root  http-listen-host                                           text     127.0.0.1
root  http-listen-port                                           integer  9000
root  http-host-allowlist                                        list     localhost,127.0.0.1
root  http-cors-origins                                          list     none
root  metrics-enabled                                            flag     false
root  metrics-host                                               text     127.0.0.1
root  metrics-port                                               integer  9001
root  metrics-category,metrics-categories                        list     ETH2_SLASHING_PROTECTION,HTTP,SIGNING,JVM,PROCESS
root  metrics-host-allowlist                                     list     localhost,127.0.0.1
root  metrics-push-enabled                                       flag     false
root  metrics-push-host                                          text     127.0.0.1
root  metrics-push-port                                          integer  9001
root  metrics-push-interval                                      integer  15
root  metrics-push-prometheus-job                                text     web3signer-job
root  access-logs-enabled                                        flag     false
root  vertx-worker-pool-size                                     integer  20
root  reload-timeout                                             integer  30
root  signer-load-timeout                                        integer  60
root  signer-load-batch-size                                     integer  500
root  signer-load-sequential-threshold                           integer  100
root  signer-load-parallel                                       boolean  true
root  tls-keystore-file                                          path     -
root  tls-keystore-password-file                                 path     -
root  tls-allow-any-client                                       boolean  false
root  tls-known-clients-file                                     path     -
root  tls-allow-ca-clients                                       boolean  false
eth2  network                                                    text     mainnet
eth2  Xnetwork-altair-fork-epoch                                 integer  -
eth2  Xnetwork-bellatrix-fork-epoch                              integer  -
eth2  Xnetwork-capella-fork-epoch                                integer  -
eth2  Xnetwork-deneb-fork-epoch                                  integer  -
eth2  Xnetwork-electra-fork-epoch                                integer  -
eth2  Xnetwork-fulu-fork-epoch                                   integer  -
eth2  Xtrusted-setup                                             text     -
eth2  Xsigning-ext-enabled                                       flag     false
eth2  slashing-protection-enabled                                boolean  true
eth2  slashing-protection-db-url                                 text     -
eth2  slashing-protection-db-username                            text     -
eth2  slashing-protection-db-password                            text     -
eth2  slashing-protection-db-pool-configuration-file             path     -
eth2  slashing-protection-pruning-db-pool-configuration-file     path     -
eth2  slashing-protection-pruning-enabled                        boolean  true
eth2  slashing-protection-pruning-epochs-to-keep                 integer  250
eth2  slashing-protection-pruning-slots-per-epoch                integer  32
eth2  slashing-protection-pruning-interval                       integer  12
eth2  slashing-protection-pruning-at-boot-enabled                boolean  false
eth2  slashing-protection-db-health-check-timeout-milliseconds   integer  3000
eth2  slashing-protection-db-health-check-interval-milliseconds  integer  30000
eth2  Xslashing-protection-db-connection-pool-enabled            boolean  true
eth2  keystores-path                                             path     -
eth2  keystores-passwords-path                                   path     -
eth2  keystores-password-file                                    path     -
eth2  key-manager-api-enabled,enable-key-manager-api             boolean  false
eth2  Xkey-manager-skip-keystore-storage                         boolean  false
eth2  commit-boost-api-enabled                                   boolean  false
eth2  proxy-keystores-path                                       path     -
eth2  proxy-keystores-password-file                              path     -
eth2  azure-vault-enabled                                        flag     false
eth2  azure-vault-auth-mode                                      choice   CLIENT_SECRET
eth2  azure-vault-name                                           text     -
eth2  azure-client-id                                            text     -
eth2  azure-tenant-id                                            text     -
eth2  azure-client-secret                                        text     -
eth2  azure-response-timeout                                     integer  60
eth2  azure-tags                                                 map      -
eth2  aws-secrets-enabled                                        flag     false
eth2  aws-secrets-auth-mode                                      choice   SPECIFIED
eth2  aws-secrets-access-key-id                                  text     -
eth2  aws-secrets-secret-access-key                              text     -
eth2  aws-secrets-region                                         text     -
eth2  aws-secrets-prefixes-filter                                list     -
eth2  aws-secrets-tag                                            map      -
eth2  aws-endpoint-override                                      text     -
eth2  aws-connection-cache-size                                  integer  1
eth2  gcp-secrets-enabled                                        flag     false
eth2  gcp-project-id                                             text     -
eth2  gcp-secrets-filter                                         text     -
export  to                                                       path     -
import  from                                                     path     -
watermark-repair  epoch                                          integer  -
watermark-repair  slot                                           integer  -
watermark-repair  set-high-watermark                             flag     false
watermark-repair  remove-high-watermark                          flag     false
";

/// Options of `Web3Signer` whose default differs here on purpose, and those it does not have.
const DIFFERENT: &str = "
root  idle-connection-timeout-seconds                            integer  120
root  signing-threads                                            integer  -
root  queue-bound-block                                          integer  1024
root  queue-bound-attestation                                    integer  65536
root  queue-bound-aggregate                                      integer  16384
root  queue-bound-selection-proof                                integer  65536
root  queue-bound-background                                     integer  65536
root  http-max-body-bytes-in-flight                              integer  -
root  http-max-connections                                       integer  16384
root  http-server-timing-enabled                                 flag     false
root  batch-max-keys                                             integer  16384
root  proof-cache-capacity                                       integer  65536
root  proof-max-slots-ahead                                      integer  64
root  prefetch-beacon-nodes                                      list     -
root  prefetch-look-ahead-slots                                  integer  8
root  prefetch-slot-percent                                      integer  80
root  prefetch-request-timeout-milliseconds                      integer  3000
root  aggregation-enabled                                        flag     false
root  aggregation-threads                                        integer  -
root  aggregation-deadline-milliseconds                          integer  750
root  aggregation-max-body-size                                  integer  16777216
root  aggregation-max-jobs                                       integer  1024
root  http-max-body-size                                         integer  33554432
root  key-loading-threads                                        integer  -
root  audit-api-enabled                                          flag     false
root  audit-durability                                           choice   batched
root  audit-retention-days                                       integer  90
root  audit-bulk-retention-days                                  integer  14
audit url                                                        text     -
audit key                                                        text     -
audit client                                                     text     -
audit type                                                       text     -
audit outcome                                                    text     -
audit since                                                      text     -
audit until                                                      text     -
audit slot                                                       text     -
audit epoch                                                      text     -
audit format                                                     choice   table
audit limit                                                      integer  100
audit all                                                        flag     false
eth2  accept-new-slashing-protection-db                          flag     false
eth2  safe-start                                                 flag     false
eth2  refuse-far-future                                          flag     false
export  pubkeys                                                  list     -
import  allow-partial                                            flag     false
watermark-repair  pubkeys                                        list     -
eth2  db-migrate                                                 choice   auto
from-web3signer  url                                             text     -
from-web3signer  username                                        text     -
from-web3signer  password                                        text     -
from-web3signer  password-file                                   path     -
from-web3signer  dry-run                                         flag     false
from-web3signer  undo                                            flag     false
from-web3signer  force                                           flag     false
sqlite-to-postgres  from                                         path     -
sqlite-to-postgres  to                                           text     -
sqlite-to-postgres  username                                     text     -
sqlite-to-postgres  password                                     text     -
sqlite-to-postgres  password-file                                path     -
postgres-to-sqlite  from                                         text     -
postgres-to-sqlite  to                                           path     -
postgres-to-sqlite  username                                     text     -
postgres-to-sqlite  password                                     text     -
postgres-to-sqlite  password-file                                path     -
eth2  allow-generic-slashable-domains                            flag     false
";

struct Expected {
    scope: Scope,
    names: Vec<&'static str>,
    form: &'static str,
    default: Option<&'static str>,
}

fn expected(table: &'static str) -> Vec<Expected> {
    let lines = table.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [scope, names, form, default] = fields[..] else { panic!("{line}") };
            let scope = match scope {
                "root" => Scope::Root,
                "eth2" => Scope::Eth2,
                "export" => Scope::Export,
                "import" => Scope::Import,
                "watermark-repair" => Scope::WatermarkRepair,
                "from-web3signer" => Scope::FromWeb3Signer,
                "sqlite-to-postgres" => Scope::SqliteToPostgres,
                "postgres-to-sqlite" => Scope::PostgresToSqlite,
                "audit" => Scope::Audit,
                _ => panic!("{line}"),
            };
            let default = (default != "-").then_some(default);
            Expected { scope, names: names.split(',').collect(), form, default }
        })
        .collect()
}

fn form(spec: &OptionSpec) -> &'static str {
    match spec.kind {
        Kind::Flag => "flag",
        Kind::Boolean => "boolean",
        Kind::Integer { .. } => "integer",
        Kind::Choice(_) => "choice",
        Kind::Text => "text",
        Kind::Path => "path",
        Kind::Choices(_) | Kind::List => "list",
        Kind::Map => "map",
    }
}

#[test]
fn every_option_has_its_names_form_and_default() {
    for table in [REFERENCE, DIFFERENT] {
        for Expected { scope, names, form: expected_form, default } in expected(table) {
            let spec = options::of(scope)
                .find(|spec| spec.names == names)
                .unwrap_or_else(|| panic!("no option {names:?} in {scope:?}"));
            assert_eq!((form(spec), spec.default), (expected_form, default), "{names:?}");
        }
    }
}

#[test]
fn there_are_no_other_options() {
    let known: Vec<Expected> = expected(REFERENCE).into_iter().chain(expected(DIFFERENT)).collect();
    for spec in options::all() {
        assert!(
            known.iter().any(|known| known.scope == spec.scope && known.names == spec.names),
            "{:?} in {:?}",
            spec.names,
            spec.scope
        );
    }
    assert_eq!(known.len(), options::all().count());
}

#[test]
fn exactly_the_options_with_x_and_no_others_are_hidden() {
    for spec in options::all() {
        assert_eq!(spec.hidden, spec.name().starts_with('X'), "{}", spec.name());
    }
}

#[test]
fn exactly_these_functions_are_unavailable() {
    let unavailable: Vec<&str> = options::all()
        .filter(|spec| matches!(spec.treatment, Treatment::Unavailable(_)))
        .map(OptionSpec::name)
        .collect();
    assert_eq!(
        unavailable,
        [
            "metrics-push-enabled",
            "tls-keystore-file",
            "tls-keystore-password-file",
            "tls-allow-any-client",
            "tls-known-clients-file",
            "tls-allow-ca-clients",
            "key-manager-api-enabled",
            "commit-boost-api-enabled",
            "azure-vault-enabled",
            "aws-secrets-enabled",
            "gcp-secrets-enabled",
        ]
    );
}

#[test]
fn names_are_unique_within_a_scope() {
    for scope in Scope::ALL {
        let mut names: Vec<&str> =
            options::of(scope).flat_map(|spec| spec.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{scope:?}");
    }
}

/// What may be given for an option: a text that its form accepts.
fn sample(spec: &OptionSpec) -> String {
    match spec.kind {
        Kind::Flag | Kind::Boolean => "false".to_owned(),
        Kind::Integer { min, .. } => (min + 1).to_string(),
        Kind::Choice(names) | Kind::Choices(names) => names[0].to_lowercase(),
        Kind::Text | Kind::Path | Kind::List => "sample".to_owned(),
        Kind::Map => "a=b|c=d".to_owned(),
    }
}

#[test]
fn every_name_of_every_option_is_read_from_every_layer() {
    use super::super::{command_line, environment, option::dashed, yaml_file};
    for spec in options::all() {
        let sample = sample(spec);
        let path = spec.scope.command_path();
        for name in spec.names {
            let argument = format!("{}={sample}", dashed(name));
            let arguments = ["signer-server"].iter().chain(path).copied().chain([&*argument]);
            // Without a command the command line is incomplete.
            let command = if path.is_empty() { vec!["eth2"] } else { Vec::new() };
            let parsed = command_line::parse(arguments.chain(command).map(Into::into))
                .unwrap_or_else(|exit| panic!("{argument}: {}", exit.message));
            assert_eq!(parsed.layer.get(spec).unwrap().texts, [sample.as_str()], "{argument}");
            if spec.name() == "config-file" {
                continue;
            }

            let commands: String = path.iter().map(|part| (*part).to_owned() + "_").collect();
            let variable =
                format!("WEB3SIGNER_{commands}{name}").replace('-', "_").to_ascii_uppercase();
            let layer =
                environment::read(spec.scope, &|name| (name == variable).then(|| sample.clone()))
                    .unwrap();
            assert_eq!(layer.get(spec).unwrap().texts, [sample.as_str()], "{variable}");

            let key = [path, &[*name]].concat().join(".");
            let (_folder, file) = super::yaml_file(&format!("{key}: '{sample}'\n"));
            let layer = yaml_file::read(&file).unwrap();
            assert_eq!(layer.get(spec).unwrap().texts, [sample.as_str()], "{key}");
        }
    }
}
