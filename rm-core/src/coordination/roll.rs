//! The roll: who is registered, and for how long nothing was heard of each.
//!
//! # Invariants
//!
//! * Silence is counted on the own clock, from when a modification revision was *received*. The heartbeat behind it was
//!   sent before that, so whoever sent it stops trusting before silence has lasted `wait(M)`.
//! * A record that is gone is silent too: it was deleted by the coordinator's own cleaning up, and its node may not know.
//! * All silences start anew after an outage. Nobody could be heard then, and none is to be blamed for it.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::time::Time;
use crate::view::View;

use super::store::{Record, RecordKey, Snapshot};

/// One registration, as it was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: RecordKey,
    pub(super) record: Record,
    /// The revision that wrote it last.
    pub(super) modified: u64,
    /// Its node wrote it again since it registered, so that one knows its `reg`.
    pub(super) is_confirmed: bool,
    /// Since when it is silent.
    pub(super) since: Time,
}

/// Everybody.
#[derive(Clone, Debug, Default)]
pub(super) struct Roll {
    /// By `reg`.
    entries: BTreeMap<u64, Entry>,
    /// Members of the view whose record is gone, and since when that is known.
    gone: BTreeMap<u64, Time>,
}

impl Roll {
    /// Takes in what stands at the coordinator.
    pub(super) fn update(&mut self, now: Time, snapshot: &Snapshot, view: Option<&View>) {
        self.entries.retain(|reg, entry| {
            let stored = snapshot.records.get(&entry.key);
            stored.is_some_and(|stored| stored.created == *reg)
        });
        for (key, stored) in &snapshot.records {
            let known = self.entries.get(&stored.created);
            if known.is_some_and(|entry| entry.modified == stored.modified) {
                continue;
            }
            let entry = Entry {
                key: key.clone(),
                record: stored.value.clone(),
                modified: stored.modified,
                is_confirmed: stored.modified > stored.created,
                since: now,
            };
            self.entries.insert(stored.created, entry);
        }
        let members = view.map_or(&[][..], View::members);
        let is_gone = |reg: &u64| !self.entries.contains_key(reg);
        let gone: Vec<u64> = members.iter().map(|member| member.reg).collect();
        self.gone
            .retain(|reg, _| gone.contains(reg) && is_gone(reg));
        for reg in gone.into_iter().filter(is_gone) {
            self.gone.entry(reg).or_insert(now);
        }
    }

    /// Nobody could be heard until now.
    pub(super) fn start_anew(&mut self, now: Time) {
        for entry in self.entries.values_mut() {
            entry.since = now;
        }
        for since in self.gone.values_mut() {
            *since = now;
        }
    }

    /// The registrations, by `reg`.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Entry)> {
        self.entries.iter().map(|(&reg, entry)| (reg, entry))
    }

    pub(super) fn entry(&self, reg: u64) -> Option<&Entry> {
        self.entries.get(&reg)
    }

    /// Since when nothing was heard of it. `None` where nothing ever was.
    pub(super) fn silent_since(&self, reg: u64) -> Option<Time> {
        let entry = self.entries.get(&reg).map(|entry| entry.since);
        entry.or_else(|| self.gone.get(&reg).copied())
    }

    /// Whether nothing was heard of it for `span`.
    pub(super) fn is_silent(&self, reg: u64, now: Time, span: Duration) -> bool {
        self.silent_since(reg)
            .is_some_and(|since| now >= since.after(span))
    }
}
