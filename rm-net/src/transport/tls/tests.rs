//! Whom a certificate names, and what is wrong with files.

use std::path::PathBuf;

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::files::identity;
use super::{CertificateRole, TlsConfig, TlsError, TlsFiles};

/// A certificate with these names, and its key.
fn issue(alternatives: &[SanType], common: Option<&str>) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.subject_alt_names = alternatives.into();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(common) = common {
        params.distinguished_name.push(DnType::CommonName, common);
    }
    let key = KeyPair::generate().expect("a key");
    (params.self_signed(&key).expect("signed"), key)
}

fn named(alternatives: &[SanType], common: Option<&str>) -> Result<String, String> {
    let (certificate, _) = issue(alternatives, common);
    let der = CertificateDer::from(certificate.der().to_vec());
    identity(&der).map(|identity| identity.to_string())
}

fn files() -> (TempDir, PathBuf, PathBuf) {
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    let (certificate, pair) = issue(&[], Some("a"));
    std::fs::write(&cert, certificate.pem()).expect("written");
    std::fs::write(&key, pair.serialize_pem()).expect("written");
    (dir, cert, key)
}

#[test]
fn a_uri_names_before_a_host_and_a_host_before_the_common_name() {
    let uri = SanType::URI("spiffe://prod/web".try_into().expect("a URI"));
    let host = SanType::DnsName("web.example.org".try_into().expect("a host"));
    let both = [host.clone(), uri];
    assert_eq!(named(&both, Some("cn")).as_deref(), Ok("spiffe://prod/web"));
    assert_eq!(named(&[host], Some("cn")).as_deref(), Ok("web.example.org"));
    assert_eq!(named(&[], Some("cn")).as_deref(), Ok("cn"));
}

#[test]
fn a_certificate_that_names_nobody_or_somebody_else_is_nobody() {
    let error = named(&[], None).expect_err("nobody");
    assert!(error.contains("names nobody"), "{error}");
    assert!(named(&[], Some("unix:uid=0")).is_err());
    assert!(named(&[], Some("anonymous")).is_err());
}

#[test]
fn files_that_do_not_suffice_are_told_what_is_missing() {
    let (dir, cert, key) = files();
    let error = |files: TlsFiles| TlsConfig::load(files).expect_err("refused").to_string();
    let missing = dir.path().join("missing.pem");
    assert!(error(TlsFiles::default()).contains("no file was given"));
    assert!(error(TlsFiles::default().ca(&missing)).contains("missing.pem"));
    assert!(error(TlsFiles::default().ca(&key)).contains("no certificate in PEM form"));
    let swapped = TlsFiles::default().identity(&key, &cert);
    assert!(error(swapped).contains("no certificate in PEM form"));
    let twice = TlsFiles::default().identity(&cert, &cert);
    assert!(error(twice).contains("no private key"));
    assert!(error(TlsFiles::default().client_ca(&cert)).contains("--tls-cert"));
    let named = TlsFiles::default().identity(&cert, &key).server_name("a b");
    assert!(matches!(
        TlsConfig::load(named),
        Err(TlsError::BadServerName { .. })
    ));
}

#[test]
fn a_file_beyond_the_limit_is_not_read_into_memory() {
    let (dir, ..) = files();
    let huge = dir.path().join("huge.pem");
    let file = std::fs::File::create(&huge).expect("created");
    file.set_len(1 << 30).expect("a hole");
    let error = TlsConfig::load(TlsFiles::default().ca(&huge)).expect_err("refused");
    assert!(
        error.to_string().contains("more than 1048576 bytes"),
        "{error}"
    );
}

#[test]
fn certificates_in_use_are_told_and_keys_are_not() {
    let (_dir, cert, key) = files();
    let secret = std::fs::read_to_string(&key).expect("read");
    let config = TlsConfig::load(TlsFiles::default().identity(&cert, &key)).expect("loaded");
    let views = config.certificates();
    assert_eq!((views.len(), views[0].role), (1, CertificateRole::Own));
    assert_eq!(
        (&views[0].subject, &views[0].file),
        (&"a".to_owned(), &cert)
    );
    let line = secret.lines().nth(1).expect("a key");
    assert!(!format!("{config:?}").contains(line));
}

#[test]
fn files_that_changed_are_read_again_once() {
    let (_dir, cert, key) = files();
    let config = TlsConfig::load(TlsFiles::default().identity(&cert, &key)).expect("loaded");
    let (certificate, pair) = issue(&[], Some("b"));
    std::fs::write(&cert, certificate.pem()).expect("written");
    config.look();
    assert_eq!(
        config.certificates()[0].subject,
        "a",
        "the key is another's"
    );
    std::fs::write(&key, pair.serialize_pem()).expect("written");
    config.look();
    assert_eq!(config.certificates()[0].subject, "b");
}
