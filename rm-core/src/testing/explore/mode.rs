//! What clients ask for and hold: how much, and in which colour.

use super::store::CreditId;
use super::world::Plan;
use crate::credit::{Colour, Level};
use crate::resource::ResourceType;

/// What is held, and in which colour.
pub(super) type Mode = (CreditId, Option<Colour>);

/// That much, in that colour.
pub(super) fn level<T: ResourceType>(ask: &T::Credit, colour: Option<Colour>) -> T::Level {
    let level = T::Level::of(ask);
    match colour {
        Some(colour) => T::in_colour(level, colour),
        None => level,
    }
}

/// Whether two holds exclude each other by their colours.
pub(super) fn differ(one: Option<Colour>, other: Option<Colour>) -> bool {
    one.is_some() && other.is_some() && one != other
}

/// What people call the mode that asks for this.
pub(super) fn mode<T: ResourceType>(
    ask: &T::Credit,
    colour: Option<Colour>,
    plan: &Plan<T>,
) -> &'static str {
    T::mode_name(&level::<T>(ask, colour), &plan.capital)
}
