use super::*;
use crate::session::Ticket;
use crate::session::testing::{grant, ms, recall, want};
use SessionEffect::{Deliver, Disconnected, Ended, Heard, Silent, Void};

const L: Duration = Duration::from_secs(10);
/// `wait(L)` in milliseconds.
const WAIT: u64 = 10_220;

/// A session accepted at 0, its welcome said, and what it did.
struct Bench {
    session: CreditorSession,
    fx: SessionEffects,
}

impl Bench {
    fn new() -> Self {
        let config = CreditorConfig {
            name: b"server".to_vec(),
            boot: Boot(6),
            reg: 9,
            terms: LeaseTerms::new(L).unwrap(),
            claimed: L,
            window: Window::default(),
        };
        let hello = Hello {
            version: WIRE_VERSION,
            name: b"web-1".to_vec(),
            boot: Boot(5),
            ticket: Ticket::default(),
            session: 3,
            reg: 0,
            next_expected: 1,
        };
        let mut bench = Self {
            session: CreditorSession::accept(ms(0), &config, &hello),
            fx: SessionEffects::new(),
        };
        let welcome = Welcome {
            version: WIRE_VERSION,
            name: b"server".to_vec(),
            boot: Boot(6),
            reg: 9,
            next_expected: 1,
            lease: L,
        };
        assert_eq!(bench.sent(), [Body::Welcome(welcome)]);
        assert_eq!(
            (bench.session.party().boot, bench.session.number()),
            (Boot(5), 3)
        );
        bench
    }

    /// A renewal received at 100 ms was answered.
    fn renewed() -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.packet(100, Body::Renew { sent: 77, heard: 0 }), []);
        assert_eq!(bench.sent(), [ack(77)]);
        bench
    }

    fn packet(&mut self, at: u64, body: Body) -> Vec<SessionEffect> {
        self.session.on_packet(ms(at), body, &mut self.fx);
        self.fx.drain().collect()
    }

    fn tick(&mut self, at: u64) -> Vec<SessionEffect> {
        self.session.on_tick(ms(at), &mut self.fx);
        let next = self.session.next_tick();
        assert!(
            next.is_none_or(|next| next > ms(at)),
            "at {at}: next {next:?}"
        );
        self.fx.drain().collect()
    }

    /// All that it has to say.
    fn sent(&mut self) -> Vec<Body> {
        let batch = Window::default();
        core::iter::from_fn(|| self.session.transmit(Membership::Good, batch)).collect()
    }
}

/// A hello that goes on with the session of the bench.
fn again(next_expected: u64) -> Hello {
    Hello {
        version: WIRE_VERSION,
        name: b"web-1".to_vec(),
        boot: Boot(5),
        ticket: Ticket::default(),
        session: 3,
        reg: 9,
        next_expected,
    }
}

/// The answer to it.
fn welcome(next_expected: u64) -> Body {
    Body::Welcome(Welcome {
        version: WIRE_VERSION,
        name: b"server".to_vec(),
        boot: Boot(6),
        reg: 9,
        next_expected,
        lease: L,
    })
}

fn ack(sent: u64) -> Body {
    Body::RenewAck { sent, length: L }
}

fn data(ack: u64, first: u64, items: &[Item]) -> Body {
    let items = items.to_vec();
    Body::Data { ack, first, items }
}

fn gone(why: &VoidReason) -> Body {
    Body::Gone {
        reason: why.to_string(),
    }
}

#[test]
fn what_was_lent_is_taken_back_a_wait_after_the_newest_renewal() {
    let mut bench = Bench::renewed();
    bench.packet(
        4_000,
        Body::Renew {
            sent: 78,
            heard: 77,
        },
    );
    assert_eq!(bench.session.take_back_at(), Some(ms(4_000 + WAIT)));
    assert_eq!(bench.tick(4_000 + WAIT - 1), [Silent]);
    assert_eq!(bench.tick(4_000 + WAIT), [Void(VoidReason::TakenBack)]);
    assert_eq!(bench.sent(), [gone(&VoidReason::TakenBack)]);
    assert_eq!(bench.session.take_back_at(), None);
    assert_eq!(bench.session.next_tick(), None);
    assert!(!bench.session.is_connected());
}

#[test]
fn a_debtor_that_never_renews_is_waited_for_and_lent_nothing() {
    let mut bench = Bench::new();
    assert!(!bench.session.may_lend(ms(1)));
    assert_eq!(bench.session.take_back_at(), Some(ms(WAIT)));
    assert_eq!(bench.tick(WAIT), [Void(VoidReason::TakenBack)]);
}

#[test]
fn the_newest_renewal_is_answered_before_any_item() {
    let mut bench = Bench::new();
    bench.packet(100, Body::Renew { sent: 77, heard: 0 });
    bench.packet(
        101,
        Body::Renew {
            sent: 78,
            heard: 77,
        },
    );
    bench.session.push(grant(1)).unwrap();
    assert_eq!(bench.sent(), [ack(78), data(0, 1, &[grant(1)])]);
}

#[test]
fn a_suspended_creditor_answers_no_renewal_until_it_is_good_again() {
    let mut bench = Bench::new();
    bench.packet(100, Body::Renew { sent: 77, heard: 0 });
    let suspended = bench
        .session
        .transmit(Membership::Suspended, Window::default());
    assert_eq!(suspended, None);
    assert_eq!(bench.sent(), [ack(77)]);
}

#[test]
fn a_creditor_that_has_borrowed_gives_no_more_than_it_is_given_and_waits_no_longer() {
    let mut bench = Bench::new();
    bench.packet(100, Body::Renew { sent: 77, heard: 0 });
    let mut answer = |span| {
        let membership = Membership::Within(Duration::from_secs(span));
        bench.session.transmit(membership, Window::default())
    };
    assert_eq!(answer(0), None, "it has nothing to give");
    let length = Duration::from_millis(4_900);
    assert_eq!(answer(5), Some(Body::RenewAck { sent: 77, length }));
    // 100 ms, 1.02 times the length, and the guard.
    assert_eq!(bench.session.take_back_at(), Some(ms(100 + 4_998 + 20)));
    bench.packet(
        200,
        Body::Renew {
            sent: 78,
            heard: 77,
        },
    );
    let most = bench
        .session
        .transmit(Membership::Within(Duration::MAX), Window::default());
    assert_eq!(most, Some(ack(78)));
}

#[test]
fn a_renewal_read_before_the_timers_saves_a_lease_that_ran_out() {
    let mut bench = Bench::renewed();
    bench.packet(
        30_000,
        Body::Renew {
            sent: 78,
            heard: 77,
        },
    );
    assert_eq!(bench.tick(30_000), []);
    assert_eq!(bench.sent(), [ack(78)]);
}

#[test]
fn a_renewal_after_taking_back_is_not_answered() {
    let mut bench = Bench::renewed();
    bench.tick(100 + WAIT);
    assert_eq!(
        bench.packet(
            100 + WAIT,
            Body::Renew {
                sent: 78,
                heard: 77
            }
        ),
        []
    );
    assert_eq!(bench.sent(), [gone(&VoidReason::TakenBack)]);
    assert_eq!(bench.sent(), []);
}

#[test]
fn a_broken_connection_ends_nothing_before_the_lease_does() {
    let mut bench = Bench::renewed();
    bench.session.on_disconnect(&mut bench.fx);
    assert_eq!(
        bench.fx.drain().collect::<Vec<_>>(),
        [Disconnected(EndReason::Disconnected)]
    );
    assert_eq!(bench.session.next_tick(), Some(ms(100 + WAIT)));
    assert!(!bench.session.may_lend(ms(200)));
    // What is said waits for another connection.
    bench.session.push(grant(1)).unwrap();
    assert!(bench.session.has_unsent() && !bench.session.is_connected());
    assert_eq!(bench.sent(), []);
    assert_eq!(bench.tick(100 + WAIT), [Void(VoidReason::TakenBack)]);
    assert_eq!(bench.sent(), []);
}

#[test]
fn goodbye_and_a_later_session_end_it_at_once() {
    let mut bench = Bench::renewed();
    let reason = || "done".to_owned();
    let bye = bench.packet(200, Body::Bye { reason: reason() });
    assert_eq!(bye, [Void(VoidReason::Bye { reason: reason() })]);
    assert_eq!(bench.session.take_back_at(), None);
    assert_eq!(bench.sent(), []);

    let mut bench = Bench::renewed();
    bench.session.on_disconnect(&mut bench.fx);
    bench.fx = SessionEffects::new();
    bench.session.on_superseded(&mut bench.fx);
    assert_eq!(bench.fx.as_slice(), [Void(VoidReason::Superseded)]);
}

#[test]
fn a_creditor_that_stops_says_so_and_still_waits_for_the_lease() {
    let mut bench = Bench::renewed();
    bench.packet(
        150,
        Body::Renew {
            sent: 78,
            heard: 77,
        },
    );
    bench.session.bye("restart", &mut bench.fx);
    assert_eq!(
        bench.fx.drain().collect::<Vec<_>>(),
        [Ended(EndReason::Closed)]
    );
    let reason = "restart".to_owned();
    assert_eq!(bench.sent(), [Body::Bye { reason }]);
    assert_eq!(bench.session.take_back_at(), Some(ms(150 + WAIT)));
}

#[test]
fn over_another_connection_both_go_on_where_the_other_left_off() {
    let mut bench = Bench::renewed();
    for n in 1..=3 {
        bench.session.push(grant(n)).unwrap();
    }
    bench.sent();
    bench.packet(150, data(1, 1, &[want(1), want(2)]));
    bench.session.on_disconnect(&mut bench.fx);
    bench.session.push(grant(4)).unwrap();
    bench.fx = SessionEffects::new();
    // The second was received, though its acknowledgement was lost.
    let resumed = bench.session.resume(ms(200), &again(3), &mut bench.fx);
    assert_eq!((resumed, bench.fx.as_slice()), (Ok(()), &[][..]));
    let rest = data(2, 3, &[grant(3), grant(4)]);
    assert_eq!(bench.sent(), [welcome(3), rest]);
    // What the debtor sends again is delivered once.
    let effects = bench.packet(210, data(4, 2, &[want(2), want(3)]));
    assert_eq!(effects, [Deliver(want(3)), Heard]);
}

#[test]
fn over_another_connection_it_lends_only_after_a_new_proof_that_it_is_heard() {
    let mut bench = Bench::renewed();
    bench.session.on_disconnect(&mut bench.fx);
    bench
        .session
        .resume(ms(200), &again(1), &mut bench.fx)
        .unwrap();
    bench.sent();
    assert!(!bench.session.may_lend(ms(201)));
    bench.fx = SessionEffects::new();
    // It has heard no further answer, but the welcome.
    let renewal = Body::Renew {
        sent: 78,
        heard: 77,
    };
    assert_eq!(bench.packet(210, renewal), [Heard]);
    assert!(bench.session.may_lend(ms(211)));
    assert_eq!(bench.sent(), [ack(78)]);
    assert_eq!(bench.session.take_back_at(), Some(ms(210 + WAIT)));
}

#[test]
fn another_connection_alone_is_no_renewal() {
    let mut bench = Bench::renewed();
    for at in (200..100 + WAIT).step_by(100) {
        bench
            .session
            .resume(ms(at), &again(1), &mut bench.fx)
            .unwrap();
    }
    assert_eq!(bench.session.take_back_at(), Some(ms(100 + WAIT)));
    bench.fx = SessionEffects::new();
    assert_eq!(bench.tick(100 + WAIT), [Void(VoidReason::TakenBack)]);
}

#[test]
fn a_later_connection_takes_the_place_of_one_that_still_stands() {
    let mut bench = Bench::renewed();
    // Its answer would go over the earlier one.
    bench.packet(
        150,
        Body::Renew {
            sent: 78,
            heard: 77,
        },
    );
    bench
        .session
        .resume(ms(200), &again(1), &mut bench.fx)
        .unwrap();
    let effects: Vec<_> = bench.fx.drain().collect();
    assert_eq!(effects, [Disconnected(EndReason::Replaced)]);
    assert_eq!(bench.sent(), [welcome(1)]);
}

#[test]
fn a_hello_that_expects_what_there_is_not_changes_nothing() {
    let mut bench = Bench::renewed();
    for n in 1..=3 {
        bench.session.push(grant(n)).unwrap();
    }
    bench.sent();
    bench.packet(150, data(2, 1, &[]));
    let before = bench.session.clone();
    for next_expected in [1, 2, 5, u64::MAX] {
        let resumed = bench
            .session
            .resume(ms(200), &again(next_expected), &mut bench.fx);
        assert!(resumed.is_err(), "{next_expected}");
    }
    assert_eq!((&bench.session, bench.fx.is_empty()), (&before, true));
}

#[test]
fn what_ended_or_was_taken_back_does_not_go_on() {
    let ends: [fn(&mut Bench); 4] = [
        |bench| bench.session.bye("restart", &mut bench.fx),
        |bench| bench.session.on_tick(ms(100 + WAIT), &mut bench.fx),
        |bench| bench.session.on_superseded(&mut bench.fx),
        |bench| {
            let why = String::new();
            bench
                .session
                .abandon(EndReason::Wronged { why }, &mut bench.fx);
        },
    ];
    for end in ends {
        let mut bench = Bench::renewed();
        end(&mut bench);
        let resumed = bench.session.resume(ms(20_000), &again(1), &mut bench.fx);
        assert_eq!(resumed, Err(CannotResume::Over));
        assert!(!bench.session.can_resume() && !bench.session.is_open());
    }
}

#[test]
fn it_lends_within_half_a_lease_of_a_renewal_or_a_new_acknowledgement() {
    let mut bench = Bench::renewed();
    assert!(bench.session.may_lend(ms(5_099)));
    assert!(!bench.session.may_lend(ms(5_100)));
    bench.session.push(grant(1)).unwrap();
    bench.sent();
    // A packet that acknowledges nothing new proves nothing.
    let effects = bench.packet(6_000, data(0, 1, &[want(1)]));
    assert_eq!(effects, [Deliver(want(1))]);
    assert!(!bench.session.may_lend(ms(6_000)));
    bench.packet(7_000, data(1, 2, &[]));
    assert!(bench.session.may_lend(ms(11_999)) && !bench.session.may_lend(ms(12_000)));
}

#[test]
fn silence_is_told_once_and_ended_by_the_next_packet() {
    let mut bench = Bench::renewed();
    assert_eq!(bench.session.next_tick(), Some(ms(5_100)));
    assert_eq!(bench.tick(5_100), [Silent]);
    assert_eq!(bench.tick(5_200), []);
    assert_eq!(
        bench.packet(
            6_000,
            Body::Renew {
                sent: 78,
                heard: 77
            }
        ),
        [Heard]
    );
    assert_eq!(bench.tick(11_000), [Silent]);
}

#[test]
fn a_debtor_that_breaks_the_rules_is_told_and_still_waited_for() {
    let unexpected = |packet| Misbehaviour::Unexpected { packet };
    let hello = match crate::session::DebtorSession::connect(
        ms(0),
        crate::session::DebtorConfig {
            name: b"web-1".to_vec(),
            boot: Boot(5),
            ticket: Ticket::default(),
            session: 3,
            reg: 0,
            window: Window::default(),
            patience: L,
        },
    )
    .transmit(ms(0), Window::default())
    {
        Some(Body::Hello(hello)) => hello,
        other => panic!("no hello: {other:?}"),
    };
    let cases = [
        (Body::Hello(hello), unexpected("Hello")),
        (ack(1), unexpected("RenewAck")),
        (
            Body::Gone {
                reason: String::new(),
            },
            unexpected("Gone"),
        ),
        (data(0, 1, &[recall()]), Misbehaviour::WrongDirection),
    ];
    for (body, why) in cases {
        let mut bench = Bench::renewed();
        let text = format!("the debtor {why}");
        let effects = bench.packet(200, body);
        assert_eq!(effects, [Ended(EndReason::Misbehaved(why))]);
        let code = RefuseCode::Protocol;
        assert_eq!(bench.sent(), [Body::Refuse { code, text }]);
        assert!(!bench.session.is_connected());
        assert_eq!(bench.session.take_back_at(), Some(ms(100 + WAIT)));
    }
}

#[test]
fn a_renewal_that_says_nothing_new_was_heard_proves_nothing() {
    let mut bench = Bench::renewed();
    assert!(bench.session.may_lend(ms(5_099)));
    bench.packet(4_000, Body::Renew { sent: 78, heard: 0 });
    assert!(!bench.session.may_lend(ms(5_100)));
    bench.packet(
        5_200,
        Body::Renew {
            sent: 79,
            heard: 78,
        },
    );
    assert!(bench.session.may_lend(ms(5_200)));
}

#[test]
fn what_was_lent_under_a_longer_lease_and_claimed_is_not_taken_back_before_that_is_over() {
    let mut lease = CreditorLease::new(Time::ZERO, LeaseTerms::new(L).unwrap());
    let claimed = Time::from_nanos(1_000_000_000);
    lease.on_claim(claimed, 2 * L);
    let until = claimed.after(LeaseTerms::wait(2 * L));
    assert_eq!(lease.take_back_at(), until);
    // An answer gives no more than this life's lease, and takes nothing from what is claimed.
    lease.on_renew(claimed);
    lease.on_answer(L);
    assert_eq!(lease.take_back_at(), until);
}
