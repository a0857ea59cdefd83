//! A door over TLS before one without, as a load balancer of somebody else's has it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// Dropped, it ends. What blocks its test wants a runtime of several threads.
pub struct TlsDoor {
    pub address: SocketAddr,
    /// Its certificate, which nobody has signed but itself.
    pub pem: String,
    _serving: AbortOnDropHandle<()>,
}

impl TlsDoor {
    /// `inside`: HOST:PORT of the door without TLS.
    pub async fn before(inside: &str) -> TlsDoor {
        let key = rcgen::KeyPair::generate().expect("a key");
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .expect("parameters")
            .self_signed(&key)
            .expect("signed");
        let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let inside = inside.to_owned();
        let serving = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (acceptor, inside) = (acceptor.clone(), inside.clone());
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(inside).await.expect("the door");
                    if let Ok(mut outside) = acceptor.accept(connection).await {
                        // Either may end as it likes.
                        let _ended = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
                    }
                });
            }
        });
        TlsDoor {
            address,
            pem: certificate.pem(),
            _serving: AbortOnDropHandle::new(serving),
        }
    }
}
