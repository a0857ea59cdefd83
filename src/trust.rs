//! Which certificates of doors the harness takes.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

/// Which certificates of doors the harness takes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of this authority (PEM) and no other.
    Authority(String),
    /// Those that this machine takes, and those of further authorities (PEM).
    Machine { and: Option<String> },
    /// Any certificate.
    Anybody,
    /// None: there is no door over TLS.
    Nothing,
}

/// Why certificates of doors can't be judged.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("there is no certificate in it")]
    NoCertificate,
}

impl Trust {
    /// What a TLS client is made of.
    ///
    /// # Errors
    /// An authority that is no certificate.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            rustls::ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let mut roots = rustls::RootCertStore::empty();
        match self {
            Trust::Nothing => {}
            Trust::Anybody => {
                let verifier = Arc::new(Unverified(provider));
                let dangerous = builder.dangerous().with_custom_certificate_verifier(verifier);
                return Ok(dangerous.with_no_client_auth());
            }
            Trust::Authority(ca) => add(&mut roots, ca)?,
            Trust::Machine { and } => {
                // A machine may have none, as a small image does: a door over TLS is then refused as of an unknown issuer.
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
                if let Some(ca) = and {
                    add(&mut roots, ca)?;
                }
            }
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// Takes every certificate. That the other side has its key is seen to all the same.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn add(roots: &mut rustls::RootCertStore, pem: &str) -> Result<(), TrustError> {
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
        any = true;
    }
    match any {
        true => Ok(()),
        false => Err(TrustError::NoCertificate),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_certificate() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = ca.self_signed(&key).expect("signed").pem();
        assert!(Trust::Authority(pem.repeat(2)).client_config().is_ok());
        for wrong in ["", "no certificate", &key.serialize_pem()] {
            assert!(Trust::Authority(wrong.into()).client_config().is_err());
        }
        assert!(Trust::Nothing.client_config().is_ok());
    }
}
