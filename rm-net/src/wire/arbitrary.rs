//! Any packet that the wire allows, for property tests.

use core::time::Duration;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use rm_core::book::{Book, BookLoan, Lessee};
use rm_core::cluster::{Report, ReportedBook, ReportedPast};
use rm_core::credit::{Colour, Opaque};
use rm_core::id::{
    Boot, Class, LoanId, NodeId, Note, Order, Party, ResourceKey, Stamp, TypeId, Version,
};
use rm_core::inspect::{Answer, Entry, EntryKind, Query, ResourceView, StatusView, Summary};
use rm_core::message::{
    Blocker, BlockerKind, Blockers, Claim, Claimed, Grant, Message, Refusal, Step, Steps,
    Unclaimed, Want,
};
use rm_core::session::packet::{Body, Hello, Item, Packet, RefuseCode, Welcome};
use rm_core::session::{TICKET_BYTES, Ticket};
use rm_core::trace::TraceContext;
use rm_core::value::{Value, ValueState};
use rm_core::view::{Member, MemberState, RootId, View, WEIGHT_MAX};

mod operators;

use self::operators::{command, outcome};
use super::limits::{BLOCKERS_MAX, LEASE_MAX, SPAN_MAX};

pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    (any::<u32>(), any::<u64>(), body()).prop_map(|(epoch, stamp, body)| Packet {
        epoch,
        stamp: Stamp(stamp),
        body,
    })
}

fn body() -> impl Strategy<Value = Body> {
    let data = (any::<u64>(), 0..=u64::MAX / 2, vec(item(), 0..5));
    prop_oneof![
        text().prop_map(|reason| Body::Bye { reason }),
        (any::<u64>(), command()).prop_map(|(id, command)| Body::Command { id, command }),
        (any::<u64>(), outcome()).prop_map(|(id, outcome)| Body::Commanded { id, outcome }),
        data.prop_map(|(ack, first, items)| Body::Data { ack, first, items }),
        text().prop_map(|reason| Body::Gone { reason }),
        hello().prop_map(Body::Hello),
        (any::<u64>(), query()).prop_map(|(id, query)| Body::Inspect { id, query }),
        (any::<u64>(), answer()).prop_map(|(id, answer)| Body::Inspected { id, answer }),
        (refuse_code(), text()).prop_map(|(code, text)| Body::Refuse { code, text }),
        any::<(u64, u64)>().prop_map(|(sent, heard)| Body::Renew { sent, heard }),
        (any::<u64>(), span(LEASE_MAX)).prop_map(|(sent, length)| Body::RenewAck { sent, length }),
        members().prop_map(Body::View),
        report().prop_map(Body::Report),
        any::<(u32, u64, u32, bool)>().prop_map(|(epoch, reg, part, is_active)| {
            Body::ReportAck {
                epoch,
                reg,
                part,
                is_active,
            }
        }),
        welcome().prop_map(Body::Welcome),
    ]
}

fn members() -> impl Strategy<Value = Arc<View>> {
    let member = (name(), 1..=WEIGHT_MAX, any::<bool>());
    let members = vec(member, 0..4).prop_map(|members| {
        let members = members
            .into_iter()
            .zip(1..)
            .map(|((name, weight, leaving), reg)| Member {
                // No two may be the same.
                name: [&name[..name.len().min(100)], &[reg as u8]].concat(),
                reg,
                address: format!("10.0.0.{reg}:7600"),
                state: if leaving {
                    MemberState::Leaving
                } else {
                    MemberState::Full
                },
                weight,
            });
        members.collect::<Vec<_>>()
    });
    (any::<(u32, u32)>(), 1_u64..3_600, members).prop_map(|((epoch, founded), seconds, members)| {
        let view = View::new(epoch, Duration::from_secs(seconds), members);
        Arc::new(view.expect("it is within bounds").founded_in(founded))
    })
}

fn report() -> impl Strategy<Value = Report> {
    let past = (members(), option::of(span(SPAN_MAX)));
    let past = past.prop_map(|(view, remaining)| ReportedPast { view, remaining });
    let numbers = any::<(u32, u64, u32, bool)>();
    (numbers, vec(past, 0..3), vec(reported_book(), 0..3)).prop_map(
        |((epoch, reg, part, is_last), past, books)| Report {
            epoch,
            reg,
            part,
            is_last,
            past,
            books,
        },
    )
}

fn reported_book() -> impl Strategy<Value = ReportedBook> {
    let lessee = option::of(party()).prop_map(|party| party.map_or(Lessee::Unknown, Lessee::Party));
    let lent = (lessee, credit(), loan(), any::<u64>());
    let lent = lent.prop_map(|(lessee, credit, id, limit)| BookLoan {
        lessee,
        credit,
        id,
        limit,
    });
    let loans = vec((lent, span(SPAN_MAX)), 0..4);
    let root = any::<(u64, u64)>().prop_map(|(node, reg)| RootId {
        node: NodeId(node),
        reg,
    });
    let rest = (any::<u64>(), loan(), value(), colour(), vec(order(), 0..3));
    let head = (any::<u32>(), key(), any::<u32>(), vec(root, 0..3));
    (head, loans, rest).prop_map(|((type_id, key, version, given), loans, rest)| {
        let (fence, last_loan, value, colour, waiting) = rest;
        let (loans, remaining) = loans.into_iter().unzip();
        ReportedBook {
            type_id: TypeId(type_id),
            key,
            version,
            given,
            book: Book {
                loans,
                fence,
                last_loan,
                value,
                colour,
                waiting,
            },
            remaining,
        }
    })
}

fn hello() -> impl Strategy<Value = Hello> {
    let numbers = any::<(u32, u64, u64, u64, u64)>();
    (name(), numbers, any::<[u8; TICKET_BYTES]>()).prop_map(
        |(name, (version, boot, session, reg, next_expected), ticket)| Hello {
            version,
            name,
            boot: Boot(boot),
            ticket: Ticket(ticket),
            session,
            reg,
            next_expected,
        },
    )
}

fn welcome() -> impl Strategy<Value = Welcome> {
    let numbers = any::<(u32, u64, u64, u64)>();
    (name(), numbers, span(LEASE_MAX)).prop_map(|(name, numbers, lease)| {
        let (version, boot, reg, next_expected) = numbers;
        Welcome {
            version,
            name,
            boot: Boot(boot),
            reg,
            next_expected,
            lease: lease.max(Duration::from_nanos(1)),
        }
    })
}

fn refuse_code() -> impl Strategy<Value = RefuseCode> {
    prop_oneof![
        Just(RefuseCode::Version),
        Just(RefuseCode::Protocol),
        Just(RefuseCode::Limit),
        Just(RefuseCode::Stamp),
        Just(RefuseCode::Denied),
        Just(RefuseCode::Stopping),
    ]
}

pub(crate) fn item() -> impl Strategy<Value = Item> {
    (any::<u32>(), key(), message(), note()).prop_map(|(type_id, key, message, let_go)| Item {
        type_id: TypeId(type_id),
        let_go,
        key,
        message,
    })
}

fn message() -> impl Strategy<Value = Message<Opaque>> {
    prop_oneof![
        loan().prop_map(|loan| Message::AskLimit { loan }),
        (order(), blockers()).prop_map(|(order, blockers)| Message::Busy { order, blockers }),
        claim().prop_map(Message::Claim),
        claimed().prop_map(Message::Claimed),
        (order(), any::<u64>(), refusal(), blockers()).prop_map(
            |(order, version, why, blockers)| Message::Deny {
                order,
                version: Version(version),
                why,
                blockers,
            }
        ),
        grant().prop_map(Message::Grant),
        (loan(), any::<u64>()).prop_map(|(loan, limit)| Message::Limit { loan, limit }),
        (loan(), steps()).prop_map(|(loan, steps)| Message::Recall { loan, steps }),
        (loan(), credit(), any::<u64>(), value(), colour()).prop_map(
            |(loan, delta, fence, value, colour)| Message::Return {
                loan,
                delta,
                fence,
                value,
                colour,
            }
        ),
        (loan(), text()).prop_map(|(loan, reason)| Message::Revoke {
            loan,
            reason: reason.into(),
        }),
        (any::<u32>(), loan(), unclaimed()).prop_map(|(epoch, old, why)| Message::Unclaimed {
            epoch,
            old,
            why
        }),
        order().prop_map(|order| Message::Unwant { order }),
        want().prop_map(Message::Want),
    ]
}

fn grant() -> impl Strategy<Value = Grant<Opaque>> {
    let numbers = any::<(u64, u64, u64)>();
    let known = (value(), colour());
    (loan(), order(), credit(), steps(), numbers, known).prop_map(
        |(loan, order, delta, steps, (version, fence, limit), (value, colour))| Grant {
            loan,
            order,
            version: Version(version),
            delta,
            steps,
            fence,
            limit,
            value,
            colour,
        },
    )
}

fn claim() -> impl Strategy<Value = Claim<Opaque>> {
    let numbers = any::<(u32, u64)>();
    (loan(), credit(), numbers, value(), colour()).prop_map(
        |(loan, amount, (epoch, fence), value, colour)| Claim {
            epoch,
            loan,
            amount,
            fence,
            value,
            colour,
        },
    )
}

fn claimed() -> impl Strategy<Value = Claimed> {
    let numbers = any::<(u32, u64, u64)>();
    (loan(), loan(), numbers, value()).prop_map(|(old, loan, (epoch, fence, limit), value)| {
        Claimed {
            epoch,
            old,
            loan,
            fence,
            limit,
            value,
        }
    })
}

fn unclaimed() -> impl Strategy<Value = Unclaimed> {
    prop_oneof![Just(Unclaimed::Again), Just(Unclaimed::Refused)]
}

fn colour() -> impl Strategy<Value = Option<Colour>> {
    option::of(any::<u8>().prop_map(Colour))
}

fn value() -> impl Strategy<Value = Option<Arc<Value>>> {
    let state = prop_oneof![Just(ValueState::Sure), Just(ValueState::Doubtful)];
    let value = (any::<u64>(), state, vec(any::<u8>(), 0..40));
    option::of(value.prop_map(|(version, state, bytes)| {
        Arc::new(Value {
            version,
            state,
            bytes: bytes.into(),
        })
    }))
}

fn want() -> impl Strategy<Value = Want<Opaque>> {
    let deadline = option::of(span(SPAN_MAX));
    (
        order(),
        any::<u64>(),
        credit(),
        any::<bool>(),
        deadline,
        note(),
    )
        .prop_map(|(order, version, level, try_only, deadline, note)| Want {
            order,
            version: Version(version),
            level,
            try_only,
            deadline,
            note,
        })
}

fn steps() -> impl Strategy<Value = Steps<Opaque>> {
    let step = (order(), credit(), any::<bool>(), any::<bool>(), note()).prop_map(
        |(order, keep, try_only, whole, note)| Step {
            order,
            keep,
            try_only,
            whole,
            note,
        },
    );
    vec(step, 0..4).prop_map(Into::into)
}

fn blockers() -> impl Strategy<Value = Blockers> {
    let kind = prop_oneof![
        Just(BlockerKind::Holder),
        Just(BlockerKind::Older),
        Just(BlockerKind::Silent),
        Just(BlockerKind::Rule),
    ];
    let blocker =
        (party(), kind, note()).prop_map(|(party, kind, note)| Blocker { party, kind, note });
    vec(blocker, 0..=BLOCKERS_MAX).prop_map(Into::into)
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Busy),
        Just(Refusal::Deadline),
        Just(Refusal::Deadlock),
        Just(Refusal::Refused),
        Just(Refusal::ShuttingDown),
        Just(Refusal::NotAllowed),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let after = option::of((any::<u32>().prop_map(TypeId), key()));
    prop_oneof![
        (vec(any::<u8>(), 0..=255), after, any::<u32>()).prop_map(|(prefix, after, limit)| {
            Query::List {
                prefix,
                after,
                limit,
            }
        }),
        (any::<u32>().prop_map(TypeId), key())
            .prop_map(|(type_id, key)| Query::Show { type_id, key }),
        Just(Query::Status),
        Just(Query::Members),
        Just(Query::Health),
        Just(Query::Unknown),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Unknown),
        "[a-z ]{0,40}".prop_map(|text| Answer::NotAllowed { text }),
        (vec(summary(), 0..5), any::<bool>())
            .prop_map(|(resources, more)| Answer::List { resources, more }),
        option::of(view()).prop_map(Answer::Show),
        status().prop_map(Answer::Status),
        operators::members().prop_map(|view| Answer::Members(Box::new(view))),
        operators::health().prop_map(|view| Answer::Health(Box::new(view))),
    ]
}

fn summary() -> impl Strategy<Value = Summary> {
    let numbers = any::<(u32, u32, u32, u32)>();
    (text(), key(), numbers).prop_map(|(type_name, key, (type_id, holds, debtors, waiting))| {
        Summary {
            type_id: TypeId(type_id),
            type_name,
            key,
            holds,
            debtors,
            waiting,
        }
    })
}

fn view() -> impl Strategy<Value = ResourceView> {
    let numbers = any::<(u32, u32, u64)>();
    (text(), key(), vec(entry(), 0..5), numbers).prop_map(
        |(type_name, key, entries, (type_id, omitted, fence))| ResourceView {
            type_id: TypeId(type_id),
            type_name,
            key,
            entries,
            omitted,
            fence,
        },
    )
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        Just(EntryKind::Caches),
        Just(EntryKind::Holds),
        Just(EntryKind::Silent),
        Just(EntryKind::Waits),
    ];
    let texts = (text(), text(), text());
    let choices = (
        option::of(order()),
        option::of(any::<u64>()),
        option::of(loan()),
    );
    (kind, any::<(u64, u32)>(), texts, span(SPAN_MAX), choices).prop_map(
        |(kind, (node_id, guards), (node, mode, label), age, (order, fence, loan))| Entry {
            kind,
            node,
            node_id: NodeId(node_id),
            mode,
            label,
            age,
            order,
            fence,
            loan,
            guards,
        },
    )
}

fn status() -> impl Strategy<Value = StatusView> {
    let texts = (text(), text(), text());
    let spans = (span(SPAN_MAX), span(SPAN_MAX), span(SPAN_MAX));
    let counters = vec((text(), any::<u64>()), 0..5);
    let cluster = (operators::role(), operators::standing());
    let numbers = any::<(u32, u32, u64, u32, u32, bool)>();
    (texts, spans, counters, numbers, cluster).prop_map(
        |(texts, (lease, uptime, grace), counters, numbers, (role, standing))| {
            let (name, software, coordinator) = texts;
            let (epoch, sessions, resources, view_epoch, members, is_coordinator_connected) =
                numbers;
            StatusView {
                name,
                software,
                coordinator,
                epoch,
                lease,
                uptime,
                grace,
                sessions,
                resources,
                counters,
                role,
                standing,
                view_epoch,
                members,
                is_coordinator_connected,
            }
        },
    )
}

fn order() -> impl Strategy<Value = Order> {
    let class = prop_oneof![Just(Class::Convert), Just(Class::New)];
    (class, any::<u64>(), party(), any::<u64>()).prop_map(|(class, stamp, party, seq)| Order {
        class,
        stamp: Stamp(stamp),
        party,
        seq,
    })
}

fn party() -> impl Strategy<Value = Party> {
    any::<(u64, u64)>().prop_map(|(node, boot)| Party {
        node: NodeId(node),
        boot: Boot(boot),
    })
}

fn loan() -> impl Strategy<Value = LoanId> {
    any::<(u32, u32)>().prop_map(|(epoch, counter)| LoanId { epoch, counter })
}

fn note() -> impl Strategy<Value = Option<Arc<Note>>> {
    let trace = (any::<u128>(), any::<u64>(), any::<u8>());
    let trace = trace.prop_map(|(trace, span, flags)| TraceContext::new(trace, span, flags));
    option::of(
        (text(), text(), text(), trace)
            .prop_map(|(mode, label, node, trace)| Note::with_trace(&mode, &label, &node, trace)),
    )
}

fn credit() -> impl Strategy<Value = Opaque> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| Opaque(bytes.into()))
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..=255)
}

fn key() -> impl Strategy<Value = ResourceKey> {
    name().prop_map(|name| ResourceKey::new(&name).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..40).prop_map(|characters| characters.into_iter().collect())
}

fn span(max: Duration) -> impl Strategy<Value = Duration> {
    (0..=max.as_nanos() as u64).prop_map(Duration::from_nanos)
}
