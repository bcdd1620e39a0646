//! Texts that others write: values at etcd, and how etcd is found.
//!
//! Whoever may write below a cluster's prefix can leave anything there.

use rm_net::coordinator::{EtcdConfig, value};

/// Reads `bytes` as everything that is read as a text.
///
/// # Panics
/// Where a value is not the same after it was written and read again.
pub fn run(bytes: &[u8]) {
    if let Ok(view) = value::to_view(bytes) {
        let again = value::to_view(&value::of_view(&view));
        assert_eq!(again.as_ref(), Ok(&view), "read, written, read");
    }
    if let Ok(record) = value::to_record(bytes) {
        let again = value::to_record(&value::of_record(&record));
        assert_eq!(again.as_ref(), Ok(&record), "read, written, read");
    }
    if let Ok(text) = str::from_utf8(bytes) {
        let (cluster, endpoints) = text.split_once('\n').unwrap_or(("rm", text));
        if let Ok(config) = EtcdConfig::new(cluster, endpoints) {
            assert!(!config.endpoints().is_empty(), "an endpoint at least");
        }
    }
}
