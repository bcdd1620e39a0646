//! What can be seen of servers and of this machine.
//!
//! Clocks are looked at several times in a row, and of these looks the one with the shortest round trip counts: the
//! server's clock was read somewhere within it, so half of it is the most that the comparison can be off.

use std::time::{Duration, SystemTime};

use rm_core::inspect::{Answer, HealthView, MembersView, Query, StatusView};
use rustix::process::{Resource, getrlimit};
use tokio::task::JoinSet;

use super::certificates::{self, Certificate};
use crate::Operator;
use crate::cli::connect::transport;
use crate::cli::contact::PATIENCE;
use crate::cli::exit::Failure;
use crate::clock::{BootClock, CLOCK_NAME, COUNTS_SUSPEND, stamp_now};

/// So often a clock is looked at in a row.
const LOOKS: usize = 5;

/// One address, and who answers there.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) address: String,
    /// What it says; why it does not.
    pub(super) seen: Result<Seen, String>,
}

/// What one server says.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: StatusView,
    pub(super) members: MembersView,
    /// `None`: it is too old to be asked.
    pub(super) health: Option<HealthView>,
    /// What it showed in the handshake, where there was one.
    pub(super) certificate: Option<Certificate>,
    /// The shortest, and the longest, of a few.
    pub(super) round_trip: Duration,
    pub(super) round_trip_max: Duration,
    pub(super) clocks: Option<Clocks>,
}

/// Its clocks beside those of this machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clocks {
    /// By how much its wall clock is ahead, in seconds.
    pub(super) wall_ahead: f64,
    /// The most by which that can be wrong.
    pub(super) wall_error: f64,
    /// By how much faster its lease clock runs: 0.01 is one per cent.
    pub(super) rate: f64,
    /// The most by which that can be wrong.
    pub(super) rate_error: f64,
}

/// What matters of the machine on which this runs.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) clock: &'static str,
    pub(super) counts_suspend: bool,
    pub(super) files_max: u64,
    pub(super) software: &'static str,
    /// By the clock of the wall, which certificates go by.
    pub(super) now: SystemTime,
    /// What this process was given.
    pub(super) certificates: Vec<Certificate>,
}

impl Machine {
    pub(super) fn this() -> Self {
        Self {
            clock: CLOCK_NAME,
            counts_suspend: COUNTS_SUSPEND,
            files_max: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
            software: env!("CARGO_PKG_VERSION"),
            now: SystemTime::now(),
            certificates: certificates::configured(),
        }
    }
}

/// One look at a server's clocks: in nanoseconds, ours in the middle of the round trip.
#[derive(Clone, Copy, Debug)]
struct Look {
    trip: u64,
    our_clock: u64,
    our_wall: u64,
    their_clock: u64,
    their_wall: u64,
}

/// Asks them all at once.
pub(super) async fn ask_all(addresses: impl IntoIterator<Item = String>) -> Vec<Probe> {
    let mut asked = JoinSet::new();
    for address in addresses {
        asked.spawn(async move {
            let seen = ask(&address).await.map_err(|failure| failure.error);
            Probe { address, seen }
        });
    }
    let mut probes = asked.join_all().await;
    probes.sort_by(|a, b| a.address.cmp(&b.address));
    probes
}

async fn ask(address: &str) -> Result<Seen, Failure> {
    let mut operator = Operator::connect_over(transport(), address, PATIENCE).await?;
    let certificate = operator.certificate();
    let certificate = certificate.map(|(subject, not_after)| Certificate {
        what: format!("its certificate {subject}"),
        not_after,
    });
    let Answer::Status(status) = operator.ask(Query::Status).await? else {
        return Err(crate::cli::contact::not_understood());
    };
    let mut trips = Vec::new();
    let mut members = MembersView::default();
    for _ in 0..LOOKS {
        let sent = BootClock::new().now();
        if let Answer::Members(view) = operator.ask(Query::Members).await? {
            members = *view;
        }
        trips.push(BootClock::new().now().since(sent));
    }
    let health = match operator.ask(Query::Health).await? {
        Answer::Health(health) => Some(*health),
        _ => None,
    };
    operator.close().await;
    Ok(Seen {
        status,
        members,
        health,
        certificate,
        round_trip: trips.iter().copied().min().unwrap_or_default(),
        round_trip_max: trips.into_iter().max().unwrap_or_default(),
        clocks: None,
    })
}

/// Looks at the clocks of all that answer, and after that time once more.
pub(super) async fn watch_clocks(probes: &mut [Probe], between: Duration) {
    let before = look_at_all(probes).await;
    tokio::time::sleep(between).await;
    let after = look_at_all(probes).await;
    for ((probe, before), after) in probes.iter_mut().zip(before).zip(after) {
        if let (Ok(seen), Some(before), Some(after)) = (&mut probe.seen, before, after) {
            seen.clocks = compare(before, after);
        }
    }
}

async fn look_at_all(probes: &[Probe]) -> Vec<Option<Look>> {
    let mut looks = Vec::new();
    for probe in probes {
        looks.push(match &probe.seen {
            Ok(_) => look(&probe.address).await,
            Err(_) => None,
        });
    }
    looks
}

/// The best of a few looks.
async fn look(address: &str) -> Option<Look> {
    let mut operator = Operator::connect_over(transport(), address, PATIENCE)
        .await
        .ok()?;
    let mut best: Option<Look> = None;
    for _ in 0..LOOKS {
        let (sent, wall) = (BootClock::new().now(), stamp_now());
        let Ok(Answer::Health(health)) = operator.ask(Query::Health).await else {
            break;
        };
        let trip = BootClock::new().now().since(sent).as_nanos() as u64;
        let look = Look {
            trip,
            our_clock: sent.as_nanos() + trip / 2,
            our_wall: wall.as_nanos() + trip / 2,
            their_clock: health.clock_nanos,
            their_wall: health.wall_nanos,
        };
        if best.is_none_or(|best| trip < best.trip) {
            best = Some(look);
        }
    }
    operator.close().await;
    best
}

/// `None` where no time passed on one of the clocks.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn compare(before: Look, after: Look) -> Option<Clocks> {
    let ours = after.our_clock.checked_sub(before.our_clock)?;
    let theirs = after.their_clock.checked_sub(before.their_clock)?;
    if ours == 0 {
        return None;
    }
    let best = if after.trip < before.trip {
        after
    } else {
        before
    };
    let trips = before.trip.midpoint(after.trip);
    Some(Clocks {
        wall_ahead: (best.their_wall as f64 - best.our_wall as f64) / 1e9,
        wall_error: best.trip as f64 / 2e9,
        rate: theirs as f64 / ours as f64 - 1.0,
        rate_error: trips as f64 / ours as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn look(our_clock: u64, their_clock: u64, trip: u64) -> Look {
        Look {
            trip,
            our_clock,
            our_wall: 1_000 * SECOND,
            their_clock,
            their_wall: 1_002 * SECOND,
        }
    }

    #[test]
    fn a_clock_that_gains_three_per_cent_is_seen_with_what_the_round_trips_leave_open() {
        let before = look(0, 50 * SECOND, SECOND / 100);
        let after = look(10 * SECOND, 50 * SECOND + 103 * SECOND / 10, SECOND / 50);
        let clocks = compare(before, after).unwrap();
        assert!((clocks.rate - 0.03).abs() < 1e-9);
        assert!((clocks.rate_error - 0.0015).abs() < 1e-9);
        assert!((clocks.wall_ahead - 2.0).abs() < 1e-9);
        assert!((clocks.wall_error - 0.005).abs() < 1e-9);
    }

    #[test]
    fn clocks_between_whose_looks_no_time_passed_are_not_compared() {
        assert_eq!(compare(look(5, 5, 1), look(5, 6, 1)), None);
    }
}
