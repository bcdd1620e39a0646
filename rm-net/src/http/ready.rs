//! Whether the server lends now, and if not, why: for load balancers and whoever upgrades one server after the other.

use rm_core::inspect::{MembersView, NodeRole, Standing};
use serde::Serialize;

use crate::cli::output::span;

/// What `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// Why not; sentences for people.
    pub(super) reasons: Vec<String>,
}

/// `is_stopping`: the process was told to end.
pub(super) fn of(members: &MembersView, is_stopping: bool) -> Readiness {
    let mut reasons = Vec::new();
    if is_stopping {
        reasons.push("it was told to stop, and takes no new work".into());
    }
    match members.standing {
        Standing::Active => {}
        Standing::Gathering => reasons.push(format!(
            "it waits for the reports of other members: {} are missing",
            members.missing.len()
        )),
        Standing::Suspended if members.role == NodeRole::Relay => {
            reasons.push("it has no session with the server that it borrows from".into());
        }
        Standing::Suspended => {
            reasons.push(
                "it does not know whether it is still a member: look at the way to its coordinator"
                    .into(),
            );
        }
        Standing::Leaving => reasons.push("it is draining, and hands over what it has".into()),
        Standing::Outside => reasons.push("it is no member of its cluster yet".into()),
    }
    if !members.coordinator.is_connected && members.role == NodeRole::Member {
        reasons.push(format!(
            "its coordinator ({}) cannot be reached",
            members.coordinator.kind
        ));
    }
    if !members.grace.is_zero() {
        reasons.push(format!(
            "for another {} what was lent before may still be in use, so not everything can be lent",
            span(members.grace)
        ));
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rm_core::inspect::CoordinatorView;

    use super::*;

    fn active() -> MembersView {
        MembersView {
            role: NodeRole::Member,
            coordinator: CoordinatorView {
                is_connected: true,
                ..CoordinatorView::default()
            },
            ..MembersView::default()
        }
    }

    #[test]
    fn whoever_lends_is_ready() {
        assert!(of(&active(), false).ready);
    }

    #[test]
    fn each_reason_not_to_lend_is_told() {
        let not = |members: MembersView, word: &str| {
            let readiness = of(&members, false);
            assert!(!readiness.ready);
            assert!(
                readiness.reasons[0].contains(word),
                "{:?}",
                readiness.reasons
            );
        };
        let standing = |standing| MembersView {
            standing,
            ..active()
        };
        not(standing(Standing::Gathering), "reports");
        not(standing(Standing::Suspended), "still a member");
        not(standing(Standing::Leaving), "draining");
        not(standing(Standing::Outside), "no member");
        not(
            MembersView {
                coordinator: CoordinatorView::default(),
                ..active()
            },
            "cannot be reached",
        );
        not(
            MembersView {
                grace: Duration::from_secs(7),
                ..active()
            },
            "7.0 s",
        );
        not(
            MembersView {
                role: NodeRole::Relay,
                standing: Standing::Suspended,
                ..active()
            },
            "no session",
        );
        assert!(of(&active(), true).reasons[0].contains("told to stop"));
    }
}
