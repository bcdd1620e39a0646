mod resume;

use super::*;
use crate::session::Ticket;
use crate::session::link::{ACK_DELAY, ACK_EVERY};
use crate::session::packet::RefuseCode;
use crate::session::sequence::{AckBeyondSent, Gap};
use crate::session::testing::{grant, ms, recall, want};
use SessionEffect::{
    Deliver, Disconnected, Ended, Established, Extended, Heard, JeopardyCleared, JeopardyStarted,
    Resumed, Silent, Void,
};

const L: Duration = Duration::from_secs(10);
/// `trust(L)` in milliseconds.
const TRUST: u64 = 9_780;
const BATCH: Window = Window {
    items: 3,
    bytes: usize::MAX,
};

/// A session and what it did.
struct Bench {
    session: DebtorSession,
    fx: SessionEffects,
}

impl Bench {
    fn new() -> Self {
        let config = DebtorConfig {
            name: b"web-1".to_vec(),
            boot: Boot(5),
            ticket: Ticket::default(),
            session: 1,
            reg: 0,
            window: Window::default(),
            patience: Duration::from_secs(3),
        };
        Self {
            session: DebtorSession::connect(ms(0), config),
            fx: SessionEffects::new(),
        }
    }

    /// Welcomed at 100 ms; the first renewal is not sent yet.
    fn welcomed() -> Self {
        let mut bench = Self::new();
        bench.sent(0);
        let effects = bench.packet(100, Body::Welcome(welcome()));
        assert_eq!(effects, [Established(welcome())]);
        bench
    }

    /// Trusted: the renewal sent at 100 ms was answered.
    fn live() -> Self {
        let mut bench = Self::welcomed();
        assert_eq!(bench.sent(100), [renew(100)]);
        let effects = bench.packet(110, ack(100));
        assert_eq!(effects, [extended(100)]);
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

    fn reconnect(&mut self, at: u64) -> Vec<SessionEffect> {
        self.session.reconnect(ms(at), &mut self.fx);
        self.fx.drain().collect()
    }

    fn disconnect(&mut self, at: u64) -> Vec<SessionEffect> {
        self.session.on_disconnect(ms(at), &mut self.fx);
        self.fx.drain().collect()
    }

    /// All that it has to say.
    fn sent(&mut self, at: u64) -> Vec<Body> {
        core::iter::from_fn(|| self.session.transmit(ms(at), BATCH)).collect()
    }
}

fn welcome() -> Welcome {
    Welcome {
        version: WIRE_VERSION,
        name: b"server".to_vec(),
        boot: Boot(6),
        reg: 9,
        next_expected: 1,
        lease: L,
    }
}

/// The hello over another connection.
fn again(next_expected: u64) -> Body {
    Body::Hello(Hello {
        version: WIRE_VERSION,
        name: b"web-1".to_vec(),
        boot: Boot(5),
        ticket: Ticket::default(),
        session: 1,
        reg: 9,
        next_expected,
    })
}

fn welcome_back(next_expected: u64) -> Body {
    Body::Welcome(Welcome {
        next_expected,
        ..welcome()
    })
}

/// A renewal at `at`, of a debtor that has heard the answer to the one at `heard`.
fn renew_after(at: u64, heard: Option<u64>) -> Body {
    Body::Renew {
        sent: ms(at).as_nanos(),
        heard: heard.map_or(0, |heard| ms(heard).as_nanos()),
    }
}

/// The first answer is to the renewal at 100.
fn renew(at: u64) -> Body {
    renew_after(at, (at > 100).then_some(100))
}

fn ack(at: u64) -> Body {
    Body::RenewAck {
        sent: ms(at).as_nanos(),
        length: L,
    }
}

fn extended(sent: u64) -> SessionEffect {
    Extended {
        deadline: ms(sent + TRUST),
    }
}

fn data(ack: u64, first: u64, items: &[Item]) -> Body {
    let items = items.to_vec();
    Body::Data { ack, first, items }
}

fn bye(why: &VoidReason) -> Body {
    Body::Bye {
        reason: why.to_string(),
    }
}

#[test]
fn it_says_hello_once_and_renews_as_soon_as_it_is_welcomed() {
    let mut bench = Bench::new();
    let hello = Hello {
        version: WIRE_VERSION,
        name: b"web-1".to_vec(),
        boot: Boot(5),
        ticket: Ticket::default(),
        session: 1,
        reg: 0,
        next_expected: 1,
    };
    assert_eq!(bench.sent(0), [Body::Hello(hello)]);
    assert_eq!(bench.sent(1), []);
    bench.packet(100, Body::Welcome(welcome()));
    assert_eq!(bench.sent(120), [renew_after(120, None)]);
    assert_eq!(bench.session.deadline(), None);
}

#[test]
fn the_first_answer_makes_what_is_borrowed_usable() {
    let mut bench = Bench::welcomed();
    bench.sent(120);
    assert!(!bench.session.is_trusted(ms(130)));
    assert_eq!(bench.packet(130, ack(120)), [extended(120)]);
    assert!(bench.session.is_trusted(ms(120 + TRUST - 1)));
    assert!(!bench.session.is_trusted(ms(120 + TRUST)));
}

#[test]
fn items_wait_for_the_welcome_and_go_after_the_renewal_in_few_packets() {
    let mut bench = Bench::new();
    for n in 1..=4 {
        bench.session.push(want(n)).unwrap();
    }
    assert_eq!(bench.sent(0).len(), 1);
    bench.packet(100, Body::Welcome(welcome()));
    let first = data(0, 1, &[want(1), want(2), want(3)]);
    assert_eq!(bench.sent(100), [renew(100), first, data(0, 4, &[want(4)])]);
    assert!(!bench.session.has_unsent());
}

#[test]
fn it_renews_every_quarter_of_the_lease_with_the_clock_of_the_sending() {
    let mut bench = Bench::live();
    assert_eq!(bench.session.next_tick(), Some(ms(2_600)));
    bench.tick(2_600);
    // The socket took nothing until now.
    assert_eq!(bench.sent(2_650), [renew(2_650)]);
    assert_eq!(bench.sent(2_650), []);
    assert_eq!(bench.packet(2_700, ack(2_650)), [extended(2_650)]);
}

#[test]
fn a_renewal_that_cannot_be_sent_causes_no_ticks() {
    let mut bench = Bench::live();
    bench.tick(2_600);
    assert_eq!(bench.session.next_tick(), Some(ms(110 + 5_000)));
}

#[test]
fn jeopardy_is_told_once_and_cleared_by_an_answer() {
    let mut bench = Bench::live();
    bench.tick(2_600);
    bench.sent(2_600);
    let deadline = ms(100 + TRUST);
    let jeopardy = 100 + TRUST - 2_500;
    assert_eq!(bench.tick(jeopardy - 1), [Silent]);
    assert_eq!(bench.tick(jeopardy), [JeopardyStarted { deadline }]);
    assert_eq!(bench.tick(jeopardy + 1), []);
    let cleared = bench.packet(jeopardy + 2, ack(2_600));
    assert_eq!(cleared, [Heard, extended(2_600), JeopardyCleared]);
}

#[test]
fn at_the_deadline_all_is_lost_and_the_creditor_is_left_to_wait() {
    let mut bench = Bench::live();
    bench.tick(5_110);
    bench.sent(5_110);
    bench.tick(9_000);
    assert_eq!(bench.tick(100 + TRUST - 1), []);
    assert_eq!(bench.session.next_tick(), Some(ms(100 + TRUST)));
    assert_eq!(bench.tick(100 + TRUST), [Void(VoidReason::Expired)]);
    assert_eq!(bench.sent(100 + TRUST), []);
    assert!(!bench.session.is_connected());
    assert_eq!(bench.session.next_tick(), None);
}

#[test]
fn an_answer_after_the_deadline_revives_nothing() {
    let mut bench = Bench::live();
    bench.tick(2_600);
    bench.sent(2_600);
    // It slept, and the packet is the first it sees.
    let effects = bench.packet(20_000, ack(2_600));
    assert_eq!(effects, [Void(VoidReason::Expired)]);
    assert_eq!(bench.packet(20_001, ack(2_600)), []);
    assert!(!bench.session.is_trusted(ms(200)));
}

#[test]
fn past_the_deadline_nothing_is_transmitted_until_the_loss_was_told() {
    let mut bench = Bench::live();
    bench.session.push(want(1)).unwrap();
    assert_eq!(bench.sent(100 + TRUST), []);
    assert!(bench.session.void_reason().is_none());
    assert_eq!(bench.tick(100 + TRUST), [Void(VoidReason::Expired)]);
    assert_eq!(bench.sent(100 + TRUST), []);
}

#[test]
fn without_a_welcome_or_a_first_answer_in_time_it_gives_up() {
    let mut bench = Bench::new();
    bench.sent(0);
    assert_eq!(bench.session.next_tick(), Some(ms(3_000)));
    assert_eq!(bench.tick(3_000), [Void(VoidReason::Unanswered)]);
    assert_eq!(bench.sent(3_000), [bye(&VoidReason::Unanswered)]);

    let mut bench = Bench::welcomed();
    bench.sent(100);
    bench.packet(3_000, data(0, 1, &[]));
    assert_eq!(bench.session.next_tick(), Some(ms(3_100)));
    assert_eq!(bench.tick(3_100), [Void(VoidReason::Unanswered)]);
}

#[test]
fn a_broken_connection_leaves_trust_until_the_deadline() {
    let mut bench = Bench::live();
    assert_eq!(
        bench.disconnect(200),
        [Disconnected(EndReason::Disconnected)]
    );
    assert!(bench.session.is_trusted(ms(100 + TRUST - 1)));
    assert!(!bench.session.is_connected() && bench.session.can_resume());
    // Nothing more comes in or goes out over that connection.
    bench.session.push(want(1)).unwrap();
    assert_eq!(bench.packet(300, ack(100)), []);
    assert_eq!(bench.sent(300), []);
    let deadline = ms(100 + TRUST);
    assert_eq!(bench.tick(9_000), [JeopardyStarted { deadline }]);
    assert_eq!(bench.tick(100 + TRUST), [Void(VoidReason::Expired)]);
    assert_eq!(bench.sent(100 + TRUST), []);
}

#[test]
fn a_connection_that_breaks_before_anything_can_be_borrowed_ends_the_session() {
    let disconnected = || Void(VoidReason::Ended(EndReason::Disconnected));
    assert_eq!(Bench::new().disconnect(1), [disconnected()]);
    assert_eq!(Bench::welcomed().disconnect(101), [disconnected()]);
}

#[test]
fn who_holds_nothing_after_a_broken_connection_ends_it_at_once() {
    let mut bench = Bench::live();
    bench.disconnect(200);
    bench.session.bye(ms(201), "done", &mut bench.fx);
    assert_eq!(bench.fx.as_slice(), [Void(VoidReason::Closed)]);
    assert_eq!(bench.sent(201), []);
    assert!(!bench.session.is_trusted(ms(201)));
}

#[test]
fn goodbye_is_the_last_packet_and_drops_what_was_not_sent() {
    let mut bench = Bench::live();
    bench.session.push(want(1)).unwrap();
    bench.session.bye(ms(300), "done", &mut bench.fx);
    let reason = "done".to_owned();
    assert!(bench.session.is_connected());
    assert_eq!(bench.sent(300), [Body::Bye { reason }]);
    assert!(!bench.session.is_connected());
}

#[test]
fn a_creditor_that_stops_leaves_trust_and_one_that_took_back_ends_it() {
    let reason = || "restart".to_owned();
    let mut bench = Bench::live();
    let stopped = bench.packet(200, Body::Bye { reason: reason() });
    assert_eq!(stopped, [Ended(EndReason::Bye { reason: reason() })]);
    assert!(bench.session.is_trusted(ms(201)));

    let mut bench = Bench::live();
    let gone = bench.packet(200, Body::Gone { reason: reason() });
    assert_eq!(gone, [Void(VoidReason::Gone { reason: reason() })]);
    assert!(!bench.session.is_trusted(ms(201)));
}

#[test]
fn a_refusal_is_passed_on_in_the_creditors_words() {
    let mut bench = Bench::new();
    bench.sent(0);
    let (code, text) = (RefuseCode::Limit, "full".to_owned());
    let refused = bench.packet(5, Body::Refuse { code, text });
    let text = "full".to_owned();
    let why = EndReason::Refused(Refusal { code, text });
    assert_eq!(refused, [Void(VoidReason::Ended(why))]);
    assert_eq!(bench.sent(5), []);
}

#[test]
fn items_are_delivered_once_and_acknowledged_with_the_next_ones() {
    let mut bench = Bench::live();
    let effects = bench.packet(200, data(0, 1, &[grant(1), recall()]));
    assert_eq!(effects, [Deliver(grant(1)), Deliver(recall())]);
    assert_eq!(bench.packet(201, data(0, 2, &[recall()])), []);
    bench.session.push(want(1)).unwrap();
    assert_eq!(bench.sent(202), [data(2, 1, &[want(1)])]);
    assert_eq!(bench.tick(400), []);
    assert_eq!(bench.sent(400), []);
}

#[test]
fn an_acknowledgement_goes_alone_after_a_short_while() {
    let mut bench = Bench::live();
    bench.packet(200, data(0, 1, &[grant(1)]));
    bench.packet(220, data(0, 2, &[recall()]));
    assert_eq!(bench.sent(220), []);
    let due = 200 + ACK_DELAY.as_millis() as u64;
    assert_eq!(bench.session.next_tick(), Some(ms(due)));
    bench.tick(due);
    assert_eq!(bench.sent(due), [data(2, 1, &[])]);
    assert_eq!(bench.sent(due), []);
}

#[test]
fn an_acknowledgement_goes_alone_after_many_items() {
    let mut bench = Bench::live();
    let many = vec![recall(); ACK_EVERY];
    bench.packet(200, data(0, 1, &many));
    assert_eq!(bench.sent(200), [data(ACK_EVERY as u64, 1, &[])]);
}

#[test]
fn it_goes_on_renewing_while_it_hears_nothing_and_says_what_it_heard_last() {
    let mut bench = Bench::live();
    bench.tick(2_600);
    assert_eq!(bench.sent(2_600), [renew_after(2_600, Some(100))]);
    // Half a lease after the answer at 110.
    assert_eq!(bench.tick(5_110), [Silent]);
    assert_eq!(bench.sent(5_110), [renew_after(5_110, Some(100))]);
    assert_eq!(bench.packet(5_300, ack(2_600)), [Heard, extended(2_600)]);
    bench.tick(7_700);
    assert_eq!(bench.sent(7_700), [renew_after(7_700, Some(2_600))]);
}

#[test]
fn a_full_window_refuses_further_items() {
    let mut bench = Bench::live();
    for n in 0..Window::default().items as u64 {
        bench.session.push(want(n)).unwrap();
    }
    assert!(bench.session.is_full());
    assert!(bench.session.push(want(0)).is_err());
    bench.sent(200);
    bench.packet(201, data(1, 1, &[]));
    assert!(bench.session.push(want(0)).is_ok());
}

/// What a live session says of each packet that breaks the rules.
#[test]
fn a_packet_that_breaks_the_rules_ends_the_connection_but_not_trust() {
    let unexpected = |packet| Misbehaviour::Unexpected { packet };
    let hello = match Bench::new().sent(0).remove(0) {
        Body::Hello(hello) => hello,
        other => panic!("no hello: {other:?}"),
    };
    let cases = [
        (Body::Hello(hello), unexpected("Hello")),
        (Body::Welcome(welcome()), unexpected("Welcome")),
        (renew(1), unexpected("Renew")),
        (data(1, 1, &[]), AckBeyondSent { ack: 1, sent: 0 }.into()),
        (
            data(0, 2, &[grant(1)]),
            Gap {
                first: 2,
                expected: 1,
            }
            .into(),
        ),
        (data(0, 1, &[want(1)]), Misbehaviour::WrongDirection),
    ];
    for (body, why) in cases {
        let mut bench = Bench::live();
        let effects = bench.packet(200, body);
        assert_eq!(effects, [Ended(EndReason::Misbehaved(why))]);
        assert!(bench.session.is_trusted(ms(201)) && !bench.session.is_connected());
    }
}

#[test]
fn a_bad_acknowledgement_delivers_nothing() {
    let mut bench = Bench::live();
    let effects = bench.packet(200, data(7, 1, &[grant(1)]));
    assert!(matches!(effects[..], [Ended(_)]), "{effects:?}");
}

#[test]
fn a_grant_before_the_first_answer_is_refused() {
    let mut bench = Bench::welcomed();
    assert_eq!(
        bench.packet(101, data(0, 1, &[recall()])),
        [Deliver(recall())]
    );
    let why = EndReason::Misbehaved(Misbehaviour::GrantBeforeAck);
    assert_eq!(
        bench.packet(102, data(0, 2, &[grant(1)])),
        [Void(VoidReason::Ended(why))]
    );
}

#[test]
fn a_welcome_that_fits_nothing_is_refused() {
    let version = Welcome {
        version: WIRE_VERSION + 1,
        ..welcome()
    };
    let resumed = Welcome {
        next_expected: 2,
        ..welcome()
    };
    let lease = Welcome {
        lease: Duration::ZERO,
        ..welcome()
    };
    for bad in [version, resumed, lease] {
        let mut bench = Bench::new();
        bench.sent(0);
        let effects = bench.packet(1, Body::Welcome(bad));
        assert!(
            matches!(
                effects[..],
                [Void(VoidReason::Ended(EndReason::Misbehaved(_)))]
            ),
            "{effects:?}"
        );
    }
}

#[test]
#[should_panic(expected = "other side of the loan")]
fn it_never_says_what_only_a_creditor_says() {
    let _ = Bench::live().session.push(grant(1));
}
