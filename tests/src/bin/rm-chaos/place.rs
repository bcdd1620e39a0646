//! Who takes part in a run, and where: servers, clients, and the coordinator's store.

use std::fmt::{self, Display, Formatter};

/// One process of the run, and its place in the network. Numbers count from 1, as people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// An `rmd`.
    Server(usize),
    /// A process that takes locks.
    Client(usize),
    /// The `etcd` that the servers agree through.
    Etcd,
}

impl Place {
    /// What kind of process it is.
    pub(crate) const fn group(self) -> Group {
        match self {
            Self::Server(_) => Group::Server,
            Self::Client(_) => Group::Client,
            Self::Etcd => Group::Etcd,
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(number) => write!(f, "server-{number}"),
            Self::Client(number) => write!(f, "client-{number}"),
            Self::Etcd => f.write_str("etcd"),
        }
    }
}

/// A kind of process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    Client,
    Etcd,
    Server,
}

impl Display for Group {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Etcd => "etcd",
            Self::Server => "server",
        })
    }
}

/// How servers agree on who is a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Coordinator {
    /// One server, whose epoch is on disk
    Standalone,
    /// A real etcd, which the run starts
    Etcd,
}

/// How many of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) servers: usize,
    pub(crate) clients: usize,
    pub(crate) coordinator: Coordinator,
}

impl Layout {
    /// All processes of one kind.
    pub(crate) fn of(&self, group: Group) -> Vec<Place> {
        match group {
            Group::Client => (1..=self.clients).map(Place::Client).collect(),
            Group::Server => (1..=self.servers).map(Place::Server).collect(),
            Group::Etcd => match self.coordinator {
                Coordinator::Etcd => vec![Place::Etcd],
                Coordinator::Standalone => Vec::new(),
            },
        }
    }

    /// All processes, in the order in which they start.
    pub(crate) fn places(&self) -> Vec<Place> {
        let groups = [Group::Etcd, Group::Server, Group::Client];
        groups.iter().flat_map(|&group| self.of(group)).collect()
    }
}
