//! Certificates for a server that speaks TLS, and for its clients.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority of a test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM files.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn new() -> Result<Self> {
        let mut parameters = CertificateParams::new(vec![])?;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "authority of a test");
        Ok(Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?))
    }

    /// Its certificate in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes its certificate to a file.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, self.pem())?)
    }

    /// A certificate and its key in PEM, for a server of this host (a name or an address) or for a
    /// client of this name.
    ///
    /// # Errors
    /// When the name is none.
    pub fn issue(&self, name: &str) -> Result<(String, String)> {
        let mut parameters = CertificateParams::new(vec![name.to_owned()])?;
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.0)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    /// As [`Self::issue`], in files of this folder that only their owner may read.
    ///
    /// # Errors
    /// When they can't be written.
    pub fn issue_in(&self, folder: &Path, name: &str) -> Result<Identity> {
        use std::os::unix::fs::PermissionsExt;
        let (certificate_pem, key_pem) = self.issue(name)?;
        let certificate = folder.join(format!("{name}.crt"));
        let key = folder.join(format!("{name}.key"));
        for (file, text) in [(&certificate, certificate_pem), (&key, key_pem)] {
            std::fs::write(file, text)?;
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(Identity { certificate, key })
    }
}
