//! What a coordinator tells its node.

use std::sync::Arc;

use rm_core::time::Time;
use rm_core::view::View;

use super::CoordinatorError;

/// Where a node stands in its cluster, as of now.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct State {
    /// The view of the largest epoch that was seen.
    pub view: Option<Arc<View>>,
    /// Until when this node's membership is good, by the [`BootClock`](crate::clock::BootClock); the moment itself is
    /// outside. Compare it before each use: nobody says when it has passed. `None`: it is no member.
    pub good_until: Option<Time>,
    /// Whether the coordinator can be reached.
    pub connected: bool,
    /// This node's registration. If it changes, books of the earlier one are void.
    pub reg: Option<u64>,
    /// Whether it has left, for good.
    pub has_left: bool,
    /// The registration of another member of this node's name, for whose end it waits.
    pub waits_for: Option<u64>,
    /// What went wrong last, until it is mended.
    pub problem: Option<Arc<CoordinatorError>>,
}

impl State {
    /// The state of a server without coordinator: it is the only member of `view`, for ever, and its registration is its epoch.
    #[must_use]
    pub fn standalone(view: View) -> Self {
        let reg = u64::from(view.epoch());
        Self {
            view: Some(Arc::new(view)),
            good_until: Some(Time::MAX),
            connected: true,
            reg: Some(reg),
            ..Self::default()
        }
    }

    /// Whether membership is good at `now`.
    #[must_use]
    pub fn is_good(&self, now: Time) -> bool {
        self.good_until.is_some_and(|until| now < until)
    }
}
