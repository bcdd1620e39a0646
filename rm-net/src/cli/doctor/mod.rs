//! `rmctl doctor`: looks for what is wrong with the servers, this machine and what is between them, and says what to
//! change.
//!
//! ```text
//! probe    asks servers, and looks at their clocks twice
//! checks   from what was seen to findings: a decision, without a clock or a network
//! certificates  how long they are still good
//! finding  one line of the result
//! ```
//!
//! It asks each address that it is given, and each member that one of those names. It changes nothing.
//!
//! JSON shape, stable: a [`Finding`](finding::Finding) a line. The exit code is 1 if one of them is a `fail`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::args::DoctorArgs;
use super::connect::addresses;
use super::exit::{Exit, Failure};
use super::output::Output;

mod certificates;
mod checks;
pub(super) mod finding;
mod probe;

use self::finding::Level;
use self::probe::{Machine, Probe};

/// The most servers that are looked at: those given, and the members of a view.
const SERVERS_MAX: usize = 128;

pub(crate) async fn run(
    endpoints: &[String],
    args: &DoctorArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let given = addresses(endpoints)?;
    let mut probes = probe::ask_all(given.iter().cloned()).await;
    let named = members_beyond(&probes, &given);
    probes.extend(probe::ask_all(named).await);
    probe::watch_clocks(&mut probes, args.watch).await;
    let findings = checks::all(&Machine::this(), &probes);
    for finding in &findings {
        output.print(finding, || finding.in_words())?;
    }
    let is_sick = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if is_sick { Exit::NOT_DONE } else { Exit::OK })
}

/// The addresses of members that nobody gave.
fn members_beyond(probes: &[Probe], given: &[String]) -> Vec<String> {
    let seen = probes.iter().filter_map(|probe| probe.seen.as_ref().ok());
    let views = seen.filter_map(|seen| seen.members.view.as_deref());
    let members = views.flat_map(|view| view.members());
    let addresses: BTreeSet<_> = members.map(|member| &member.address).collect();
    let beyond = addresses.into_iter().filter(|it| !given.contains(it));
    let room = SERVERS_MAX.saturating_sub(given.len());
    beyond.take(room).cloned().collect()
}

/// Whether only this machine can be there.
fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_told_from_a_network() {
        for here in [
            "127.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(is_loopback(here), "{here}");
        }
        for there in ["10.0.0.1:1", "example.org:1", "[2001:db8::1]:1"] {
            assert!(!is_loopback(there), "{there}");
        }
    }
}
