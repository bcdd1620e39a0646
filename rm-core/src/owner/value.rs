//! What an owner knows of the value of its resource, and whom it believes.
//!
//! A value keeps to the credit. Only who holds the whole capital writes, so while anybody has any credit, nobody else
//! writes; therefore:
//!
//! * who has credit has the value of its time, and who has none forgets it, but for the root;
//! * every grant brings it: the debtor may have sent back all it had in the meantime, and forgotten it;
//! * only an owner that has borrowed everything can know more than its creditor. It tells with its next return;
//! * a creditor believes only a debtor that had everything: another one cannot have written.
//!
//! Where a loan of everything is taken back from one who was lost, a write may be lost with it: what is known is
//! doubtful from then on. The same is true where nothing is known: there may have been a first write.

use std::sync::Arc;

use super::Owner;
use crate::credit::Credit as _;
use crate::error::PeerMisbehaved;
use crate::id::Token;
use crate::resource::{Lending, ResourceType};
use crate::value::{VALUE_BYTES_MAX, Value, ValueState, WriteError};

/// The value as known here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    pub(super) value: Option<Arc<Value>>,
    /// The creditor does not know it yet.
    pub(super) is_news: bool,
}

impl<T: ResourceType> Owner<T> {
    /// The value as known here; `None`: none was written. Only who holds something may rely on it.
    pub const fn value(&self) -> Option<&Arc<Value>> {
        self.known.value.as_ref()
    }

    /// Writes the value, in the name of a hold of everything. Sends nothing: it goes up when credit does.
    ///
    /// # Errors
    /// [`WriteError::NotExclusive`] and [`WriteError::TooLarge`]. Nothing changed.
    ///
    /// # Panics
    /// If the token holds nothing.
    pub fn write_value(&mut self, token: Token, bytes: &[u8]) -> Result<(), WriteError> {
        let hold = self.holds.get(token).expect("only a holder writes");
        if !Self::may_write(hold.asked(), &self.capital) {
            return Err(WriteError::NotExclusive);
        }
        let max = self.settings.value_bytes_max.min(VALUE_BYTES_MAX);
        if bytes.len() > max {
            let bytes = bytes.len();
            return Err(WriteError::TooLarge { bytes, max });
        }
        // Another member of its group may have written, with a larger token.
        let before = self.value().map_or(0, |value| value.version);
        let version = hold.fence.max(before);
        self.learn(Arc::new(Value {
            version,
            state: ValueState::Sure,
            bytes: bytes.into(),
        }));
        Ok(())
    }

    /// A write may have been lost: from now on the value is doubtful, until the next one.
    pub fn doubt_value(&mut self) {
        let known = self.value();
        let is_doubted = known.is_some_and(|value| value.is_doubtful());
        if !is_doubted && Self::may_write(&self.borrowed, &self.capital) {
            let doubted = known.map_or_else(Value::unknown, |value| value.doubted());
            self.learn(Arc::new(doubted));
        }
    }

    /// The value, if its creditor would doubt it without this owner, and a return of what is spare prevents that.
    #[must_use]
    pub fn unreturned_value(&self) -> Option<&Arc<Value>> {
        let is_in_doubt = !self.is_root() && Self::may_write(&self.borrowed, &self.capital);
        self.value()
            .filter(|_| is_in_doubt && !self.cached.is_empty())
    }

    /// Whether a hold or a loan of that much lets its owner write.
    ///
    /// Credit that is used up never comes together again, and has no value.
    pub(super) fn may_write(credit: &T::Credit, capital: &T::Credit) -> bool {
        T::LENDING == Lending::Loaned && credit == capital
    }

    /// Whether nothing is lost with the value if the owner vanishes. What is doubtful is doubtful for its successor
    /// too, which the caller sees to.
    pub(super) fn has_no_bytes(&self) -> bool {
        self.value().is_none_or(|value| value.bytes.is_empty())
    }

    /// What goes up with a return.
    pub(super) fn take_news(&mut self) -> Option<Arc<Value>> {
        let is_news = core::mem::take(&mut self.known.is_news);
        self.known.value.clone().filter(|_| is_news)
    }

    /// A debtor's credit is gone, and whatever it knew may soon be out of date.
    pub(super) fn forget_value(&mut self) {
        self.known = Known::default();
    }

    /// From the creditor, which knows best: but not less than one who wrote.
    pub(super) fn on_value_from_above(&mut self, value: Option<Arc<Value>>) {
        let may_know = T::LENDING == Lending::Loaned && !self.borrowed.is_empty();
        if let Some(value) = value.filter(|value| may_know && value.is_after(self.value())) {
            self.learn(value);
            self.known.is_news = false;
        }
    }

    /// From a debtor that had everything, up to `limit` of the fence.
    ///
    /// The clock goes past the version, as past every token: or the next writer's could be smaller.
    pub(super) fn on_value_from_below(&mut self, value: Option<Arc<Value>>, limit: u64) {
        if let Some(value) = value
            && value.version <= limit
            && value.is_after(self.value())
        {
            self.fence.observe(value.version);
            self.learn(value);
        }
    }

    fn learn(&mut self, value: Arc<Value>) {
        self.known = Known {
            value: Some(value),
            is_news: !self.is_root(),
        };
    }

    pub(super) fn check_value(&self) {
        let known = &self.known;
        assert!(
            known.value.is_none() || self.is_root() || !self.borrowed.is_empty(),
            "who has no credit knows no value"
        );
        assert!(
            !known.is_news || (!self.is_root() && Self::may_write(&self.borrowed, &self.capital)),
            "only who has everything knows more than its creditor"
        );
    }
}

/// That a peer's value has no more bytes than it may have.
pub(super) fn check_size(value: Option<&Arc<Value>>, max: usize) -> Result<(), PeerMisbehaved> {
    match value {
        Some(value) if value.bytes.len() > max.min(VALUE_BYTES_MAX) => {
            Err(PeerMisbehaved::ValueTooLarge)
        }
        Some(_) | None => Ok(()),
    }
}
