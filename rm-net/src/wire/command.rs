//! Commands of operators and what became of them, in both directions.
//!
//! A command of a later version is no error: it is answered by [`Outcome::Unknown`], which on the wire is a `Commanded`
//! without an outcome.

use core::time::Duration;

use rm_core::command::{
    Action, Command, Force, LoanEnd, Outcome, REASON_BYTES_MAX, RELEASED_MAX, Released,
};
use rm_core::id::TypeId;

use super::WireError;
use super::generated as pb;
use super::limits;
use super::{incoming, members, outgoing};

pub(super) fn command_out(id: u64, command: &Command) -> pb::Command {
    use pb::command::Action as Out;
    let action = match &command.action {
        Action::Drain { node, within } => Some(Out::Drain(pb::DrainAction {
            node: outgoing::text(node),
            within_nanos: outgoing::span(*within),
        })),
        Action::Release {
            type_id,
            key,
            force,
        } => Some(Out::Release(pb::ReleaseAction {
            type_id: type_id.0,
            key: outgoing::bytes(key.as_bytes()),
            now: *force == Force::Now,
        })),
        Action::Unknown => None,
    };
    pb::Command {
        id,
        action,
        reason: outgoing::cut(&command.reason, REASON_BYTES_MAX),
        by: outgoing::text(&command.by),
    }
}

pub(super) fn command_in(command: pb::Command) -> Result<Command, WireError> {
    use pb::command::Action as In;
    limits::length("Command.reason", command.reason.len(), 0, REASON_BYTES_MAX)?;
    let action = match command.action {
        Some(In::Drain(drain)) => Action::Drain {
            node: incoming::text("DrainAction.node", drain.node)?,
            within: incoming::span("DrainAction.within", drain.within_nanos)?,
        },
        Some(In::Release(release)) => Action::Release {
            type_id: TypeId(release.type_id),
            key: incoming::key("ReleaseAction.key", &release.key)?,
            force: if release.now {
                Force::Now
            } else {
                Force::Polite
            },
        },
        None => Action::Unknown,
    };
    Ok(Command {
        action,
        reason: command.reason,
        by: incoming::text("Command.by", command.by)?,
    })
}

pub(super) fn outcome_out(id: u64, outcome: &Outcome) -> Result<pb::Commanded, WireError> {
    use pb::commanded::Outcome as Out;
    let outcome = match outcome {
        Outcome::Unknown => None,
        Outcome::NotAllowed { text } => Some(Out::NotAllowed(pb::NotAllowedOutcome {
            text: outgoing::text(text),
        })),
        Outcome::Refused { text } => Some(Out::Refused(pb::RefusedOutcome {
            text: outgoing::text(text),
        })),
        Outcome::Elsewhere { node, address } => {
            members::address("ElsewhereOutcome.address", address)?;
            Some(Out::Elsewhere(pb::ElsewhereOutcome {
                node: outgoing::text(node),
                address: address.clone(),
            }))
        }
        Outcome::Draining => Some(Out::Draining(pb::DrainingOutcome {})),
        Outcome::Released {
            loans,
            omitted,
            own_holds,
        } => {
            limits::count("ReleasedOutcome.loans", loans.len(), RELEASED_MAX)?;
            Some(Out::Released(pb::ReleasedOutcome {
                loans: loans.iter().map(released_out).collect(),
                omitted: *omitted,
                own_holds: *own_holds,
            }))
        }
    };
    Ok(pb::Commanded { id, outcome })
}

pub(super) fn outcome_in(outcome: Option<pb::commanded::Outcome>) -> Result<Outcome, WireError> {
    use pb::commanded::Outcome as In;
    Ok(match outcome {
        None => Outcome::Unknown,
        Some(In::NotAllowed(it)) => Outcome::NotAllowed {
            text: incoming::text("NotAllowedOutcome.text", it.text)?,
        },
        Some(In::Refused(refused)) => Outcome::Refused {
            text: incoming::text("RefusedOutcome.text", refused.text)?,
        },
        Some(In::Elsewhere(elsewhere)) => {
            members::address("ElsewhereOutcome.address", &elsewhere.address)?;
            Outcome::Elsewhere {
                node: incoming::text("ElsewhereOutcome.node", elsewhere.node)?,
                address: elsewhere.address,
            }
        }
        Some(In::Draining(_)) => Outcome::Draining,
        Some(In::Released(released)) => Outcome::Released {
            loans: released
                .loans
                .into_iter()
                .map(released_in)
                .collect::<Result<_, _>>()?,
            omitted: released.omitted,
            own_holds: released.own_holds,
        },
    })
}

fn released_out(released: &Released) -> pb::ReleasedLoan {
    let (end, believed) = match released.end {
        LoanEnd::Returned => (pb::LoanEnd::Returned, Duration::ZERO),
        LoanEnd::Silent { ends_in } => (pb::LoanEnd::Silent, ends_in),
        LoanEnd::Closed { believed_for } => (pb::LoanEnd::Closed, believed_for),
    };
    pb::ReleasedLoan {
        node: outgoing::text(&released.node),
        end: end.into(),
        believed_nanos: outgoing::span(believed),
    }
}

fn released_in(loan: pb::ReleasedLoan) -> Result<Released, WireError> {
    let believed_for = incoming::span("ReleasedLoan.believed", loan.believed_nanos)?;
    let end = match pb::LoanEnd::try_from(loan.end) {
        Ok(pb::LoanEnd::Returned) => LoanEnd::Returned,
        Ok(pb::LoanEnd::Silent) => LoanEnd::Silent {
            ends_in: believed_for,
        },
        Ok(pb::LoanEnd::Closed) => LoanEnd::Closed { believed_for },
        Ok(pb::LoanEnd::Unspecified) | Err(_) => {
            return Err(incoming::unknown("ReleasedLoan.end", loan.end));
        }
    };
    Ok(Released {
        node: incoming::text("ReleasedLoan.node", loan.node)?,
        end,
    })
}
