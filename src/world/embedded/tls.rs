//! TLS for clients that won't send a token without it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

use super::StartError;

/// A TLS endpoint's identity.
pub struct Server {
    pub acceptor: TlsAcceptor,
    /// The certificate of the CA that vouches for it, as PEM.
    pub ca: String,
}

/// Makes a CA and a certificate for 127.0.0.1 and localhost. Neither key is kept.
pub fn server() -> Result<Server, StartError> {
    let certificate = |why: rcgen::Error| StartError::new("certificate", why);
    let ca_key = KeyPair::generate().map_err(certificate)?;
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name
        .push(DnType::CommonName, "gauntlet embedded cluster");
    let ca_certificate = ca.self_signed(&ca_key).map_err(certificate)?;

    let key = KeyPair::generate().map_err(certificate)?;
    let mut leaf = CertificateParams::new(vec!["localhost".to_string()]).map_err(certificate)?;
    leaf.subject_alt_names
        .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    leaf.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    let issuer = Issuer::new(ca, ca_key);
    let leaf = leaf.signed_by(&key, &issuer).map_err(certificate)?;

    let tls = |why: rustls::Error| StartError::new("tls", why);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .map_err(tls)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Server {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        ca: ca_certificate.pem(),
    })
}
