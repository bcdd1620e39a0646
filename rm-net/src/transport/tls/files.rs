//! What is in the files of certificates and keys.
//!
//! Files are read whole, up to a limit; nothing of a key is ever printed.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rm_core::access::Identity;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, RootCertStore};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use super::TlsError;

/// The most bytes of a file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most certificates in a file.
const CERTIFICATES_MAX: usize = 512;

/// By what a file is known to be the same as before: when it was written, its size, its device and number.
pub(super) type Stamp = (i64, i64, u64, u64, u64);

/// `None`: there is none.
pub(super) fn stamp(file: &Path) -> Option<Stamp> {
    let file = fs::metadata(file).ok()?;
    Some((
        file.mtime(),
        file.mtime_nsec(),
        file.len(),
        file.dev(),
        file.ino(),
    ))
}

/// What a certificate is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateRole {
    /// It says who this process is.
    Own,
    /// It signs those of servers.
    Authority,
    /// It signs those of clients.
    ClientAuthority,
}

/// A certificate, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateView {
    /// What it is there for.
    pub role: CertificateRole,
    /// The file in which it is.
    pub file: PathBuf,
    /// Whom it names.
    pub subject: String,
    /// When it is of no use any more.
    pub not_after: SystemTime,
}

/// A certificate with those that lead to its authority, and its key.
pub(super) struct Own {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    files: (PathBuf, PathBuf),
}

impl Own {
    /// What is wrong with the two.
    pub(super) fn unusable(&self, error: &rustls::Error) -> TlsError {
        let (cert, key) = self.files.clone();
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { cert, key }
            }
            other => {
                let why = format!("{other}; give a key of ECDSA, Ed25519 or RSA, unencrypted");
                TlsError::Useless { file: key, why }
            }
        }
    }
}

/// A certificate and its key.
pub(super) fn own(
    cert: &Path,
    key: &Path,
    views: &mut Vec<CertificateView>,
) -> Result<Own, TlsError> {
    let chain = certificates(cert)?;
    if let Some(first) = chain.first() {
        views.push(view(first, CertificateRole::Own, cert)?);
    }
    let text = read(key)?;
    if fs::metadata(key).is_ok_and(|file| file.mode() & 0o004 != 0) {
        tracing::warn!(file = %key.display(), "every user of this machine can read the key: chmod 600");
    }
    let parsed = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let why = match error {
            pem::Error::NoItemsFound => "it holds no private key in PEM form".into(),
            other => format!("its private key cannot be read: {other}"),
        };
        useless(key, why)
    })?;
    Ok(Own {
        chain,
        key: parsed,
        files: (cert.into(), key.into()),
    })
}

/// The authorities in a file.
pub(super) fn authorities(
    file: &Path,
    role: CertificateRole,
    views: &mut Vec<CertificateView>,
) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        views.push(view(&certificate, role, file)?);
        let added = store.add(certificate);
        added.map_err(|error| useless(file, format!("it holds no authority: {error}")))?;
    }
    Ok(store)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text)
        .take(CERTIFICATES_MAX + 1)
        .collect();
    let all =
        all.map_err(|error| useless(file, format!("a certificate cannot be read: {error}")))?;
    match all.len() {
        0 => Err(useless(file, "it holds no certificate in PEM form".into())),
        n if n > CERTIFICATES_MAX => {
            let why = format!("it holds more than {CERTIFICATES_MAX} certificates");
            Err(useless(file, why))
        }
        _ => Ok(all),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        file: file.into(),
        source,
    };
    let opened = File::open(file).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut limited = opened.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(useless(file, why));
    }
    Ok(bytes)
}

fn useless(file: &Path, why: String) -> TlsError {
    let file = file.into();
    TlsError::Useless { file, why }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    let parsed = x509_parser::parse_x509_certificate(certificate);
    let (_, certificate) =
        parsed.map_err(|error| format!("the certificate is malformed: {error}"))?;
    Ok(certificate)
}

fn view(
    certificate: &CertificateDer<'_>,
    role: CertificateRole,
    file: &Path,
) -> Result<CertificateView, TlsError> {
    let parsed = parse(certificate).map_err(|why| useless(file, why))?;
    let (subject, not_after) = named_until(&parsed);
    Ok(CertificateView {
        role,
        file: file.into(),
        subject,
        not_after,
    })
}

/// Whom a certificate names, and until when it is good, if it can be read.
pub(super) fn validity(certificate: &CertificateDer<'_>) -> Option<(String, SystemTime)> {
    parse(certificate).ok().map(|parsed| named_until(&parsed))
}

fn named_until(certificate: &X509Certificate<'_>) -> (String, SystemTime) {
    let seconds = certificate.validity().not_after.timestamp();
    // Before 1970: over, whenever it was.
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let subject = match names(certificate).next() {
        Some(name) => name.to_owned(),
        None => certificate.subject().to_string(),
    };
    let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    (subject, not_after)
}

/// Whom a verified certificate names: the first URI, else the first name of the DNS, else the common name.
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Result<Identity, String> {
    let parsed = parse(certificate)?;
    let name = names(&parsed).next();
    let name = name.ok_or(
        "the client's certificate names nobody: issue it with a URI, a name of the DNS or a common name",
    )?;
    Identity::certified(name).map_err(|error| error.to_string())
}

fn names<'a>(certificate: &'a X509Certificate<'_>) -> impl Iterator<Item = &'a str> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let alternatives = alternatives.map_or(&[][..], |names| &names.value.general_names);
    let uris = alternatives.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let hosts = alternatives.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(*host),
        _ => None,
    });
    let common = certificate.subject().iter_common_name();
    let common = common.filter_map(|name| name.as_str().ok());
    uris.chain(hosts).chain(common)
}
