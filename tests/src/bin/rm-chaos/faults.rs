//! The schedule of faults: what breaks, when, and for how long. All of it follows from the seed and the layout.
//!
//! The kinds of fault that the layout allows are dealt from a shuffled deck, so that even a short run meets each of them. A
//! fault begins some time after the one before it, whether that is over or not: they overlap, as they do in
//! life. Two faults never act on one *process* at the same time; cuts of links may overlap with anything.
//! Some last a fraction of a lease, which nobody may notice, and some longer than one.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::place::{Coordinator, Group, Layout, Place};

/// A fault begins so long after the one before, in parts of a thousand of a lease.
const GAP: std::ops::Range<u64> = 300..1_100;
/// A short fault lasts so long, in the same unit, and a long one so long.
const SHORT: std::ops::Range<u64> = 150..600;
const LONG: std::ops::Range<u64> = 1_100..2_000;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// After the beginning of the faulty phase.
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    /// The other end of a link that is cut; `None`: every other place.
    pub(crate) other: Option<Place>,
}

/// What breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A process is killed, and started again at the end of the fault.
    Kill(Group),
    /// It is told to stop, and started again.
    Restart(Group),
    /// It is stopped in its tracks, and goes on.
    Pause(Group),
    /// Its packets are dropped: to and from everybody.
    CutOff(Group, Way),
    /// Packets between two are dropped.
    CutApart(Group, Group, Way),
    /// What it sends and gets takes longer.
    Slow(Group),
}

/// Which packets, as seen by the (first) place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    Both,
    In,
    Out,
}

/// What the network can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Cut a client off, or two places apart.
    pub(crate) any_link: bool,
    /// Delay packets.
    pub(crate) slow: bool,
}

/// All faults of a run, in the order in which they begin. None begins after `span`; some end later.
pub(crate) fn plan(
    seed: u64,
    layout: &Layout,
    abilities: Abilities,
    lease: Duration,
    span: Duration,
) -> Vec<Fault> {
    let mut random = fastrand::Rng::with_seed(seed);
    let of_lease = |random: &mut fastrand::Rng, range| {
        lease * u32::try_from(random.u64(range)).expect("a few thousand") / 1_000
    };
    let mut faults: Vec<Fault> = Vec::new();
    let mut hand = Vec::new();
    let mut at = of_lease(&mut random, GAP);
    while at < span {
        if hand.is_empty() {
            hand = deck(layout, abilities);
            random.shuffle(&mut hand);
        }
        let kind: Kind = hand.pop().expect("no layout is without faults");
        let length = if random.bool() { SHORT } else { LONG };
        let lasts = of_lease(&mut random, length);
        let before = faults.len();
        for _ in 0..struck_together(layout, kind) {
            let (place, other) = draw_places(&mut random, layout, kind);
            let fault = Fault {
                at,
                lasts,
                kind,
                place,
                other,
            };
            if !faults.iter().any(|other| other.excludes(&fault)) {
                faults.push(fault);
            }
        }
        if faults.len() > before {
            at += of_lease(&mut random, GAP);
        }
    }
    faults
}

/// Each kind as often as it comes in one deal.
fn deck(layout: &Layout, abilities: Abilities) -> Vec<Kind> {
    use Group::{Client, Etcd, Server};
    let mut deck = vec![
        Kind::Kill(Server),
        Kind::Kill(Server),
        Kind::Restart(Server),
        Kind::Pause(Server),
        Kind::CutOff(Server, Way::Both),
        Kind::CutOff(Server, Way::In),
        Kind::CutOff(Server, Way::Out),
        Kind::Kill(Client),
        Kind::Kill(Client),
        Kind::Restart(Client),
        Kind::Pause(Client),
        Kind::Pause(Client),
        Kind::Pause(Client),
        Kind::Pause(Client),
    ];
    if abilities.any_link {
        let ways = [Way::Both, Way::In, Way::Out];
        deck.extend(ways.map(|way| Kind::CutOff(Client, way)));
    }
    if abilities.slow {
        deck.push(Kind::Slow(Server));
    }
    if layout.coordinator == Coordinator::Etcd {
        deck.extend([Kind::Kill(Etcd), Kind::Pause(Etcd)]);
        deck.push(Kind::CutApart(Server, Etcd, Way::Both));
        deck.push(Kind::CutApart(Server, Etcd, Way::Out));
    }
    if layout.servers > 1 && abilities.any_link {
        deck.push(Kind::CutApart(Server, Server, Way::Both));
        deck.push(Kind::CutApart(Server, Server, Way::Out));
        deck.push(Kind::CutApart(Client, Server, Way::Both));
        deck.push(Kind::CutApart(Client, Server, Way::In));
    }
    deck
}

/// How many places a fault strikes at once, at most. Of clients it is a third, as if they were on one machine: a lock that one of
/// them holds is then likely to be wanted by another.
const fn struck_together(layout: &Layout, kind: Kind) -> usize {
    match kind {
        Kind::Kill(Group::Client) | Kind::Pause(Group::Client) | Kind::CutOff(Group::Client, _) => {
            layout.clients.div_ceil(3)
        }
        Kind::Kill(_)
        | Kind::Restart(_)
        | Kind::Pause(_)
        | Kind::CutOff(..)
        | Kind::CutApart(..)
        | Kind::Slow(_) => 1,
    }
}

fn draw_places(random: &mut fastrand::Rng, layout: &Layout, kind: Kind) -> (Place, Option<Place>) {
    let mut one_of = |mut places: Vec<Place>| places.swap_remove(random.usize(0..places.len()));
    match kind {
        Kind::Kill(group)
        | Kind::Restart(group)
        | Kind::Pause(group)
        | Kind::CutOff(group, _)
        | Kind::Slow(group) => (one_of(layout.of(group)), None),
        Kind::CutApart(group, other, _) => {
            let place = one_of(layout.of(group));
            let mut others = layout.of(other);
            others.retain(|&other| other != place);
            (place, Some(one_of(others)))
        }
    }
}

impl Fault {
    const fn acts_on_process(&self) -> bool {
        match self.kind {
            Kind::Kill(_) | Kind::Restart(_) | Kind::Pause(_) => true,
            Kind::CutOff(..) | Kind::CutApart(..) | Kind::Slow(_) => false,
        }
    }

    /// Whether `later` cannot begin while this one lasts: both act on one process, or are the same.
    fn excludes(&self, later: &Self) -> bool {
        let both_act = self.acts_on_process() && later.acts_on_process();
        let is_same = self.kind == later.kind && self.at == later.at;
        (both_act || is_same) && self.place == later.place && later.at <= self.at + self.lasts
    }

    /// The directed links that it acts on: from whom, to whom.
    pub(crate) fn links(&self, layout: &Layout) -> Vec<(Place, Place)> {
        let way = match self.kind {
            Kind::Kill(_) | Kind::Restart(_) | Kind::Pause(_) => return Vec::new(),
            Kind::CutOff(_, way) | Kind::CutApart(_, _, way) => way,
            Kind::Slow(_) => Way::Both,
        };
        let others = match self.other {
            Some(other) => vec![other],
            None => layout.places(),
        };
        let mut links = Vec::new();
        for other in others.into_iter().filter(|&other| other != self.place) {
            if way != Way::In {
                links.push((self.place, other));
            }
            if way != Way::Out {
                links.push((other, self.place));
            }
        }
        links
    }
}

impl Display for Way {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "both ways",
            Self::In => "inward",
            Self::Out => "outward",
        })
    }
}

impl Display for Kind {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(group) => write!(f, "{group} killed"),
            Self::Restart(group) => write!(f, "{group} restarted"),
            Self::Pause(group) => write!(f, "{group} paused"),
            Self::CutOff(group, way) => write!(f, "{group} cut off, {way}"),
            Self::CutApart(one, other, way) => write!(f, "{one} cut from {other}, {way}"),
            Self::Slow(group) => write!(f, "{group} slow"),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(
            f,
            "{at:>8.2} s  for {lasts:>5.2} s  {}: {}",
            self.kind, self.place
        )?;
        match self.other {
            Some(other) => write!(f, " and {other}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(3);
    const ALL: Abilities = Abilities {
        any_link: true,
        slow: true,
    };
    const CLUSTER: Layout = Layout {
        servers: 3,
        clients: 10,
        coordinator: Coordinator::Etcd,
    };

    fn long_plan(seed: u64) -> Vec<Fault> {
        plan(seed, &CLUSTER, ALL, LEASE, Duration::from_secs(600))
    }

    #[test]
    fn a_seed_gives_one_schedule_and_another_seed_another() {
        assert_eq!(long_plan(7), long_plan(7));
        assert_ne!(long_plan(7), long_plan(8));
    }

    #[test]
    fn a_long_run_meets_every_kind() {
        let plan = long_plan(1);
        for kind in deck(&CLUSTER, ALL) {
            assert!(plan.iter().any(|fault| fault.kind == kind), "no {kind}");
        }
    }

    #[test]
    fn no_process_suffers_two_faults_at_once() {
        let mut plan = long_plan(1);
        plan.retain(Fault::acts_on_process);
        for (index, fault) in plan.iter().enumerate() {
            let end = fault.at + fault.lasts;
            let later = &plan[index + 1..];
            assert!(
                later
                    .iter()
                    .all(|next| next.place != fault.place || next.at > end)
            );
        }
    }

    #[test]
    fn one_standalone_server_without_any_link_to_choose_still_has_faults() {
        let layout = Layout {
            servers: 1,
            clients: 2,
            coordinator: Coordinator::Standalone,
        };
        let none = Abilities {
            any_link: false,
            slow: false,
        };
        let plan = plan(1, &layout, none, LEASE, Duration::from_secs(600));
        assert!(
            plan.iter()
                .all(|fault| fault.other.is_none() && fault.place != Place::Etcd)
        );
        assert!(plan.len() > 100);
    }

    #[test]
    fn a_way_names_the_links_that_are_cut() {
        let fault = |kind, other| Fault {
            at: Duration::ZERO,
            lasts: LEASE,
            kind,
            place: Place::Server(1),
            other,
        };
        let apart = |way| Kind::CutApart(Group::Server, Group::Etcd, way);
        let (server, etcd) = (Place::Server(1), Place::Etcd);
        let links = |way| fault(apart(way), Some(etcd)).links(&CLUSTER);
        assert_eq!(links(Way::Out), [(server, etcd)]);
        assert_eq!(links(Way::In), [(etcd, server)]);
        assert_eq!(links(Way::Both), [(server, etcd), (etcd, server)]);
        let off = fault(Kind::CutOff(Group::Server, Way::Both), None).links(&CLUSTER);
        assert_eq!(off.len(), 2 * (CLUSTER.places().len() - 1));
    }
}
