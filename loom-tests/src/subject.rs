//! What is modelled: a resource type, and what the models ask of it.

use core::fmt;

use rm_core::front::Door;
use rm_core::resource::ResourceType;

/// A resource type with a few things that can be asked of it: all that the models need.
///
/// Choose a small capital and two or three modes, the least of those that behave differently: what goes wrong with
/// many goes wrong with few, and each mode multiplies the models.
pub trait Subject: Clone + fmt::Debug + Send + Sync + 'static {
    /// The type.
    type Type: ResourceType;

    /// What is asked for, by name.
    type Mode: Copy + fmt::Debug + PartialEq + Send + Sync + 'static;

    /// The modes that the models are made from.
    const MODES: &'static [Self::Mode];

    /// The name of the one resource in the models.
    const KEY: &'static str = "x";

    /// The type, as each node registers it.
    fn resource_type() -> Self::Type;

    /// What a request in this mode asks for, of a resource with that capital.
    fn level(mode: Self::Mode, capital: &CreditOf<Self>) -> LevelOf<Self>;

    /// By which door such a request passes the gate; by none, unless said otherwise.
    fn door(mode: Self::Mode) -> Option<Door> {
        let _ = mode;
        None
    }

    /// Whether a holder in the mode `from` may convert to `to`: to any other mode, unless said otherwise. Who shares its
    /// hold with others at its node does not convert.
    fn has_conversion(from: Self::Mode, to: Self::Mode) -> bool {
        from != to && Self::door(from) != Some(Door::Shared)
    }
}

/// The credit of a subject.
pub type CreditOf<S> = <<S as Subject>::Type as ResourceType>::Credit;

/// What requests for a subject ask for.
pub type LevelOf<S> = <<S as Subject>::Type as ResourceType>::Level;
