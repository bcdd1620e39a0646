//! The keys of one cluster.
//!
//! All are below one prefix that ends in `/`, so clusters whose names begin alike do not see each other. A node's
//! name may have any bytes; in a key, all but letters, digits, `.`, `_` and `-` are written as `%XX`.

use rm_core::coordination::{Key, RecordKey};

/// Where the keys of a cluster are.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    /// Below `prefix`, which ends in `/`.
    pub(super) const fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// Where all of them begin.
    pub(super) fn begin(&self) -> Vec<u8> {
        self.prefix.clone().into_bytes()
    }

    /// The first key behind them.
    pub(super) fn end(&self) -> Vec<u8> {
        let mut end = self.begin();
        if let Some(last) = end.last_mut() {
            // It is a slash.
            *last += 1;
        }
        end
    }

    pub(super) fn text(&self, key: &Key) -> String {
        match key {
            Key::View => format!("{}view", self.prefix),
            Key::Record(key) => format!(
                "{}members/{}/{:016x}-{}",
                self.prefix,
                escape(&key.name),
                key.run,
                key.attempt
            ),
        }
    }

    /// What a key means. `None`: nothing to us.
    pub(super) fn parse(&self, key: &[u8]) -> Option<Key> {
        let key = str::from_utf8(key).ok()?;
        let rest = key.strip_prefix(&self.prefix)?;
        if rest == "view" {
            return Some(Key::View);
        }
        let (name, life) = rest.strip_prefix("members/")?.split_once('/')?;
        let (run, attempt) = life.split_once('-')?;
        let parsed = Key::Record(RecordKey {
            name: unescape(name).ok()?,
            run: u64::from_str_radix(run, 16).ok()?,
            attempt: attempt.parse().ok()?,
        });
        // Only what would be written the same way: one key has one text.
        (self.text(&parsed) == key).then_some(parsed)
    }
}

/// A name as text that can stand in a key.
pub(super) fn escape(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The name that was written as `text`.
pub(super) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut name = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            name.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|it| char::from(it).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            return Err(format!("the name '{text}' is not written as names are"));
        };
        name.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let keys = Keys::new("/rm/c/".into());
        for name in [&b"a"[..], b"a/b", b"%", b"\x00\xff", "ä".as_bytes()] {
            let key = Key::Record(RecordKey {
                name: name.to_vec(),
                run: 7,
                attempt: 3,
            });
            let text = keys.text(&key);
            assert!(text.starts_with("/rm/c/members/"), "{text}");
            assert_eq!(keys.parse(text.as_bytes()), Some(key));
        }
        assert_eq!(keys.parse(b"/rm/c/view"), Some(Key::View));
    }

    #[test]
    fn other_keys_mean_nothing() {
        let keys = Keys::new("/rm/c/".into());
        for key in [
            "/rm/cc/view",
            "/rm/c/",
            "/rm/c/members/a",
            "/rm/c/members/a/7-1",
            "\u{0}",
        ] {
            assert_eq!(keys.parse(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn the_range_has_this_cluster_alone() {
        let keys = Keys::new("/rm/c/".into());
        let (begin, end) = (keys.begin(), keys.end());
        let inside = |key: &str| (begin.as_slice()..end.as_slice()).contains(&key.as_bytes());
        assert!(inside("/rm/c/view") && inside("/rm/c/members/\u{ff}"));
        assert!(!inside("/rm/c2/view") && !inside("/rm/d/view") && !inside("/rm/c"));
    }
}
