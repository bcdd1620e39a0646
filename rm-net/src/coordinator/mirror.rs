//! What stands at etcd, as far as is known here: read once, then kept up by the watch.
//!
//! # Invariants
//!
//! * The mirror is the state of one revision: an answer of the watch has all events of a revision, or none.
//! * A record that cannot be read is left out, with a warning: one damaged record must not keep others from their work. A
//!   view that cannot be read is an error: without it nothing can be decided.

use rm_core::coordination::{Key, Snapshot, Stored};

use super::CoordinatorError;
use super::generated::{Event, KeyValue, RangeResponse, WatchResponse, event::EventType};
use super::keys::Keys;
use super::value;

/// The mirror of one cluster's keys.
#[derive(Debug)]
pub(super) struct Mirror {
    keys: Keys,
    snapshot: Snapshot,
}

impl Mirror {
    /// All that was read.
    pub(super) fn read(keys: Keys, read: &RangeResponse) -> Result<Self, CoordinatorError> {
        let revision = read.header.as_ref().map_or(0, |header| header.revision);
        let mut mirror = Self {
            keys,
            snapshot: Snapshot {
                revision: number(revision),
                ..Snapshot::default()
            },
        };
        for pair in &read.kvs {
            mirror.put(pair)?;
        }
        Ok(mirror)
    }

    pub(super) const fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What the watch says. Returns whether anything changed.
    pub(super) fn apply(&mut self, news: &WatchResponse) -> Result<bool, CoordinatorError> {
        for Event { r#type, kv } in &news.events {
            let Some(pair) = kv else {
                continue;
            };
            self.snapshot.revision = self.snapshot.revision.max(number(pair.mod_revision));
            if *r#type == i32::from(EventType::Delete) {
                self.delete(&pair.key);
            } else {
                self.put(pair)?;
            }
        }
        Ok(!news.events.is_empty())
    }

    fn put(&mut self, pair: &KeyValue) -> Result<(), CoordinatorError> {
        let created = number(pair.create_revision);
        let modified = number(pair.mod_revision);
        match self.keys.parse(&pair.key) {
            Some(Key::View) => {
                let view = value::to_view(&pair.value);
                let value = view.map_err(|what| CoordinatorError::Damaged {
                    key: self.keys.text(&Key::View),
                    what,
                })?;
                self.snapshot.view = Some(Stored {
                    created,
                    modified,
                    value,
                });
            }
            Some(Key::Record(key)) => match value::to_record(&pair.value) {
                Ok(value) => {
                    let stored = Stored {
                        created,
                        modified,
                        value,
                    };
                    self.snapshot.records.insert(key, stored);
                }
                Err(what) => {
                    self.snapshot.records.remove(&key);
                    let key = self.keys.text(&Key::Record(key));
                    tracing::warn!(
                        key,
                        what,
                        "a record at etcd is damaged: it counts as absent"
                    );
                }
            },
            None => {}
        }
        Ok(())
    }

    fn delete(&mut self, key: &[u8]) {
        match self.keys.parse(key) {
            Some(Key::View) => self.snapshot.view = None,
            Some(Key::Record(key)) => {
                self.snapshot.records.remove(&key);
            }
            None => {}
        }
    }
}

/// A revision. etcd's are never negative.
fn number(revision: i64) -> u64 {
    u64::try_from(revision).unwrap_or(0)
}
