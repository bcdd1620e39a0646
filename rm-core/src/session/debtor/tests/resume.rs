//! Sessions that go on over another connection.

use super::*;
use crate::session::packet::RefuseCode;
use crate::session::sequence::CannotResume;

#[test]
fn over_another_connection_it_says_what_it_expects_and_sends_again_what_is_missing() {
    let mut bench = Bench::live();
    for n in 1..=3 {
        bench.session.push(want(n)).unwrap();
    }
    bench.sent(200);
    bench.packet(210, data(1, 1, &[grant(1)]));
    bench.disconnect(220);
    bench.session.push(want(4)).unwrap();
    assert_eq!(bench.reconnect(300), []);
    assert_eq!(bench.sent(300), [again(2)]);
    assert_eq!(bench.sent(301), []);
    // The second came, though its acknowledgement was lost.
    let back = bench.packet(310, welcome_back(3));
    assert_eq!(back, [Resumed, Heard]);
    let rest = data(1, 3, &[want(3), want(4)]);
    assert_eq!(bench.sent(320), [renew(320), rest]);
    // And what the creditor sends again is delivered once.
    let effects = bench.packet(330, data(4, 1, &[grant(1), recall()]));
    assert_eq!(effects, [Deliver(recall())]);
    assert_eq!(bench.packet(340, ack(320)), [extended(320)]);
}

#[test]
fn an_answer_that_was_lost_with_its_connection_costs_no_trust_and_no_renewal() {
    let mut bench = Bench::live();
    bench.tick(2_600);
    assert_eq!(bench.sent(2_600), [renew(2_600)]);
    bench.disconnect(2_610);
    bench.reconnect(2_620);
    bench.sent(2_620);
    bench.packet(2_630, welcome_back(1));
    assert_eq!(bench.sent(2_630), [renew(2_630)]);
    assert_eq!(bench.packet(2_640, ack(2_630)), [extended(2_630)]);
    assert_eq!(bench.session.next_tick(), Some(ms(2_630 + 2_500)));
}

#[test]
fn a_connection_that_breaks_or_is_not_answered_is_followed_by_another() {
    let mut bench = Bench::live();
    bench.disconnect(200);
    bench.reconnect(300);
    assert_eq!(
        bench.disconnect(310),
        [Disconnected(EndReason::Disconnected)]
    );
    bench.reconnect(400);
    bench.sent(400);
    // A quarter of the lease, which is less than its patience.
    assert_eq!(bench.session.next_tick(), Some(ms(2_900)));
    assert_eq!(bench.tick(2_900), [Disconnected(EndReason::Unanswered)]);
    assert!(!bench.session.is_connected());
    bench.reconnect(3_000);
    assert_eq!(bench.sent(3_000), [again(1)]);
    let (code, text) = (RefuseCode::Limit, "full".to_owned());
    let refused = bench.packet(3_010, Body::Refuse { code, text });
    assert!(matches!(refused[..], [Disconnected(EndReason::Refused(_))]));
    bench.reconnect(3_100);
    assert_eq!(bench.sent(3_100), [again(1)]);
    assert_eq!(bench.packet(3_110, welcome_back(1)), [Resumed, Heard]);
}

#[test]
fn a_creditor_that_knows_nothing_of_it_leaves_trust_until_the_deadline() {
    let mut bench = Bench::live();
    bench.disconnect(200);
    bench.reconnect(300);
    bench.sent(300);
    let reason = || "never heard of it".to_owned();
    let gone = bench.packet(310, Body::Gone { reason: reason() });
    assert_eq!(gone, [Ended(EndReason::Gone { reason: reason() })]);
    assert!(bench.session.is_trusted(ms(311)) && !bench.session.can_resume());
    assert_eq!(bench.reconnect(400), []);
    assert_eq!(bench.sent(400), []);
    bench.tick(9_000);
    assert_eq!(bench.tick(100 + TRUST), [Void(VoidReason::Expired)]);
}

#[test]
fn a_creditor_that_forgot_what_it_acknowledged_ends_the_session() {
    let mut bench = Bench::live();
    bench.session.push(want(1)).unwrap();
    bench.sent(200);
    bench.packet(210, data(1, 1, &[]));
    bench.disconnect(220);
    bench.reconnect(300);
    bench.sent(300);
    let why = VoidReason::Gap(CannotResume::Forgotten {
        next_expected: 1,
        acked: 1,
    });
    assert_eq!(bench.packet(310, welcome_back(1)), [Void(why.clone())]);
    assert_eq!(bench.sent(310), [bye(&why)]);
}

#[test]
fn a_creditor_that_expects_what_was_never_sent_ends_the_session() {
    for next_expected in [2, u64::MAX] {
        let mut bench = Bench::live();
        bench.disconnect(220);
        bench.reconnect(300);
        bench.sent(300);
        let effects = bench.packet(310, welcome_back(next_expected));
        assert!(
            matches!(effects[..], [Void(VoidReason::Gap(_))]),
            "{effects:?}"
        );
    }
}

#[test]
fn it_goes_on_with_no_other_creditor_and_on_no_other_terms() {
    let (mut boot, mut reg, mut lease) = (welcome(), welcome(), welcome());
    boot.boot = Boot(7);
    reg.reg += 1;
    lease.lease = L * 2;
    for other in [boot, reg, lease] {
        let mut bench = Bench::live();
        bench.disconnect(200);
        bench.reconnect(300);
        bench.sent(300);
        let effects = bench.packet(310, Body::Welcome(other));
        let why = EndReason::Misbehaved(Misbehaviour::WrongSession);
        assert_eq!(effects, [Ended(why)]);
        assert!(bench.session.is_trusted(ms(311)));
    }
}

#[test]
fn nothing_but_an_answer_to_its_hello_comes_over_another_connection() {
    for body in [data(0, 1, &[grant(1)]), ack(100), renew(1)] {
        let mut bench = Bench::live();
        bench.disconnect(200);
        bench.reconnect(300);
        bench.sent(300);
        let effects = bench.packet(310, body);
        assert!(
            matches!(effects[..], [Ended(EndReason::Misbehaved(_))]),
            "{effects:?}"
        );
    }
}

#[test]
fn another_connection_revives_nothing() {
    let mut bench = Bench::live();
    bench.disconnect(200);
    assert_eq!(bench.reconnect(100 + TRUST), [Void(VoidReason::Expired)]);
    assert_eq!(bench.sent(100 + TRUST), []);
    let mut bench = Bench::live();
    bench.disconnect(200);
    bench.reconnect(300);
    bench.sent(300);
    let late = bench.packet(100 + TRUST, welcome_back(1));
    assert_eq!(late, [Void(VoidReason::Expired)]);
}

#[test]
fn who_says_goodbye_while_it_reconnects_is_understood_or_says_nothing() {
    for (said, words) in [(false, 0), (true, 1)] {
        let mut bench = Bench::live();
        bench.disconnect(200);
        bench.reconnect(300);
        if said {
            bench.sent(300);
        }
        bench.session.bye(ms(310), "done", &mut bench.fx);
        assert_eq!(bench.sent(310).len(), words);
    }
}
