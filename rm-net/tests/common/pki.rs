//! Authorities and certificates, in files that a test may replace.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType,
    date_time_ymd,
};
use tempfile::TempDir;

/// A directory with them.
pub(crate) struct Pki {
    dir: TempDir,
}

/// Who signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// Until when a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Good {
    Long,
    /// Not any more.
    Until2020,
    /// Not yet.
    From2100,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        Self { issuer }
    }
}

impl Pki {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { dir }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        // Whoever reads finds the old one or the new one.
        let next = self.path(&format!("{file}.next"));
        std::fs::write(&next, text).expect("written");
        std::fs::rename(next, self.path(file)).expect("renamed");
    }

    /// Writes authorities into one file.
    pub(crate) fn trust(&self, file: &str, authorities: &[&Authority]) {
        let pem: String = authorities.iter().map(|one| one.issuer.pem()).collect();
        self.write(file, &pem);
    }

    /// Issues `<file>.pem` and `<file>.key`. A name with `://` is a URI.
    pub(crate) fn issue(&self, file: &str, by: &Authority, names: &[&str], good: Good) {
        let (uris, hosts): (Vec<&str>, Vec<&str>) =
            names.iter().partition(|name| name.contains("://"));
        let hosts = hosts.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut params = CertificateParams::new(hosts).expect("parameters");
        for uri in uris {
            let uri = SanType::URI(uri.try_into().expect("a URI"));
            params.subject_alt_names.push(uri);
        }
        params.distinguished_name.push(DnType::CommonName, file);
        match good {
            Good::Long => {}
            Good::Until2020 => params.not_after = date_time_ymd(2020, 1, 2),
            Good::From2100 => params.not_before = date_time_ymd(2100, 1, 2),
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &by.issuer).expect("signed");
        self.write(&format!("{file}.key"), &key.serialize_pem());
        self.write(&format!("{file}.pem"), &certificate.pem());
    }
}
