//! The network between the processes of a run, and what can be done to it.
//!
//! A link is directed: from one place to another. A fault drops or delays what goes over some links, and ends later; where
//! faults overlap on a link, it is good again when the last of them is over.
//!
//! Two networks do that. [`namespaces`] gives each process a network namespace of its own, joined by a bridge, where any link can
//! be cut; it needs the rights to make them. [`proxies`] needs none: TCP proxies in this process stand
//! before each server.

mod namespaces;
mod proxies;

use std::collections::BTreeMap;
use std::path::Path;

use tokio::process::Command;

use self::namespaces::Namespaces;
use self::proxies::Proxies;
use crate::faults::{Abilities, Fault, Kind};
use crate::place::{Layout, Place};

/// Which network to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Wish {
    /// Network namespaces where they are permitted, else proxies
    Auto,
    /// Network namespaces, which take root's rights and the tool `ip`
    Netns,
    /// TCP proxies, which take no rights
    Proxy,
}

/// From whom, to whom.
pub(crate) type Link = (Place, Place);

/// How a link fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    #[default]
    Good,
    Slow,
    Cut,
}

/// The network of a run. It is gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Network {
    backend: Backend,
    layout: Layout,
    /// How many faults cut, and how many slow down, each link.
    faults: BTreeMap<Link, (u32, u32)>,
}

#[derive(Debug)]
enum Backend {
    Namespaces(Namespaces),
    Proxies(Proxies),
}

impl Network {
    /// Makes the network, and says in a line which one if that was left open.
    pub(crate) async fn new(wish: Wish, layout: Layout) -> Result<Self, String> {
        let backend = match wish {
            Wish::Netns => Backend::Namespaces(Namespaces::new(&layout).await?),
            Wish::Proxy => Backend::Proxies(Proxies::new(&layout).await?),
            Wish::Auto => match Namespaces::new(&layout).await {
                Ok(namespaces) => Backend::Namespaces(namespaces),
                Err(why) => {
                    println!("no network namespaces, so proxies instead: {why}");
                    Backend::Proxies(Proxies::new(&layout).await?)
                }
            },
        };
        Ok(Self {
            backend,
            layout,
            faults: BTreeMap::new(),
        })
    }

    /// What it is, for the report.
    pub(crate) const fn name(&self) -> &'static str {
        match self.backend {
            Backend::Namespaces(_) => "netns",
            Backend::Proxies(_) => "proxy",
        }
    }

    /// What can be done to it.
    pub(crate) const fn abilities(&self) -> Abilities {
        match &self.backend {
            Backend::Namespaces(_) => Abilities {
                any_link: true,
                slow: false,
            },
            Backend::Proxies(proxies) => Abilities {
                any_link: proxies.any_link(),
                slow: true,
            },
        }
    }

    /// A command that runs `program` at `place`, tied to this process: it is killed when this one dies.
    pub(crate) fn command(&self, place: Place, program: &Path) -> Result<Command, String> {
        let this = std::env::current_exe();
        let this = this.map_err(|error| format!("cannot find this program: {error}"))?;
        let mut command = match &self.backend {
            Backend::Namespaces(namespaces) => namespaces.enter(place, &this),
            Backend::Proxies(_) => Command::new(this),
        };
        command.arg("tied").arg(program);
        Ok(command)
    }

    /// Where the server or the store at `place` is to listen; port 0 where that is up to the system.
    pub(crate) fn listen_address(&self, place: Place) -> Result<String, String> {
        match &self.backend {
            Backend::Namespaces(namespaces) => Ok(namespaces.address(place)),
            Backend::Proxies(proxies) => proxies.listen_address(place),
        }
    }

    /// Where `from` finds `to`.
    pub(crate) fn address(&self, from: Place, to: Place) -> String {
        match &self.backend {
            Backend::Namespaces(namespaces) => namespaces.address(to),
            Backend::Proxies(proxies) => proxies.address(from, to),
        }
    }

    /// Where everybody else finds `server`, if that is not where it listens.
    pub(crate) fn advertised(&self, server: Place) -> Option<String> {
        match &self.backend {
            Backend::Namespaces(_) => None,
            Backend::Proxies(proxies) => proxies.advertised(server),
        }
    }

    /// The process at `place` listens at `address`.
    pub(crate) fn on_listening(&self, place: Place, address: &str) {
        match &self.backend {
            Backend::Namespaces(_) => {}
            Backend::Proxies(proxies) => proxies.on_listening(place, address),
        }
    }

    /// A fault begins.
    pub(crate) async fn begin(&mut self, fault: &Fault) -> Result<(), String> {
        for link in fault.links(&self.layout) {
            let (cuts, slows) = self.faults.entry(link).or_default();
            match fault.kind {
                Kind::Slow(_) => *slows += 1,
                _ => *cuts += 1,
            }
        }
        self.apply(&fault.links(&self.layout)).await
    }

    /// A fault that began is over.
    pub(crate) async fn end(&mut self, fault: &Fault) -> Result<(), String> {
        for link in fault.links(&self.layout) {
            let (cuts, slows) = self.faults.entry(link).or_default();
            let count = match fault.kind {
                Kind::Slow(_) => slows,
                _ => cuts,
            };
            *count = count.checked_sub(1).expect("the fault began");
        }
        self.apply(&fault.links(&self.layout)).await
    }

    async fn apply(&mut self, links: &[Link]) -> Result<(), String> {
        let condition = |link: Link| match self.faults.get(&link) {
            Some((1.., _)) => Condition::Cut,
            Some((0, 1..)) => Condition::Slow,
            Some((0, 0)) | None => Condition::Good,
        };
        match &mut self.backend {
            Backend::Namespaces(namespaces) => namespaces.set(links, condition).await,
            Backend::Proxies(proxies) => {
                proxies.set(condition);
                Ok(())
            }
        }
    }
}
