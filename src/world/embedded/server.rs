//! The API server's listener and connections.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::api::Api;
use crate::world::exhausted::Exhausted;

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long to wait when the process has no descriptor left for a connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Accepts connections until it is dropped.
pub async fn run(api: Arc<Api>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Aborted by its client, or no descriptor left: the next one may do better.
            Err(error) => {
                Exhausted::note(&error);
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        // A socket that can't be set up is closed already; serving it finds out.
        let _ = stream.set_nodelay(true);
        let (api, tls) = (api.clone(), tls.clone());
        api.tasks.clone().spawn(async move {
            match tls {
                None => connection(api, stream).await,
                Some(tls) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                        connection(api, stream).await;
                    }
                }
            }
        });
    }
}

async fn connection(api: Arc<Api>, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let service = service_fn(move |request| api.clone().serve(request));
    // A connection that breaks is its client's to notice.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
