//! `rmctl release`: what is lent of a lock is taken back though somebody uses it.
//!
//! JSON shape, stable: one [`ReleaseLine`]. Times are in milliseconds.

use std::time::Duration;

use rm_core::command::{Action, Force, LoanEnd, Outcome, Released};
use schemars::JsonSchema;
use serde::Serialize;

use super::args::ReleaseArgs;
use super::connect::addresses;
use super::contact;
use super::exit::{Exit, Failure};
use super::output::{Output, hex, millis, readable, span, tame};

/// What `release` prints.
#[derive(JsonSchema, Serialize)]
pub(super) struct ReleaseLine {
    /// The name, readable: bytes that are no text as `\xNN`.
    name: String,
    /// The name exactly: its bytes in hexadecimal.
    name_hex: String,
    /// Where it was done.
    endpoint: String,
    /// `polite` or `now`.
    how: &'static str,
    /// Whether nobody has it any more, as far as the server knows.
    free: bool,
    /// Each loan that there was.
    loans: Vec<LoanLine>,
    /// How many more there were.
    omitted: u32,
    /// Guards of the server's own process, which were not taken away.
    own_holds: u32,
}

#[derive(JsonSchema, Serialize)]
struct LoanLine {
    /// The node, by its name.
    node: String,
    /// `returned`, `silent` or `closed`.
    end: &'static str,
    /// How long, at most, the node may still believe that it has it.
    believed_ms: u64,
}

pub(crate) async fn run(
    endpoints: &[String],
    args: &ReleaseArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let force = if args.now { Force::Now } else { Force::Polite };
    let action = Action::Release {
        type_id: args.type_id,
        key: args.name.clone(),
        force,
    };
    let addresses = addresses(endpoints)?;
    let (outcome, endpoint) = contact::order(&addresses, action, &args.reason).await?;
    let Outcome::Released {
        loans,
        omitted,
        own_holds,
    } = outcome
    else {
        return Err(contact::not_understood());
    };
    let is_free = own_holds == 0 && loans.iter().all(|loan| is_over(loan.end));
    let line = ReleaseLine {
        name: readable(args.name.as_bytes()),
        name_hex: hex(args.name.as_bytes()),
        endpoint,
        how: match force {
            Force::Polite => "polite",
            Force::Now => "now",
        },
        free: is_free,
        loans: loans.iter().map(LoanLine::from).collect(),
        omitted,
        own_holds,
    };
    output.print(&line, || in_words(&line.name, &loans, omitted, own_holds))?;
    Ok(if is_free { Exit::OK } else { Exit::NOT_DONE })
}

const fn is_over(end: LoanEnd) -> bool {
    match end {
        LoanEnd::Returned | LoanEnd::Closed { .. } => true,
        LoanEnd::Silent { .. } => false,
    }
}

/// What was done, and what cannot be promised.
fn in_words(name: &str, loans: &[Released], omitted: u32, own_holds: u32) -> String {
    let mut lines: Vec<String> = loans.iter().map(loan_in_words).collect();
    if omitted > 0 {
        lines.push(format!("and {omitted} more"));
    }
    if own_holds > 0 {
        lines.push(format!(
            "the server's own process holds it ({own_holds} guards): end that there, it is not taken away"
        ));
    }
    if lines.is_empty() {
        return format!("{name}: nothing is lent of it, so nobody lost anything");
    }
    if loans
        .iter()
        .any(|loan| matches!(loan.end, LoanEnd::Closed { .. }))
    {
        lines.push(
            "others can have it now, with larger fencing tokens. It is not promised that the former holders \
             have stopped: what they still write is refused only by a store that checks the tokens"
                .into(),
        );
    }
    format!("{name}:\n  {}", lines.join("\n  "))
}

fn loan_in_words(loan: &Released) -> String {
    let node = tame(&loan.node);
    let left = |left: Duration| span(left);
    match loan.end {
        LoanEnd::Returned => format!("{node} gave it back: its holders know that they lost it"),
        LoanEnd::Silent { ends_in } => format!(
            "{node} does not answer: it keeps it until its lease ends, in {} at most. Then it is free; --now does not wait",
            left(ends_in)
        ),
        LoanEnd::Closed { believed_for } => format!(
            "taken from {node}, which may believe for another {} that it has it",
            left(believed_for)
        ),
    }
}

impl From<&Released> for LoanLine {
    fn from(loan: &Released) -> Self {
        let (end, believed) = match loan.end {
            LoanEnd::Returned => ("returned", Duration::ZERO),
            LoanEnd::Silent { ends_in } => ("silent", ends_in),
            LoanEnd::Closed { believed_for } => ("closed", believed_for),
        };
        Self {
            node: loan.node.clone(),
            end,
            believed_ms: millis(believed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn released(end: LoanEnd) -> Vec<Released> {
        let node = "web-1".into();
        vec![Released { node, end }]
    }

    #[test]
    fn what_cannot_be_promised_is_said_where_a_loan_was_closed_and_only_there() {
        let second = Duration::from_secs(1);
        let closed = released(LoanEnd::Closed {
            believed_for: second,
        });
        let text = in_words("x", &closed, 0, 0);
        assert!(text.contains("may believe for another 1.0 s"), "{text}");
        assert!(text.contains("not promised"), "{text}");
        let text = in_words("x", &released(LoanEnd::Returned), 0, 0);
        assert!(!text.contains("not promised"), "{text}");
    }

    #[test]
    fn of_a_silent_holder_it_is_said_when_its_lease_ends() {
        let ends_in = Duration::from_secs(9);
        let text = in_words("x", &released(LoanEnd::Silent { ends_in }), 0, 0);
        assert!(text.contains("in 9.0 s at most"), "{text}");
    }

    #[test]
    fn where_nothing_was_lent_that_is_said() {
        assert_eq!(
            in_words("x", &[], 0, 0),
            "x: nothing is lent of it, so nobody lost anything"
        );
    }
}
