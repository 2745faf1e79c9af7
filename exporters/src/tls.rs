//! TLS for clients, on env's clock: a certificate expires when the clock of the game day says so.
//!
//! The keys of a handshake come from the operating system's entropy, the one thing here that does not repeat: nothing of them reaches
//! an output.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gameday_env::{Clock, Connection, Env};
use gameday_signal::Timestamp;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, ProtocolVersion, RootCertStore,
    SignatureScheme,
};

use crate::x509::{Certificate, hex};

/// Where Debian, and most others, keep the certificates that they trust.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whom to trust, and as whom to take the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust<'a> {
    /// Instead of the system's certificates.
    pub(crate) ca_file: Option<&'a str>,
    /// The same, in place.
    pub(crate) ca: Option<&'a str>,
    /// Instead of the host's name.
    pub(crate) server_name: Option<&'a str>,
    /// Takes whatever the server shows.
    pub(crate) insecure_skip_verify: bool,
}

/// What a handshake came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// `TLS 1.3` or `TLS 1.2`.
    pub(crate) version: &'static str,
    /// The cipher suite, by its registered name.
    pub(crate) cipher: String,
    /// What the server showed, its own certificate first.
    pub(crate) chain: Vec<Certificate>,
    /// The SHA-256 of the server's own certificate, in hexadecimal digits.
    pub(crate) fingerprint: String,
}

/// Shakes hands over `connection` with `host`.
pub(crate) async fn connect(
    env: &Env,
    trust: &Trust<'_>,
    host: &str,
    connection: Connection,
) -> Result<(TlsStream<Connection>, Session), String> {
    let config = config(env, trust)?;
    let name = trust
        .server_name
        .filter(|it| !it.is_empty())
        .unwrap_or(host);
    let server_name = ServerName::try_from(name.to_owned())
        .map_err(|_| format!("{name:?} is no name for a server"))?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(server_name, connection)
        .await
        .map_err(|error| error.to_string())?;
    let session = session(&stream);
    Ok((stream, session))
}

fn session(stream: &TlsStream<Connection>) -> Session {
    let (_, state) = stream.get_ref();
    let certificates = state.peer_certificates().unwrap_or_default();
    let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
    Session {
        version: match state.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "unknown",
        },
        // rustls calls the suites of 1.3 TLS13_..., the registry TLS_....
        cipher: suite
            .and_then(|suite| suite.as_str())
            .unwrap_or_default()
            .replacen("TLS13_", "TLS_", 1),
        chain: certificates
            .iter()
            .filter_map(|it| Certificate::parse(it))
            .collect(),
        fingerprint: certificates
            .first()
            .map(|it| sha256(it))
            .unwrap_or_default(),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite
        .tls13()
        .map(|suite| suite.common.hash_provider.hash(bytes));
    hash.map(|hash| hex(hash.as_ref())).unwrap_or_default()
}

fn config(env: &Env, trust: &Trust<'_>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let time = Arc::new(VirtualTime {
        clock: env.clock().clone(),
    });
    let builder = ClientConfig::builder_with_details(Arc::clone(&provider), time)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = if trust.insecure_skip_verify {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakesAnything(provider)))
            .with_no_client_auth()
    } else {
        builder
            .with_root_certificates(roots(trust)?)
            .with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each handshake is probed anew, and a session's ticket would carry wall-clock time.
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    Ok(config)
}

fn roots(trust: &Trust<'_>) -> Result<RootCertStore, String> {
    let certificates: Vec<CertificateDer<'static>> = match (trust.ca, trust.ca_file) {
        (Some(ca), _) => CertificateDer::pem_slice_iter(ca.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| format!("ca: {error}"))?,
        (None, file) => {
            let file = file.unwrap_or(SYSTEM_ROOTS);
            CertificateDer::pem_file_iter(Path::new(file))
                .and_then(Iterator::collect)
                .map_err(|error| format!("cannot read certificates from {file}: {error}"))?
        }
    };
    let mut roots = RootCertStore::empty();
    // A bundle may hold certificates that the library does not take; the others count.
    let (taken, _) = roots.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err("there is no certificate to trust".to_owned());
    }
    Ok(roots)
}

/// The clock of the game day.
#[derive(Debug)]
struct VirtualTime {
    clock: Clock,
}

impl TimeProvider for VirtualTime {
    fn current_time(&self) -> Option<UnixTime> {
        let since_epoch: Duration = self.clock.now().since(Timestamp::EPOCH);
        Some(UnixTime::since_unix_epoch(since_epoch))
    }
}

/// `insecure_skip_verify`: the certificate may be anybody's, the signatures of the handshake must still be right.
struct TakesAnything(Arc<CryptoProvider>);

impl fmt::Debug for TakesAnything {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TakesAnything")
    }
}

impl ServerCertVerifier for TakesAnything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.0.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
