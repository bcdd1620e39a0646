//! What a server's rules let strangers do, as far as strangers can reach it.

use rm_core::inspect::{HealthView, MembersView, NodeRole};

use super::super::finding::{Finding, Level};
use super::super::is_loopback;

const CHECK: &str = "rules";

/// What of a server's rules is worth a word.
pub(super) fn all(address: &str, health: &HealthView, members: &MembersView) -> Finding {
    let is_reachable = !is_loopback(address);
    let warn = |text: String, advice| Finding::bad(Level::Warn, CHECK, address, text, advice);
    let may = |action: &str| health.anonymous.split(' ').any(|name| name == action);
    match health.rules {
        0 if is_reachable && !health.is_secured => warn(
            "there are none: whoever reaches it may do everything, give orders and be a member"
                .into(),
            "start it with --rules and say who may do what, and with --tls-* so that it knows who is who",
        ),
        0 if is_reachable => Finding::ok(
            CHECK,
            address,
            "there are none: whoever has a certificate may do everything",
        ),
        0 => Finding::ok(
            CHECK,
            address,
            "there are none, and it is of this machine only",
        ),
        count if members.role == NodeRole::Member && may("member") => warn(
            format!("{count}, by which anybody may say that it is a member of the cluster"),
            "allow `member` only to the identities in the members' certificates",
        ),
        count if is_reachable && ["write", "operate"].into_iter().any(may) => warn(
            format!(
                "{count}, by which somebody without a certificate may: {}",
                health.anonymous
            ),
            "allow that only to identities: a rule for `*` or `anonymous` is for everybody",
        ),
        count if health.anonymous.is_empty() => {
            let text =
                format!("{count}, and nothing is allowed without a certificate or a user id");
            Finding::ok(CHECK, address, text)
        }
        count => {
            let text = format!("{count}; everybody may: {}", health.anonymous);
            Finding::ok(CHECK, address, text)
        }
    }
}
