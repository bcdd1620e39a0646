//! One server, for commands that ask or order each server by itself.

use std::time::Duration;

use rm_core::command::{Action, Command, Outcome};
use rm_core::inspect::{Answer, MembersView, Query};

use super::connect::transport;
use super::exit::{Exit, Failure};
use super::output::tame;
use crate::Operator;
use crate::node::host_name;

/// A server answers within so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// So often an order is passed on: more would be a ring.
const HOPS_MAX: usize = 4;

/// Connects to one server.
pub(crate) async fn open(address: &str) -> Result<Operator, Failure> {
    Ok(Operator::connect_over(transport(), address, PATIENCE).await?)
}

/// Connects to the first that answers.
pub(crate) async fn open_first(addresses: &[String]) -> Result<(String, Operator), Failure> {
    let mut last = None;
    for address in addresses {
        match open(address).await {
            Ok(operator) => return Ok((address.clone(), operator)),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.unwrap_or_else(|| Failure::new(Exit::USAGE, "no address was given")))
}

/// The cluster as one server sees it.
pub(crate) async fn members(operator: &mut Operator) -> Result<MembersView, Failure> {
    match operator.ask(Query::Members).await? {
        Answer::Members(view) => Ok(*view),
        _ => Err(not_understood()),
    }
}

/// Gives an order to the first server that answers, and where that names another one, to that one. Returns what became
/// of it, and the address where that was.
pub(crate) async fn order(
    addresses: &[String],
    action: Action,
    reason: &str,
) -> Result<(Outcome, String), Failure> {
    let command = Command {
        action,
        reason: reason.into(),
        by: me(),
    };
    let (mut address, mut operator) = open_first(addresses).await?;
    for _ in 0..HOPS_MAX {
        let outcome = operator.order(command.clone()).await;
        operator.close().await;
        match outcome? {
            Outcome::Elsewhere {
                node,
                address: next,
            } => {
                operator = open(&next).await.map_err(|failure| {
                    let node = tame(&node);
                    failure.hint(format!(
                        "{node} at {next} has to be told, and does not answer"
                    ))
                })?;
                address = next;
            }
            Outcome::Refused { text } => {
                return Err(Failure::new(Exit::UNAVAILABLE, tame(&text)));
            }
            // The second is said as an error.
            Outcome::Unknown | Outcome::NotAllowed { .. } => return Err(not_understood()),
            outcome @ (Outcome::Draining | Outcome::Released { .. }) => {
                return Ok((outcome, address));
            }
        }
    }
    let error = "the servers pass the order on to each other: their views differ at the moment";
    Err(Failure::new(Exit::UNAVAILABLE, error).hint("try again in a few seconds"))
}

/// The failure where an answer is none to what was asked.
pub(crate) fn not_understood() -> Failure {
    super::inspect::not_understood()
}

/// Who gives the orders: user and host.
fn me() -> String {
    let user = ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| format!("uid {}", rustix::process::getuid().as_raw()));
    format!("{user}@{}", host_name())
}
