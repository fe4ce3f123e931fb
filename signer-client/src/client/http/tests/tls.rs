//! TLS with authorities and identities made for the test.

use std::sync::Arc;

use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer},
        server::WebPkiClientVerifier,
    },
};

use super::fake::{Fake, attestation, keys, soon};
use crate::client::{
    ClientIdentity, Endpoint, HttpOptions, HttpSigner, RemoteSigner, SetupError, SignError,
    TlsOptions,
};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

struct Leaf {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Leaf {
    fn new(authority: &Authority) -> Self {
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Self { certificate, key }
    }

    fn pem(&self) -> ClientIdentity {
        let (chain, key) = (self.certificate.pem(), self.key.serialize_pem());
        ClientIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn pkcs12(&self, password: &str) -> Vec<u8> {
        let key = PrivateKey::from_der(&self.key.serialize_der()).unwrap();
        let certificate = Certificate::from_der(self.certificate.der()).unwrap();
        let mut store = KeyStore::new();
        let chain = PrivateKeyChain::new("1", key, [certificate]);
        store.add_entry("client", KeyStoreEntry::PrivateKeyChain(chain));
        store.writer(password).write().unwrap()
    }
}

/// A server of `authority` that demands certificates of `clients`.
async fn server(authority: &Authority, clients: &Authority) -> Fake {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(clients.der().to_vec())).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let leaf = Leaf::new(authority);
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![leaf.certificate.der().clone()], key)
        .unwrap();
    Fake::start_tls(TlsAcceptor::from(Arc::new(config))).await
}

fn client(fake: &Fake, authority: &Authority, identity: Option<ClientIdentity>) -> HttpSigner {
    let url = format!("https://localhost:{}", fake.address.port());
    let tls = TlsOptions { authorities_pem: Some(authority.pem().into_bytes()), identity };
    let endpoint = Endpoint::new(&url).unwrap().with_tls(tls);
    let options = HttpOptions { max_retries: 0, ..HttpOptions::default() };
    HttpSigner::new(vec![endpoint], options).unwrap()
}

#[tokio::test]
async fn both_kinds_of_identity_are_accepted_by_the_server_that_wants_them() {
    let (servers, clients) = (authority(), authority());
    let fake = server(&servers, &clients).await;
    let leaf = Leaf::new(&clients);
    let from_pkcs12 = ClientIdentity::from_pkcs12(&leaf.pkcs12("pass word"), "pass word").unwrap();
    for identity in [leaf.pem(), from_pkcs12] {
        let client = client(&fake, &servers, Some(identity));
        client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
        client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap();
    }
    assert_eq!(fake.connections(), 2, "one pool for each identity");
}

#[tokio::test]
async fn a_client_without_the_right_identity_is_not_served() {
    let (servers, clients) = (authority(), authority());
    let fake = server(&servers, &clients).await;
    for identity in [None, Some(Leaf::new(&authority()).pem())] {
        let client = client(&fake, &servers, identity);
        let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
        assert!(matches!(error, SignError::Transport(_)), "{error}");
    }
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_gets_nothing() {
    let (servers, clients) = (authority(), authority());
    let fake = server(&servers, &clients).await;
    let client = client(&fake, &authority(), Some(Leaf::new(&clients).pem()));
    let error = client.sign(&keys(1)[0], &attestation(), soon()).await.unwrap_err();
    assert!(matches!(error, SignError::Transport(_)), "{error}");
    assert!(fake.asked().is_empty());
}

#[test]
fn unusable_files_are_refused_without_showing_them() {
    let leaf = Leaf::new(&authority());
    let (chain, key) = (leaf.certificate.pem(), leaf.key.serialize_pem());
    let both = format!("{chain}{key}");
    ClientIdentity::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
    let two_keys = format!("{key}{key}");
    for (chain, key) in
        [(&chain, &chain), (&key, &key), (&chain, &two_keys), (&String::new(), &String::new())]
    {
        let error = ClientIdentity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert!(matches!(error, SetupError::Identity(_)), "{error}");
    }
    let file = leaf.pkcs12("right");
    for (file, password) in [(&file[..], "wrong"), (&file[..40], "right"), (b"", "")] {
        let error = ClientIdentity::from_pkcs12(file, password).unwrap_err();
        assert!(matches!(error, SetupError::Identity(_)), "{error}");
        assert!(!error.to_string().contains("right,"), "{error}");
    }
    assert_eq!(format!("{:?}", leaf.pem()), "ClientIdentity(..)");
    let tls = TlsOptions { authorities_pem: Some(b"nonsense".to_vec()), identity: None };
    let endpoint = Endpoint::new("https://signer").unwrap().with_tls(tls);
    let error = HttpSigner::new(vec![endpoint], HttpOptions::default()).unwrap_err();
    assert!(matches!(error, SetupError::Authorities));
}
