//! TLS, on the clock of the simulation: a certificate expires when that clock says so.
//!
//! TLS runs over any [`Connection`], pipes in memory too: in virtual time a host that speaks it must be listening, and one that speaks
//! plain HTTP is named as that. The keys of a handshake come from the operating system's entropy, the one thing here that does not
//! repeat: nothing of them reaches an output.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gameday_signal::Timestamp;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error as RustlsError, InvalidMessage, ProtocolVersion,
    RootCertStore, ServerConfig, SupportedProtocolVersion, version,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificate::{Certificate, hex};
use crate::clock::Clock;
use crate::host::Env;
use crate::net::Connection;
use crate::tls_verifier::{TakesAnything, TakesTrusted};

/// Whom a client trusts, what it shows, what it speaks: Prometheus' `tls_config` with every file read.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsOptions {
    /// The authorities that are trusted, as PEM; those of the system if there is none.
    pub ca: Option<String>,
    /// The own certificate and those that lead to its authority, as PEM.
    pub cert: Option<String>,
    /// The key of the own certificate, as PEM.
    pub key: Option<String>,
    /// The name that the server's certificate has to bear, if it is not that of the address.
    pub server_name: Option<String>,
    /// Takes whatever certificate the server shows.
    pub insecure_skip_verify: bool,
    /// The lowest version that is spoken.
    pub min_version: Option<TlsVersion>,
    /// The highest version that is spoken.
    pub max_version: Option<TlsVersion>,
}

impl fmt::Debug for TlsOptions {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("server_name", &self.server_name)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish_non_exhaustive()
    }
}

/// A version of TLS. The first two are only ever bounds: nobody should speak them any more (RFC 8996).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.0.
    Tls10,
    /// TLS 1.1.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl FromStr for TlsVersion {
    type Err = TlsError;

    /// Reads the name that Prometheus' files use, such as `TLS12`.
    fn from_str(text: &str) -> Result<Self, TlsError> {
        match text {
            "TLS10" => Ok(Self::Tls10),
            "TLS11" => Ok(Self::Tls11),
            "TLS12" => Ok(Self::Tls12),
            "TLS13" => Ok(Self::Tls13),
            other => Err(TlsError::Options(format!(
                "unknown TLS version {other:?}, expected TLS10, TLS11, TLS12 or TLS13"
            ))),
        }
    }
}

/// Why there is no TLS connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The options themselves are wrong.
    #[error("tls_config: {0}")]
    Options(String),
    /// The other side's certificate is not to be trusted.
    #[error("tls: failed to verify the certificate of {host}: {reason}")]
    Certificate {
        /// The other side, as it was dialled.
        host: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The handshake failed for another reason.
    #[error("tls: handshake with {host} failed: {reason}")]
    Handshake {
        /// The other side, as it was dialled.
        host: String,
        /// What went wrong.
        reason: String,
    },
}

/// What a handshake came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSession {
    /// `TLS 1.3` or `TLS 1.2`.
    pub version: &'static str,
    /// The cipher suite, by its registered name.
    pub cipher: String,
    /// What the server showed, its own certificate first.
    pub chain: Vec<Certificate>,
    /// The SHA-256 of the server's own certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Until when a way from the server's certificate to a trusted one is valid; none where nothing was verified.
    pub verified_until: Option<Timestamp>,
    /// The protocol that both sides chose (ALPN).
    pub protocol: Option<String>,
}

/// The client's side of TLS, ready for any number of connections.
#[derive(Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    server_name: Option<String>,
    /// Whom it trusts; none where it takes anything.
    trusted: Option<Arc<Vec<CertificateDer<'static>>>>,
}

impl TlsClient {
    /// A client with these options that offers `protocols` (ALPN), the dearest first.
    ///
    /// # Errors
    /// Where a certificate or key cannot be read, or no version is left to speak.
    pub fn new(env: &Env, options: &TlsOptions, protocols: &[&str]) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_details(
            Arc::clone(&provider),
            Arc::new(SimulatedTime(env.clock().clone())),
        )
        .with_protocol_versions(&versions(options)?)
        .map_err(|error| TlsError::Options(error.to_string()))?
        .dangerous();
        let (verifier, trusted) = verifier(options, provider)?;
        let builder = builder.with_custom_certificate_verifier(verifier);
        let mut config = match (&options.cert, &options.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates("cert", cert)?, private_key(key)?)
                .map_err(|error| TlsError::Options(format!("cert and key: {error}")))?,
            (Some(_), None) => return Err(TlsError::Options("cert without key".to_owned())),
            (None, Some(_)) => return Err(TlsError::Options("key without cert".to_owned())),
        };
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        // A session's ticket would carry wall-clock time, and a resumed handshake would not look at the certificate again.
        config.resumption = Resumption::disabled();
        Ok(Self {
            config: Arc::new(config),
            server_name: options.server_name.clone(),
            trusted: trusted.map(Arc::new),
        })
    }

    /// Shakes hands over `connection` with `host`, the name or address that was dialled.
    ///
    /// # Errors
    /// Where the certificate is not to be trusted, or the other side does not speak TLS, or not with us.
    pub async fn connect(
        &self,
        host: &str,
        connection: Connection,
    ) -> Result<(Connection, TlsSession), TlsError> {
        let name = self.server_name.as_deref().unwrap_or(host);
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::Options(format!("{name:?} is no name for a server")))?;
        let stream = TlsConnector::from(Arc::clone(&self.config))
            .connect(server_name, connection)
            .await
            .map_err(|error| explain(host, &error))?;
        let mut session = session(stream.get_ref().1);
        session.verified_until = self
            .trusted
            .as_ref()
            .and_then(|trusted| verified_until(&session.chain, trusted));
        Ok((Connection::over_tls(stream.into()), session))
    }
}

/// The server's side of TLS: what the doubles of receivers and targets in tests and game days speak.
#[derive(Clone)]
pub struct TlsServer(TlsAcceptor);

impl TlsServer {
    /// A server that shows `cert` (PEM, with its `key`); with `client_ca` it asks its clients for a certificate of that authority.
    ///
    /// # Errors
    /// Where a certificate or key cannot be read.
    pub fn new(cert: &str, key: &str, client_ca: Option<&str>) -> Result<Self, TlsError> {
        let options = |error: &dyn fmt::Display| TlsError::Options(error.to_string());
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| options(&error))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let (roots, _) = roots_of(ca)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .map_err(|error| options(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(certificates("cert", cert)?, private_key(key)?)
            .map_err(|error| options(&error))?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands with the client of `connection`.
    ///
    /// # Errors
    /// Where the client does not speak TLS, or not with us.
    pub async fn accept(&self, connection: Connection) -> Result<Connection, TlsError> {
        let accepted = self.0.accept(connection).await;
        let stream = accepted.map_err(|error| explain("the client", &error))?;
        Ok(Connection::over_tls(stream.into()))
    }
}

fn versions(options: &TlsOptions) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let lowest = options.min_version.unwrap_or(TlsVersion::Tls12);
    let highest = options.max_version.unwrap_or(TlsVersion::Tls13);
    let spoken: Vec<_> = [
        (TlsVersion::Tls12, &version::TLS12),
        (TlsVersion::Tls13, &version::TLS13),
    ]
    .into_iter()
    .filter(|(own, _)| (lowest..=highest).contains(own))
    .map(|(_, version)| version)
    .collect();
    if spoken.is_empty() {
        return Err(TlsError::Options(
            "no version is left between min_version and max_version: TLS 1.2 and 1.3 are spoken"
                .to_owned(),
        ));
    }
    Ok(spoken)
}

/// Who decides, and whom it trusts.
type Verifier = (
    Arc<dyn ServerCertVerifier>,
    Option<Vec<CertificateDer<'static>>>,
);

fn verifier(options: &TlsOptions, provider: Arc<CryptoProvider>) -> Result<Verifier, TlsError> {
    if options.insecure_skip_verify {
        return Ok((Arc::new(TakesAnything(provider)), None));
    }
    let (roots, known, trusted) = match &options.ca {
        Some(ca) => {
            let (roots, trusted) = roots_of(ca)?;
            (roots, trusted.clone(), trusted)
        }
        None => {
            let (roots, known) = system_roots()?;
            (roots, known, Vec::new())
        }
    };
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| TlsError::Options(error.to_string()))?;
    Ok((Arc::new(TakesTrusted { inner, trusted }), Some(known)))
}

/// The latest end of a way from the first of `chain` to one that is trusted; a way ends with the first of its certificates.
fn verified_until(chain: &[Certificate], trusted: &[CertificateDer<'static>]) -> Option<Timestamp> {
    let roots: Vec<Certificate> = trusted
        .iter()
        .filter_map(|it| Certificate::parse(it))
        .collect();
    let mut current = chain.first()?;
    let mut until = current.not_after;
    // Each step takes another certificate of the chain.
    for _ in 0..chain.len() {
        if roots.contains(current) {
            return Some(until);
        }
        let ends = roots
            .iter()
            .filter(|root| root.subject == current.issuer)
            .map(|root| root.not_after.min(until));
        if let Some(end) = ends.max() {
            return Some(end);
        }
        current = chain.iter().find(|it| it.subject == current.issuer)?;
        until = until.min(current.not_after);
    }
    None
}

/// The authorities in a PEM text, and the same as they stand there.
fn roots_of(ca: &str) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let trusted = certificates("ca", ca)?;
    let mut roots = RootCertStore::empty();
    // A bundle may hold certificates that the library does not take; the others count.
    let (taken, _) = roots.add_parsable_certificates(trusted.iter().cloned());
    if taken == 0 {
        return Err(TlsError::Options(
            "ca: there is no certificate to trust in it".to_owned(),
        ));
    }
    Ok((roots, trusted))
}

fn system_roots() -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(found.certs.iter().cloned());
    if taken > 0 {
        return Ok((roots, found.certs));
    }
    let reason = match found.errors.first() {
        Some(error) => error.to_string(),
        None => "there are none".to_owned(),
    };
    Err(TlsError::Options(format!(
        "no certificates of the system to trust: {reason} (install ca-certificates, or name a ca_file)"
    )))
}

fn certificates(key: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Options(format!("{key}: {error}")))?;
    if read.is_empty() {
        return Err(TlsError::Options(format!(
            "{key}: there is no PEM certificate in it"
        )));
    }
    Ok(read)
}

fn private_key(pem: &str) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| TlsError::Options(format!("key: {error}")))
}

fn session(state: &tokio_rustls::rustls::ClientConnection) -> TlsSession {
    let certificates = state.peer_certificates().unwrap_or_default();
    let suite = state.negotiated_cipher_suite().map(|suite| suite.suite());
    TlsSession {
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
        verified_until: None,
        protocol: state
            .alpn_protocol()
            .map(|name| String::from_utf8_lossy(name).into_owned()),
    }
}

fn sha256(bytes: &[u8]) -> String {
    let suite = ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite
        .tls13()
        .map(|suite| suite.common.hash_provider.hash(bytes));
    hash.map(|hash| hex(hash.as_ref())).unwrap_or_default()
}

/// Finds the words for what went wrong.
fn explain(host: &str, error: &std::io::Error) -> TlsError {
    let host = host.to_owned();
    let Some(cause) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<RustlsError>())
    else {
        let reason = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
            _ => error.to_string(),
        };
        return TlsError::Handshake { host, reason };
    };
    match cause {
        RustlsError::InvalidCertificate(reason) => TlsError::Certificate {
            host,
            reason: explain_certificate(reason),
        },
        RustlsError::InvalidMessage(InvalidMessage::InvalidContentType) => TlsError::Handshake {
            host,
            reason: "what came back is no TLS (does it speak plain HTTP there?)".to_owned(),
        },
        RustlsError::AlertReceived(alert) => TlsError::Handshake {
            host,
            reason: format!("the other side ended it: {alert:?}"),
        },
        other => TlsError::Handshake {
            host,
            reason: other.to_string(),
        },
    }
}

fn explain_certificate(error: &CertificateError) -> String {
    let at = |time: &UnixTime| {
        Timestamp::from_secs(i64::try_from(time.as_secs()).unwrap_or(i64::MAX)).to_string()
    };
    match error {
        CertificateError::UnknownIssuer => {
            "signed by an unknown authority (trust it with ca_file)".to_owned()
        }
        CertificateError::Expired => "it has expired".to_owned(),
        CertificateError::ExpiredContext { time, not_after } => {
            format!(
                "it has expired: it is {}, and it was valid until {}",
                at(time),
                at(not_after)
            )
        }
        CertificateError::NotValidYet => "it is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "it is not valid yet: it is {}, and it is valid from {}",
            at(time),
            at(not_before)
        ),
        CertificateError::NotValidForName => "it is for another name".to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let presented = presented.join(", ");
            format!("it is for {presented}, not for {}", expected.to_str())
        }
        other => other.to_string(),
    }
}

/// The clock of the simulation.
#[derive(Debug)]
struct SimulatedTime(Clock);

impl TimeProvider for SimulatedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(
            self.0.now().since(Timestamp::EPOCH),
        ))
    }
}
