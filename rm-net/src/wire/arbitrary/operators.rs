//! What operators ask and say, and what they are told.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rm_core::command::{Action, Command, Force, LoanEnd, Outcome, Released};
use rm_core::id::TypeId;
use rm_core::inspect::{CoordinatorView, DataDirView, HealthView, MembersView, NodeRole, Standing};

use super::{key, members as view, span, text};
use crate::wire::limits::SPAN_MAX;

pub(super) fn role() -> impl Strategy<Value = NodeRole> {
    prop_oneof![
        Just(NodeRole::Standalone),
        Just(NodeRole::Member),
        Just(NodeRole::Relay),
    ]
}

pub(super) fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        Just(Standing::Active),
        Just(Standing::Gathering),
        Just(Standing::Suspended),
        Just(Standing::Leaving),
        Just(Standing::Outside),
    ]
}

fn address() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("{text}:1"))
}

fn coordinator() -> impl Strategy<Value = CoordinatorView> {
    let texts = (text(), text(), text(), vec(text(), 0..4));
    (texts, any::<bool>(), span(SPAN_MAX)).prop_map(
        |((kind, last_error, version, warnings), is_connected, latency)| CoordinatorView {
            kind,
            is_connected,
            last_error,
            version,
            latency,
            warnings,
        },
    )
}

pub(super) fn members() -> impl Strategy<Value = MembersView> {
    let spans = (option::of(span(SPAN_MAX)), span(SPAN_MAX));
    let lists = (option::of(view()), vec(text(), 0..4));
    let kinds = (role(), standing(), coordinator());
    (text(), any::<u64>(), spans, lists, kinds).prop_map(
        |(node, reg, (good_for, grace), (view, missing), kinds)| {
            let (role, standing, coordinator) = kinds;
            MembersView {
                node,
                reg,
                role,
                standing,
                view,
                missing,
                good_for,
                coordinator,
                grace,
            }
        },
    )
}

pub(super) fn health() -> impl Strategy<Value = HealthView> {
    let data_dir =
        (text(), any::<u64>(), text()).prop_map(|(path, free_bytes, error)| DataDirView {
            path,
            free_bytes,
            error,
        });
    let texts = (text(), text(), text(), option::of(data_dir));
    let numbers = any::<(u32, u64, u64, u64, u64, u32)>();
    (texts, numbers, any::<(bool, bool)>()).prop_map(
        |((node, software, clock, data_dir), numbers, (counts_suspend, is_secured))| {
            let (wire, wall_nanos, clock_nanos, files, files_max, sessions_max) = numbers;
            HealthView {
                node,
                software,
                wire,
                wall_nanos,
                clock_nanos,
                clock,
                counts_suspend,
                is_secured,
                rules: u32::from(is_secured),
                anonymous: if is_secured {
                    "read write".into()
                } else {
                    String::new()
                },
                files,
                files_max,
                sessions_max,
                data_dir,
            }
        },
    )
}

pub(super) fn command() -> impl Strategy<Value = Command> {
    let force = prop_oneof![Just(Force::Polite), Just(Force::Now)];
    let action = prop_oneof![
        (text(), span(SPAN_MAX)).prop_map(|(node, within)| Action::Drain { node, within }),
        (any::<u32>(), key(), force).prop_map(|(type_id, key, force)| Action::Release {
            type_id: TypeId(type_id),
            key,
            force,
        }),
        Just(Action::Unknown),
    ];
    (action, text(), text()).prop_map(|(action, reason, by)| Command { action, reason, by })
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    let end = prop_oneof![
        Just(LoanEnd::Returned),
        span(SPAN_MAX).prop_map(|ends_in| LoanEnd::Silent { ends_in }),
        span(SPAN_MAX).prop_map(|believed_for| LoanEnd::Closed { believed_for }),
    ];
    let released = (text(), end).prop_map(|(node, end)| Released { node, end });
    prop_oneof![
        Just(Outcome::Unknown),
        text().prop_map(|text| Outcome::Refused { text }),
        text().prop_map(|text| Outcome::NotAllowed { text }),
        (text(), address()).prop_map(|(node, address)| Outcome::Elsewhere { node, address }),
        Just(Outcome::Draining),
        (vec(released, 0..4), any::<(u32, u32)>()).prop_map(|(loans, (omitted, own_holds))| {
            Outcome::Released {
                loans,
                omitted,
                own_holds,
            }
        }),
    ]
}
