//! What must be true of the whole world: of holds, tokens and values, whatever became of processes and roots.

use super::driver::Fault;
use super::report::Counts;
use crate::credit::Credit as _;
use crate::resource::ResourceType;
use crate::time::Time;
use crate::value::Value;

/// What is known of all holds there ever were.
pub(super) struct Oracle<T: ResourceType> {
    resources: Vec<Known<T>>,
    values: u64,
}

struct Known<T: ResourceType> {
    capital: T::Credit,
    /// The highest token of the holds of that much.
    tokens: Vec<(T::Credit, u64)>,
    /// What the last hold wrote that was not lost.
    written: Option<u64>,
    /// Until then holders may not know that it was taken away from them.
    excused: Time,
    /// One of them may have written last.
    is_vague: bool,
}

impl<T: ResourceType> Oracle<T> {
    pub(super) fn new(capitals: Vec<T::Credit>) -> Self {
        let known = |capital| Known {
            capital,
            tokens: Vec::new(),
            written: None,
            excused: Time::ZERO,
            is_vague: false,
        };
        Self {
            resources: capitals.into_iter().map(known).collect(),
            values: 0,
        }
    }

    pub(super) fn capital(&self, resource: usize) -> &T::Credit {
        &self.resources[resource].capital
    }

    /// It was taken away from whoever has it: until then they may not know.
    pub(super) fn excuse(&mut self, resource: usize, until: Time) {
        let known = &mut self.resources[resource];
        known.excused = until;
        known.is_vague = true;
    }

    /// Whether some who hold it may not know that it was taken away from them.
    pub(super) fn is_excused(&self, resource: usize, now: Time) -> bool {
        now < self.resources[resource].excused
    }

    /// A hold begins: its token is above those of all holds before that it conflicts with.
    pub(super) fn on_grant(
        &mut self,
        now: Time,
        resource: usize,
        credit: &T::Credit,
        token: u64,
    ) -> Result<(), Fault> {
        let is_excused = self.is_excused(resource, now);
        let known = &mut self.resources[resource];
        let mut is_new = true;
        for (other, highest) in &mut known.tokens {
            if !is_excused && *highest >= token && other.conflicts(credit, &known.capital) {
                return Err(Fault(format!(
                    "the token {token:#x} of a hold of {credit:?} is not above {highest:#x}, that of one of {other:?}"
                )));
            }
            if other == credit {
                *highest = token.max(*highest);
                is_new = false;
            }
        }
        if is_new {
            known.tokens.push((credit.clone(), token));
        }
        Ok(())
    }

    pub(super) const fn fresh_value(&mut self) -> u64 {
        self.values += 1;
        self.values
    }

    /// A holder reads: what is sure is what was written last.
    pub(super) fn on_read(
        &self,
        resource: usize,
        value: Option<&Value>,
        counts: &mut Counts,
    ) -> Result<(), Fault> {
        if value.is_some_and(Value::is_doubtful) {
            counts.doubtful += 1;
            return Ok(());
        }
        counts.sure += 1;
        if self.resources[resource].is_vague {
            return Ok(());
        }
        let written = self.resources[resource].written;
        let read = value.map(|value| &value.bytes[..]);
        if read
            == written
                .map(u64::to_le_bytes)
                .as_ref()
                .map(|bytes| &bytes[..])
        {
            return Ok(());
        }
        Err(Fault(format!(
            "a holder of {resource} reads {value:?}, and {written:?} was written last"
        )))
    }

    /// A hold that wrote ended well.
    pub(super) fn on_written(&mut self, now: Time, resource: usize, number: u64) {
        let known = &mut self.resources[resource];
        known.written = Some(number);
        known.is_vague &= now < known.excused;
    }

    /// What all may use of it at this moment is no more than there is.
    pub(super) fn check_trusted<'a>(
        &self,
        resource: usize,
        trusted: impl Iterator<Item = &'a T::Credit>,
    ) -> Result<(), Fault> {
        let capital = self.capital(resource);
        let mut total = T::Credit::empty();
        for loan in trusted {
            let sum = total.join(loan).filter(|sum| capital.covers(sum));
            total = sum.ok_or_else(|| {
                Fault(format!(
                    "{total:?} of {resource} are trusted, and {loan:?} more: there are {capital:?}"
                ))
            })?;
        }
        Ok(())
    }
}
