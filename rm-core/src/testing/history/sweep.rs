//! The two sweeps over the holds of one resource: which are at the same time, and which follow each other.

use std::collections::BTreeSet;

use super::{Record, Violation, What, in_words};
use crate::credit::Credit;

/// What one request held, unchanged, for a while.
pub(super) struct Hold<'a, C> {
    credit: &'a C,
    fence: u64,
    began: &'a Record<C>,
    /// `None` if nobody recorded it.
    pub(super) ended: Option<&'a Record<C>>,
}

impl<'a, C: Credit> Hold<'a, C> {
    /// The hold that begins with a record, if one does.
    pub(super) const fn begin(record: &'a Record<C>) -> Option<Self> {
        let (credit, fence) = match &record.what {
            What::Granted { credit, fence } | What::Changed { to: credit, fence } => {
                (credit, *fence)
            }
            What::Invoked | What::Denied | What::Cancelled | What::Released | What::Lost => {
                return None;
            }
        };
        Some(Self {
            credit,
            fence,
            began: record,
            ended: None,
        })
    }

    pub(super) fn resource(&self) -> &'a str {
        &self.began.resource
    }

    /// When it was there for certain, if it was.
    fn surely_held(&self) -> Option<(u64, u64)> {
        let ended = self.ended?;
        let from = self.began.at.saturating_add(self.began.uncertainty);
        let to = ended.at.saturating_sub(ended.uncertainty);
        (from < to).then_some((from, to))
    }

    fn surely_begins_after(&self) -> u64 {
        self.began.at.saturating_sub(self.began.uncertainty)
    }

    fn surely_over_at(&self) -> Option<u64> {
        let ended = self.ended?;
        Some(ended.at.saturating_add(ended.uncertainty))
    }

    fn in_words(&self) -> String {
        let until = match self.ended {
            Some(ended) => format!("until {} (+-{})", ended.at, ended.uncertainty),
            None => "and no end was recorded".into(),
        };
        format!(
            "{} held {:?} from {} (+-{}) {until}, token {:#x}",
            in_words(self.began),
            self.credit,
            self.began.at,
            self.began.uncertainty,
            self.fence
        )
    }
}

/// Holds of the same amount, as indices.
type Together<'a, C> = Vec<(&'a C, BTreeSet<usize>)>;

/// Two holds at the same time that conflict, or more held than there is.
pub(super) fn overlap<C: Credit>(capital: &C, holds: &[Hold<'_, C>]) -> Option<Violation> {
    const END: u8 = 0;
    const BEGIN: u8 = 1;
    let mut moments = Vec::with_capacity(2 * holds.len());
    for (index, hold) in holds.iter().enumerate() {
        if let Some((from, to)) = hold.surely_held() {
            moments.push((from, BEGIN, index));
            moments.push((to, END, index));
        }
    }
    moments.sort_unstable();
    let mut held: Together<'_, C> = Vec::new();
    let mut total = C::empty();
    for (at, kind, index) in moments {
        let hold = &holds[index];
        let place = held.iter().position(|(credit, _)| *credit == hold.credit);
        if kind == END {
            let place = place.expect("what ends was held");
            held[place].1.remove(&index);
            if held[place].1.is_empty() {
                held.swap_remove(place);
            }
            total = total.less(hold.credit);
            continue;
        }
        let mut others = held.iter();
        let conflict = others.find(|(credit, _)| credit.conflicts(hold.credit, capital));
        if let Some((_, others)) = conflict {
            let other = others.first().expect("a set that is listed has a member");
            let (one, other) = (hold.in_words(), holds[*other].in_words());
            let what = format!("two holds that conflict at once: {one}; {other}");
            return Some(Violation { at, what });
        }
        match total.join(hold.credit) {
            Some(sum) if capital.covers(&sum) => total = sum,
            Some(_) | None => {
                let (one, others) = (hold.in_words(), held.iter().map(|(_, all)| all.len()));
                let what = format!(
                    "with {} others, holding {total:?}, more is held than the capital, {capital:?}: {one}",
                    others.sum::<usize>()
                );
                return Some(Violation { at, what });
            }
        }
        match place {
            Some(place) => {
                held[place].1.insert(index);
            }
            None => held.push((hold.credit, BTreeSet::from([index]))),
        }
    }
    None
}

/// A hold that began after one that conflicts had ended, and has no larger token.
pub(super) fn falling_token<C: Credit>(capital: &C, holds: &[Hold<'_, C>]) -> Option<Violation> {
    // What ends at the very time at which another begins did not surely end before.
    const BEGIN: u8 = 0;
    const END: u8 = 1;
    let mut moments = Vec::with_capacity(2 * holds.len());
    for (index, hold) in holds.iter().enumerate() {
        moments.push((hold.surely_begins_after(), BEGIN, index));
        if let Some(over) = hold.surely_over_at() {
            moments.push((over, END, index));
        }
    }
    moments.sort_unstable();
    // Of each amount the ended hold with the highest token.
    let mut ended: Vec<usize> = Vec::new();
    for (at, kind, index) in moments {
        let hold = &holds[index];
        if kind == END {
            match ended
                .iter_mut()
                .find(|other| holds[**other].credit == hold.credit)
            {
                Some(highest) if holds[*highest].fence < hold.fence => *highest = index,
                Some(_) => {}
                None => ended.push(index),
            }
            continue;
        }
        let falls = |other: &&usize| {
            let other = &holds[**other];
            other.fence >= hold.fence && other.credit.conflicts(hold.credit, capital)
        };
        if let Some(&other) = ended.iter().find(falls) {
            let (one, other) = (hold.in_words(), holds[other].in_words());
            let what = format!("a token that does not rise: {other}; then {one}");
            return Some(Violation { at, what });
        }
    }
    None
}
