//! TLS to the server: whom the signer trusts, what it shows, and that nothing is signed on a server that
//! is not the right one.

use ::http::StatusCode;
use midslot_tests::{SignerOptions, key_files, postgres::Authority, requests, signer::Start};

use super::*;

/// A cluster that speaks nothing but TLS, with a certificate for `host`.
async fn cluster(
    authority: &Authority,
    host: &str,
    clients: Option<&Authority>,
) -> (PostgresCluster, TestDatabase) {
    let mut cluster = PostgresCluster::start().await.unwrap();
    let database = cluster.database().await.unwrap();
    cluster.encrypt(authority, host, clients).await.unwrap();
    cluster.restart().await.unwrap();
    (cluster, database)
}

/// A signer on this database with these parameters of its URL; `None` when it signs, else what it said
/// when it ended.
async fn refusal(database: &TestDatabase, parameters: &str) -> Option<String> {
    let options = SignerOptions::with_interop_keys(1)
        .eth2(format!("--slashing-protection-db-url={}?{parameters}", database.jdbc_url()))
        .eth2(format!("--slashing-protection-db-username={}", database.role()))
        .eth2("--accept-new-slashing-protection-db=true");
    let mut options = options;
    let password = database.password().to_owned();
    let variable = "WEB3SIGNER_ETH2_SLASHING_PROTECTION_DB_PASSWORD";
    options.environment.push((variable.to_owned(), password));
    let signer = match options.start_or_end().await.unwrap() {
        Start::Serves(signer) => signer,
        Start::Ended(options, status) => {
            assert_eq!(status.code(), Some(1), "{}", options.log());
            assert!(!options.log().contains(database.password()), "{}", options.log());
            return Some(options.log());
        }
    };
    let key = key_files::public_key(0);
    let answer = signer.client.sign(&key, &requests::attestation(5, 6, 1)).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{parameters}: {}", answer.text());
    // Not one connection of the signer is in the clear.
    let mut admin = database.superuser().await.unwrap();
    let clear: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
         WHERE usename = $1 AND NOT ssl",
    )
    .bind(database.role())
    .fetch_one(&mut admin)
    .await
    .unwrap();
    assert_eq!(clear, 0);
    None
}

fn assert_refused(refusal: Option<String>, reason: &str) {
    let said = refusal.expect("no signer on a server that it can't trust");
    assert!(said.to_lowercase().contains(reason), "{reason:?} is not in {said}");
}

#[tokio::test]
async fn server_is_trusted_by_its_authority_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (Authority::new().unwrap(), Authority::new().unwrap());
    let [right_file, wrong_file] = ["right.pem", "wrong.pem"].map(|name| folder.path().join(name));
    right.write(&right_file).unwrap();
    wrong.write(&wrong_file).unwrap();
    let with = |mode: &str, file: &std::path::Path| {
        format!("sslmode={mode}&sslrootcert={}", file.display())
    };

    let (_cluster, database) = cluster(&right, "127.0.0.1", None).await;
    for parameters in ["sslmode=require", "", &with("verify-full", &right_file)] {
        assert_eq!(refusal(&database, parameters).await, None, "{parameters}");
    }
    for parameters in [with("verify-full", &wrong_file), with("verify-ca", &wrong_file)] {
        assert_refused(refusal(&database, &parameters).await, "certificate");
    }
    // The machine's own authorities do not know it either.
    assert_refused(refusal(&database, "sslmode=verify-full").await, "certificate");
    assert_refused(refusal(&database, "sslmode=disable").await, "encryption");

    let (_cluster, database) = cluster(&right, "db.example.org", None).await;
    assert_eq!(refusal(&database, &with("verify-ca", &right_file)).await, None);
    assert_refused(refusal(&database, &with("verify-full", &right_file)).await, "certificate");
}

#[tokio::test]
async fn server_that_wants_a_certificate_of_its_clients_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let (servers, clients) = (Authority::new().unwrap(), Authority::new().unwrap());
    let authority = folder.path().join("servers.pem");
    servers.write(&authority).unwrap();
    let (_cluster, database) = cluster(&servers, "127.0.0.1", Some(&clients)).await;
    let plain = format!("sslmode=verify-full&sslrootcert={}", authority.display());
    assert_refused(refusal(&database, &plain).await, "certificate");
    for (authority, is_right) in [(&clients, true), (&servers, false)] {
        let identity = authority.issue_in(folder.path(), "signer").unwrap();
        let (certificate, key) = (identity.certificate.display(), identity.key.display());
        let parameters = format!("{plain}&sslcert={certificate}&sslkey={key}");
        let refusal = refusal(&database, &parameters).await;
        assert_eq!(refusal.is_none(), is_right, "{refusal:?}");
    }
}
