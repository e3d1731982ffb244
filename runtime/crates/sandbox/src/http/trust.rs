//! Whose certificates are believed: the system's authorities, and those that the operator adds.

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// The certificates in a text of PEM blocks.
///
/// # Errors
/// There is none, or one that is no certificate of an authority.
pub(crate) fn root_certificates(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("not a root certificate: {why}"));
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| invalid(error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid("it has no block of PEM".into()));
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|error| invalid(error.to_string()))?;
    }
    Ok(certificates)
}

/// The system's authorities, read once by this process.
fn system() -> &'static [CertificateDer<'static>] {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "a root certificate of the system cannot be read");
        }
        loaded.certs
    })
}

/// The settings of TLS, made at the first request that needs them.
pub(crate) struct Trust {
    extra: Vec<CertificateDer<'static>>,
    config: OnceCell<Option<Arc<ClientConfig>>>,
}

impl Trust {
    /// The system's authorities and these.
    pub(crate) fn new(extra: Vec<CertificateDer<'static>>) -> Self {
        Self { extra, config: OnceCell::new() }
    }

    /// None: nobody is trusted.
    pub(super) async fn config(&self) -> Option<Arc<ClientConfig>> {
        let made = self.config.get_or_init(|| async {
            let extra = self.extra.clone();
            // Hundreds of files, on some systems.
            tokio::task::spawn_blocking(|| config(system(), extra)).await.ok().flatten()
        });
        made.await.clone()
    }
}

fn config(system: &[CertificateDer<'static>], extra: Vec<CertificateDer<'static>>) -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.iter().cloned().chain(extra));
    if roots.is_empty() {
        return None;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("ring has the default versions");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // A ticket of one attempt would tell the server of the next one that they are the same host's.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_are_taken_as_roots() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["a.example".into()]).expect("a name");
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        assert_eq!(root_certificates(pem.as_bytes()).expect("it is one").len(), 1);
        assert_eq!(root_certificates(format!("{pem}{pem}").as_bytes()).expect("they are").len(), 2);
        let key = key.serialize_pem();
        for text in ["", "hello", &key, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let refused = root_certificates(text.as_bytes()).expect_err(text).to_string();
            assert!(refused.starts_with("not a root certificate: "), "{refused}");
        }
    }

    #[test]
    fn nobody_is_trusted_without_a_root() {
        assert!(config(&[], Vec::new()).is_none());
    }
}
