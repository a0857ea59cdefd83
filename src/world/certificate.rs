//! The certificate of a balancer that is a world's own.

/// The balancer's certificate, of a CA made for the run. PEM.
pub struct Certificate {
    pub ca: String,
    pub certificate: String,
    pub key: String,
}

impl Certificate {
    /// The certificate of a balancer with this name.
    pub fn new(name: &str) -> Result<Certificate, rcgen::Error> {
        let ca_key = rcgen::KeyPair::generate()?;
        let mut ca = rcgen::CertificateParams::new(Vec::new())?;
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new(vec![name.into()])?.signed_by(&key, &issuer)?;
        Ok(Certificate {
            ca: ca_certificate.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}
