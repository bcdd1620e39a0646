//! Messages in words, for the traces of the explorer and the simulator.

use core::fmt::{Debug, Write as _};

use crate::id::Order;
use crate::message::{Message, Steps};

/// A message; `name` says whose request one is.
pub(crate) fn of_message<C: Debug, L: Debug>(
    message: &Message<C, L>,
    name: &dyn Fn(&Order) -> String,
) -> String {
    match message {
        Message::AskLimit { .. } => "AskLimit".into(),
        Message::Busy { order, .. } => format!("Busy for {}", name(order)),
        Message::Claim(claim) => format!("Claim {:?} in {}", claim.amount, claim.epoch),
        Message::Claimed(claimed) => format!("Claimed in {}", claimed.epoch),
        Message::Deny {
            order,
            version,
            why,
            ..
        } => format!("Deny {} v{}: {why:?}", name(order), version.0),
        Message::Grant(grant) => format!(
            "Grant {:?} for {} v{}{}",
            grant.delta,
            name(&grant.order),
            grant.version.0,
            of_steps(&grant.steps, name)
        ),
        Message::Limit { limit, .. } => format!("Limit {limit:#x}"),
        Message::Recall { steps, .. } => format!("Recall{}", of_steps(steps, name)),
        Message::Return { delta, .. } => format!("Return {delta:?}"),
        Message::Revoke { .. } => "Revoke".into(),
        Message::Unclaimed { epoch, why, .. } => format!("Unclaimed in {epoch}: {why:?}"),
        Message::Unwant { order } => format!("Unwant {}", name(order)),
        Message::Want(want) => format!(
            "Want level {:?} for {} v{}{}",
            want.level,
            name(&want.order),
            want.version.0,
            if want.try_only { ", try" } else { "" }
        ),
    }
}

fn of_steps<C: Debug>(steps: &Steps<C>, name: &dyn Fn(&Order) -> String) -> String {
    if steps.is_empty() {
        return ", no steps".into();
    }
    steps.iter().fold(String::new(), |mut text, step| {
        let _ = write!(text, ", keep {:?} for {}", step.keep, name(&step.order));
        text.push_str(if step.try_only { ", try" } else { "" });
        text.push_str(if step.whole { ", whole" } else { "" });
        text
    })
}
