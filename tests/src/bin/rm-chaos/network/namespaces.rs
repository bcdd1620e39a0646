//! Each process in a network namespace of its own, joined by a bridge in one more: as if each were a machine.
//!
//! ```text
//! rmc<pid>-sw         the switch: a bridge, with one end of each cable
//! rmc<pid>-server-1   eth0, 10.77.0.n/24
//! rmc<pid>-client-1   ..
//! ```
//!
//! **Dropping packets** from A to B takes nothing but the neighbour table of A: there B's address gets a hardware address that
//! nobody has. A's packets then leave and reach nobody, silently, connections and all; what B sends still comes
//! in. That needs no packet filter in the kernel and no tool but `ip`.
//!
//! Nothing touches the machine's own network, so runs can go on side by side. The names carry the process that made them: what a
//! killed run has left is removed by the next.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Condition, Link};
use crate::place::{Group, Layout, Place};

/// A hardware address that no cable here has: locally administered, and outside what the kernel draws.
const NOBODY: &str = "02:00:00:00:00:ff";
/// Servers listen here: each has its own address, so they need no different ports.
const SERVER_PORT: u16 = 7_600;
const ETCD_PORT: u16 = 2_379;

#[derive(Debug)]
pub(super) struct Namespaces {
    prefix: String,
    /// The last byte of the address of each.
    hosts: BTreeMap<Place, usize>,
    /// Links that are cut at the moment.
    cut: Vec<Link>,
}

impl Namespaces {
    /// Makes all of them, or says why that is not permitted.
    pub(super) async fn new(layout: &Layout) -> Result<Self, String> {
        remove_leftovers().await;
        let hosts: BTreeMap<Place, usize> = layout.places().into_iter().zip(1..).collect();
        if hosts.len() > 250 {
            return Err("more than 250 processes do not fit into one network".into());
        }
        let this = Self {
            prefix: format!("rmc{}", std::process::id()),
            hosts,
            cut: Vec::new(),
        };
        let switch = this.switch();
        ip(None, &format!("netns add {switch}\n")).await?;
        ip(Some(&switch), "link add br0 type bridge\nlink set br0 up\n").await?;
        for (&place, &host) in &this.hosts {
            let name = this.name(place);
            let cable = format!(
                "netns add {name}\n\
                 link add port{host} netns {switch} type veth peer name eth0 netns {name}\n"
            );
            ip(None, &cable).await?;
            let address = this.host_address(place);
            let up = format!("link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\n");
            ip(Some(&name), &up).await?;
        }
        let mut ports = String::new();
        for host in this.hosts.values() {
            let _ = writeln!(ports, "link set port{host} master br0 up");
        }
        ip(Some(&switch), &ports).await?;
        Ok(this)
    }

    /// A command that runs `program` in the namespace of `place`, under its own process id.
    pub(super) fn enter(&self, place: Place, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name(place)])
            .arg(program);
        command
    }

    pub(super) fn address(&self, place: Place) -> String {
        let port = match place.group() {
            Group::Etcd => ETCD_PORT,
            Group::Server | Group::Client => SERVER_PORT,
        };
        format!("{}:{port}", self.host_address(place))
    }

    /// Brings `links` into their condition. There is no slow one here.
    pub(super) async fn set(
        &mut self,
        links: &[Link],
        condition: impl Fn(Link) -> Condition,
    ) -> Result<(), String> {
        let mut changes: BTreeMap<Place, String> = BTreeMap::new();
        for &(from, to) in links {
            let address = self.host_address(to);
            let is_cut = self.cut.contains(&(from, to));
            let lines = changes.entry(from).or_default();
            match (condition((from, to)), is_cut) {
                (Condition::Cut, false) => {
                    let _ = writeln!(
                        lines,
                        "neigh replace {address} lladdr {NOBODY} dev eth0 nud permanent"
                    );
                    self.cut.push((from, to));
                }
                (Condition::Good | Condition::Slow, true) => {
                    let _ = writeln!(lines, "neigh del {address} dev eth0");
                    self.cut.retain(|&link| link != (from, to));
                }
                (Condition::Cut, true) | (Condition::Good | Condition::Slow, false) => {}
            }
        }
        for (from, lines) in changes {
            ip(Some(&self.name(from)), &lines).await?;
        }
        Ok(())
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.prefix)
    }

    fn name(&self, place: Place) -> String {
        format!("{}-{place}", self.prefix)
    }

    fn host_address(&self, place: Place) -> String {
        format!("10.77.0.{}", self.hosts[&place])
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        let names = self.hosts.keys().map(|&place| self.name(place));
        for name in names.chain([self.switch()]) {
            // One that was never made cannot be removed, and that is all that can go wrong here.
            let mut remove = std::process::Command::new("ip");
            remove.args(["netns", "del", &name]).stderr(Stdio::null());
            drop(remove.status());
        }
    }
}

/// Runs lines of `ip`, in one process, in a namespace if one is named.
async fn ip(namespace: Option<&str>, lines: &str) -> Result<(), String> {
    if lines.is_empty() {
        return Ok(());
    }
    let failed =
        |what: &dyn std::fmt::Display| format!("`ip` failed at `{}`: {what}", lines.trim());
    let mut command = Command::new("ip");
    if let Some(namespace) = namespace {
        command.args(["-netns", namespace]);
    }
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    let mut stdin = child.stdin.take().expect("piped just above");
    // Where `ip` ended before it read everything, its complaint says more than the broken pipe.
    let _ = stdin.write_all(lines.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.map_err(|e| failed(&e))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
    }
}

/// Removes namespaces of runs that are over and did not get to remove them.
async fn remove_leftovers() {
    let Ok(listed) = Command::new("ip").args(["netns", "list"]).output().await else {
        return;
    };
    for line in String::from_utf8_lossy(&listed.stdout).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        if let Some((process, _)) = name
            .strip_prefix("rmc")
            .and_then(|rest| rest.split_once('-'))
            && process.parse::<u32>().is_ok()
            && !Path::new("/proc").join(process).exists()
        {
            // Another run may be doing the same: then it is gone, and that is all that matters.
            drop(ip(None, &format!("netns del {name}\n")).await);
        }
    }
}
