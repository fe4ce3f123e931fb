//! The audit: how it is kept, and what the `audit` command was asked for.

use std::time::Duration;

use super::*;
use crate::{
    audit::{Durability, Outcome},
    config::{AuditFormat, AuditQuery, Command},
    slashing::DatabaseUrl,
};

fn query(arguments: &str) -> AuditQuery {
    match read(arguments).unwrap().command {
        Command::Audit(query) => *query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_are_kept_for_days_or_for_ever() {
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    let audit = config("--data-path=/d eth2").audit;
    assert_eq!((audit.retention.evidence, audit.retention.bulk), (days(90), days(14)));
    let audit = config(
        "--data-path=/d --audit-retention-days=0 --audit-bulk-retention-days=1 \
         --audit-durability=STRICT eth2",
    )
    .audit;
    assert_eq!((audit.retention.evidence, audit.retention.bulk), (None, days(1)));
    assert_eq!(audit.durability, Durability::Strict);
}

#[test]
fn strict_durability_needs_a_database() {
    let arguments = "--audit-durability=strict eth2 --slashing-protection-enabled=false";
    assert_contains(&error(arguments), &["--audit-durability", "--data-path"]);
    config(&format!("--data-path=/d {arguments}"));
}

#[test]
fn audit_command_has_conditions_and_a_form() {
    let shown = query("--data-path=/d audit");
    assert_eq!((shown.max_rows, shown.format, &shown.url), (Some(100), AuditFormat::Table, &None));
    let shown = query("audit --url=http://s:9000 --outcome=refused --slot=5-6 --all --format csv");
    assert_eq!((shown.max_rows, shown.format), (None, AuditFormat::Csv));
    assert_eq!(shown.filter.outcome, Some(Outcome::Refused));
    assert_eq!(shown.filter.slots, Some(5..=6));
    assert_contains(&error("--data-path=/d audit --type=VOTE"), &["--type", "ATTESTATION"]);
    assert_contains(&error("--data-path=/d audit --limit=0"), &["--limit"]);
}

#[test]
fn audit_command_reads_the_database_that_the_signer_writes() {
    let database = |invocation: Invocation| invocation.config.slashing.database.unwrap();
    let beside = DatabaseUrl::Sqlite(PathBuf::from("/d/slashing-protection.sqlite"));
    assert_eq!(database(read("--data-path=/d audit").unwrap()), beside);
    let variable = [("WEB3SIGNER_ETH2_SLASHING_PROTECTION_DB_URL", "sqlite:/other.sqlite")];
    let other = DatabaseUrl::Sqlite(PathBuf::from("/other.sqlite"));
    assert_eq!(database(read_with(&variable, "audit").unwrap()), other);
    let (_folder, file) = yaml_file("eth2.slashing-protection-db-url: sqlite:/other.sqlite\n");
    let arguments = format!("--config-file {} audit", file.display());
    assert_eq!(database(read(&arguments).unwrap()), other);
    assert_contains(&error("audit"), &["--data-path"]);
}
