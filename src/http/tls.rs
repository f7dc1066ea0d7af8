//! TLS by the server itself, with certificates that are read again when their files change.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::config::{Current, TlsFiles};

/// How often the files are looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);

/// No chain of certificates and no key is longer, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path} holds no {what} in PEM: {source}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// Why it was not found.
        source: rustls::pki_types::pem::Error,
    },
    /// The two do not belong together, or are of a kind that is not known.
    #[error("the certificate in {cert} and the key in {key} cannot be used: {source}")]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// The certificate in use, and where it comes from.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    certified: Current<CertifiedKey>,
    digest: Vec<u8>,
}

impl Tls {
    /// Reads the files. It blocks.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let (certified, digest) = read_pair(&files)?;
        Ok(Self {
            files,
            certified: Current::new(certified),
            digest,
        })
    }

    /// What turns a connection into a TLS session with the certificate of that moment.
    ///
    /// # Panics
    /// Never: the provider knows the versions that it is asked for.
    #[must_use]
    pub fn acceptor(&self) -> TlsAcceptor {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the default versions");
        let mut config = config
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(self.certified.clone())));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// Reads the files again whenever they change, for ever; files that cannot be used change nothing.
    pub async fn watch(mut self) {
        loop {
            tokio::time::sleep(WATCH_INTERVAL).await;
            let read = tokio::task::spawn_blocking(move || {
                self.look_again();
                self
            });
            match read.await {
                Ok(this) => self = this,
                Err(error) => {
                    tracing::error!("certificates are not looked at any more: {error}");
                    return std::future::pending().await;
                }
            }
        }
    }

    fn look_again(&mut self) {
        // A file that is away for a moment is being replaced.
        let Ok(Pem { digest, .. }) = read_files(&self.files) else {
            return;
        };
        if digest == self.digest {
            return;
        }
        self.digest = digest;
        match read_pair(&self.files) {
            Ok((certified, digest)) => {
                self.digest = digest;
                self.certified.replace(certified);
                let file = self.files.cert.display();
                tracing::info!(%file, "the certificate in {file} is in use now");
            }
            Err(error) => tracing::warn!("the certificate stays as it was: {error}"),
        }
    }
}

#[derive(Debug)]
struct Resolver(Current<CertifiedKey>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.get())
    }
}

fn read_pair(files: &TlsFiles) -> Result<(CertifiedKey, Vec<u8>), TlsError> {
    let Pem { cert, key, digest } = read_files(files)?;
    let pem = |path: &PathBuf, what: &'static str| {
        let path = path.clone();
        move |source| TlsError::Pem { path, what, source }
    };
    let chain = CertificateDer::pem_slice_iter(&cert).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(pem(&files.cert, "certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(pem(&files.key, "private key"))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider());
    let certified = certified.map_err(|source| TlsError::Pair {
        cert: files.cert.clone(),
        key: files.key.clone(),
        source,
    })?;
    Ok((certified, digest))
}

/// Both files as they are.
struct Pem {
    cert: Vec<u8>,
    key: Vec<u8>,
    /// Changes with them.
    digest: Vec<u8>,
}

fn read_files(files: &TlsFiles) -> Result<Pem, TlsError> {
    let read = |path: &PathBuf| {
        read_bounded(path).map_err(|source| TlsError::File {
            path: path.clone(),
            source,
        })
    };
    let (cert, key) = (read(&files.cert)?, read(&files.key)?);
    let digest = Sha256::new_with_prefix(&cert).chain_update(&key).finalize();
    let digest = digest.to_vec();
    Ok(Pem { cert, key, digest })
}

fn read_bounded(path: &PathBuf) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path)?;
    io::Read::read_to_end(&mut io::Read::take(file, FILE_LIMIT), &mut content)?;
    Ok(content)
}
