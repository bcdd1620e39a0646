//! What a schedule did.

use core::fmt;
use core::time::Duration;

use crate::credit::Opaque;
use crate::message::{Message, Unclaimed};

/// What happened, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Schedules.
    pub schedules: u64,
    /// Things that happened.
    pub events: u64,
    /// How often a process woke up and had nothing to read.
    pub wakes: u64,
    /// Requests.
    pub asked: u64,
    /// Those that were granted.
    pub granted: u64,
    /// Those that were denied.
    pub denied: u64,
    /// Holds that were lost.
    pub lost: u64,
    /// Values that were read and sure.
    pub sure: u64,
    /// Values that were read and doubtful.
    pub doubtful: u64,
    /// Claims that were confirmed.
    pub claimed: u64,
    /// Claims that were refused.
    pub refused: u64,
    /// Claims that were to be made again.
    pub again: u64,
    /// Holds that went on at another root.
    pub carried: u64,
    /// Sessions that were opened.
    pub sessions: u64,
    /// Connections over which a session was to go on.
    pub reconnections: u64,
    /// Sessions that went on over another connection.
    pub resumptions: u64,
    /// Sessions whose windows were full.
    pub overruns: u64,
    /// Leases that were in jeopardy.
    pub jeopardies: u64,
    /// Views.
    pub views: u64,
    /// Faults by kind.
    pub faults: std::collections::BTreeMap<&'static str, u64>,
    /// The longest that a request waited that had no limit.
    pub longest_wait: Duration,
    /// The same, counted from the end of all faults.
    pub longest_healing: Duration,
}

impl Counts {
    pub(super) fn on_answer(&mut self, message: &Message<Opaque>) {
        match message {
            Message::Claimed(_) => self.claimed += 1,
            Message::Unclaimed { why, .. } => match why {
                Unclaimed::Refused => self.refused += 1,
                Unclaimed::Again => self.again += 1,
            },
            _ => {}
        }
    }

    pub(super) fn on_wait(&mut self, waited: Duration) {
        self.longest_wait = self.longest_wait.max(waited);
    }

    /// Adds those of another schedule.
    pub fn add(&mut self, other: &Self) {
        let Self {
            schedules,
            events,
            wakes,
            asked,
            granted,
            denied,
            lost,
            sure,
            doubtful,
            claimed,
            refused,
            again,
            carried,
            sessions,
            reconnections,
            resumptions,
            overruns,
            jeopardies,
            views,
            faults,
            longest_wait,
            longest_healing,
        } = other;
        self.schedules += schedules;
        self.events += events;
        self.wakes += wakes;
        self.asked += asked;
        self.granted += granted;
        self.denied += denied;
        self.lost += lost;
        self.sure += sure;
        self.doubtful += doubtful;
        self.claimed += claimed;
        self.refused += refused;
        self.again += again;
        self.carried += carried;
        self.sessions += sessions;
        self.reconnections += reconnections;
        self.resumptions += resumptions;
        self.overruns += overruns;
        self.jeopardies += jeopardies;
        self.views += views;
        for (&name, count) in faults {
            *self.faults.entry(name).or_default() += count;
        }
        self.longest_wait = self.longest_wait.max(*longest_wait);
        self.longest_healing = self.longest_healing.max(*longest_healing);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} schedules, {} events, {} of them wakes; {} requests, {} granted, {} denied; {} holds lost",
            self.schedules,
            self.events,
            self.wakes,
            self.asked,
            self.granted,
            self.denied,
            self.lost
        )?;
        writeln!(
            f,
            "  {} views; claims: {} confirmed, {} refused, {} again; {} holds carried over",
            self.views, self.claimed, self.refused, self.again, self.carried
        )?;
        writeln!(
            f,
            "  {} sessions, {} reconnections, {} resumed, {} overrun, {} in jeopardy; values: {} sure, {} doubtful",
            self.sessions,
            self.reconnections,
            self.resumptions,
            self.overruns,
            self.jeopardies,
            self.sure,
            self.doubtful
        )?;
        writeln!(
            f,
            "  longest wait {:?}, {:?} of it after the faults; faults: {:?}",
            self.longest_wait, self.longest_healing, self.faults
        )
    }
}
