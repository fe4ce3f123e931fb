//! Where records are kept: which databases there may be, and how they are reached.

use super::{assert_contains, config, error, read};
use crate::slashing::{DatabaseUrl, MigrateMode};

#[test]
fn slashing_protection_needs_a_database() {
    assert_contains(&error("eth2"), &["--slashing-protection-db-url: ", "--data-path", "SQLite"]);
    assert_contains(&error("eth2 export --to f"), &["--slashing-protection-db-url: "]);
    assert_contains(
        &error("eth2 --slashing-protection-enabled=false export --to f"),
        &["--slashing-protection-db-url: "],
    );
    assert_eq!(config("eth2 --slashing-protection-enabled=false").slashing.database, None);
    let given = config("--data-path d eth2 --slashing-protection-db-url sqlite:other.sqlite")
        .slashing
        .database;
    assert_eq!(given, Some(DatabaseUrl::Sqlite("other.sqlite".into())));
}

#[test]
fn unusable_databases_are_refused_without_showing_the_address() {
    for (url, reason) in [
        ("mysql://a:hunter2@b", "(command line): unknown kind of database"),
        ("sqlite::memory:", "a database in memory would forget"),
        ("jdbc:postgresql://h,i/db?password=hunter2", "names several hosts"),
        ("postgres://a:hunter2@h:port/db", "a port that is no number"),
        ("postgres://h/db?sslmode=hunter2", "unknown sslmode"),
    ] {
        let message = error(&format!("--data-path d eth2 --slashing-protection-db-url {url}"));
        assert_contains(&message, &["--slashing-protection-db-url (command line)", reason]);
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn postgresql_options_are_answered_with_one_warning_each_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let properties = folder.path().join("hikari.properties");
    std::fs::write(&properties, "maximumPoolSize=5\n").unwrap();
    let properties = properties.display();
    let invocation = read(&format!(
        "--data-path d eth2 --slashing-protection-db-username u \
         --slashing-protection-db-password hunter2 \
         --slashing-protection-db-pool-configuration-file {properties} \
         --slashing-protection-pruning-db-pool-configuration-file {properties}"
    ))
    .unwrap();
    assert_eq!(invocation.warnings.len(), 4, "{:?}", invocation.warnings);
    assert_contains(
        &error("--data-path d eth2 --slashing-protection-db-pool-configuration-file /nowhere/pool"),
        &[
            "--slashing-protection-db-pool-configuration-file (command line)",
            "no file /nowhere/pool",
        ],
    );
}

#[test]
fn postgresql_takes_its_credentials_pool_and_migration_from_options() {
    let folder = tempfile::tempdir().unwrap();
    let properties = folder.path().join("hikari.properties");
    std::fs::write(&properties, "maximumPoolSize=5\nminimumIdle=hunter2\n").unwrap();
    let invocation = read(&format!(
        "--data-path d eth2 --slashing-protection-db-url \
         jdbc:postgresql://h/db?user=u&socketTimeout=3 --slashing-protection-db-username v \
         --slashing-protection-db-password hunter2 --db-migrate=check \
         --slashing-protection-db-pool-configuration-file {}",
        properties.display()
    ))
    .unwrap();
    assert_eq!(invocation.warnings.len(), 2, "{:?}", invocation.warnings);
    assert_contains(&invocation.warnings[0], &["--slashing-protection-db-url", "socketTimeout"]);
    assert_contains(&invocation.warnings[1], &["pool-configuration-file", "minimumIdle"]);
    assert!(!format!("{invocation:?}").contains("hunter2"));
    let slashing = invocation.config.slashing;
    let expected = "postgres://v:hunter2@h/db?socketTimeout=3".parse().unwrap();
    assert_eq!(slashing.database, Some(expected));
    assert_eq!(slashing.postgres.attestation_connections, 3);
    assert_eq!(slashing.postgres.migrate, MigrateMode::Check);
}
