//! Which certificates of doors the harness takes.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Which certificates of doors the harness takes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those of this authority (PEM) and no other.
    Authority(String),
    /// Those that this machine takes, and those of further authorities (PEM).
    Machine { and: Option<String> },
    /// None: there is no door over TLS.
    Nothing,
}

impl Trust {
    /// What a TLS client is made of.
    ///
    /// # Errors
    /// An authority that is no certificate, or a machine without any: in words.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, String> {
        let mut roots = rustls::RootCertStore::empty();
        match self {
            Trust::Nothing => {}
            Trust::Authority(ca) => add(&mut roots, ca)?,
            Trust::Machine { and } => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = roots.add_parsable_certificates(found.certs);
                match and {
                    Some(ca) => add(&mut roots, ca)?,
                    None if added == 0 => {
                        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
                        return Err(format!(
                            "this machine has no certificates of authorities {why}; `--ca FILE` gives one"
                        ));
                    }
                    None => {}
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }
}

fn add(roots: &mut rustls::RootCertStore, pem: &str) -> Result<(), String> {
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
        any = true;
    }
    match any {
        true => Ok(()),
        false => Err("there is no certificate in it".into()),
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
