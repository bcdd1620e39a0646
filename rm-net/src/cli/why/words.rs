//! `rmctl why` in words: a tree of who waits for whom, the chain of one request, ways over other names, and what can be
//! done.

use std::fmt::Write as _;

use rm_core::resource::ResourceType as _;
use rm_rwlock::RwLockType;

use super::follow::Path;
use super::graph::{Graph, Has, Holder, Wait};
use crate::cli::output::{BAD, PLAIN, is_unseen, readable, span, tame};

/// The most requests that a tree shows below one holder, and the most holders of a chain.
const SHOWN_MAX: usize = 24;

/// All there is to say of one resource.
pub(crate) fn in_words(graph: &Graph, from: Option<usize>, paths: &[Path]) -> String {
    let mut text = headline(graph);
    let mut tree = Tree {
        graph,
        is_shown: vec![false; graph.waits.len()],
        text: String::new(),
    };
    tree.grow();
    text.push_str(&tree.text);
    if graph.omitted > 0 {
        let _ = write!(
            text,
            "\nand {} more, of whom the server does not tell",
            graph.omitted
        );
    }
    for doubt in &graph.doubts {
        let _ = write!(text, "\nnot all is known: {}", tame(doubt));
    }
    if let Some(from) = from {
        let _ = write!(text, "\n\n{}", chain_in_words(graph, from));
    }
    for path in paths {
        let _ = write!(text, "\n\n{}", path_in_words(path));
    }
    let advice = advice(graph, paths);
    if !advice.is_empty() {
        let _ = write!(text, "\n\nwhat can be done:");
        for line in advice {
            let _ = write!(text, "\n  {line}");
        }
    }
    text
}

/// The same without styles.
#[cfg(feature = "top")]
pub(crate) fn in_plain_words(graph: &Graph, from: Option<usize>, paths: &[Path]) -> String {
    in_words(graph, from, paths)
        .replace(BAD, "")
        .replace(PLAIN, "")
}

/// What is known of it, in a line.
fn headline(graph: &Graph) -> String {
    let name = readable(graph.key.as_bytes());
    let nobody = nobody(graph);
    let kind = match tame(&graph.type_name) {
        kind if kind.is_empty() => return format!("{name}: {nobody}, nobody waits"),
        kind => kind,
    };
    let held = graph
        .holders
        .iter()
        .filter(|holder| holder.has == Has::Held);
    let held = held.count();
    match (graph.waits.len(), held, graph.caches) {
        (0, 0, 0) => format!("{name} ({kind}): nobody waits, {nobody}"),
        (0, 0, 1) => {
            format!("{name} ({kind}): nobody waits, {nobody}; one node has it cached")
        }
        (0, 0, caches) => {
            format!("{name} ({kind}): nobody waits, {nobody}; {caches} nodes have it cached")
        }
        (0, _, _) => format!("{name} ({kind}): nobody waits; it is held"),
        (1, _, _) => format!("{name} ({kind}): 1 request waits"),
        (waits, _, _) => format!("{name} ({kind}): {waits} requests wait"),
    }
}

/// That nobody holds it, as far as that is known.
const fn nobody(graph: &Graph) -> &'static str {
    if graph.is_complete() {
        "nobody holds it"
    } else {
        "nobody is known to hold it"
    }
}

/// Who it is: by the label where there is one.
fn who(node: &str, via: &str, label: &str) -> String {
    let mut text = match (tame(label), tame(node)) {
        (label, node) if label.is_empty() && node.is_empty() => "a node without a name".into(),
        (label, node) if label.is_empty() => node,
        (label, node) => format!("{label} on {node}"),
    };
    if !via.is_empty() {
        let _ = write!(text, " (by way of {})", tame(via));
    }
    text
}

fn of_holder(holder: &Holder) -> String {
    who(&holder.node, &holder.via, &holder.label)
}

fn of_wait(wait: &Wait) -> String {
    who(&wait.node, &wait.via, &wait.label)
}

/// A holder, in a line.
fn holder_in_words(holder: &Holder) -> String {
    let name = of_holder(holder);
    let mut text = match holder.has {
        Has::Held => {
            let mode = tame(&holder.mode);
            format!("{name} holds it to {mode}, for {}", span(holder.age))
        }
        Has::Cached => format!("{name} has it cached, and may use it"),
        Has::Unknown => format!("{name} may hold it, and does not answer"),
    };
    if holder.guards > 1 {
        let _ = write!(text, ", {} times", holder.guards);
    }
    if let Some(fence) = holder.fence {
        let _ = write!(text, ", fence {fence}");
    }
    if let Some(asked) = holder.asked {
        let _ = write!(text, "; asked to give way {} ago", span(asked));
    }
    if let Some(left) = holder.lease_left {
        let _ = write!(text, "; its lease ends in {} at most", span(left));
    }
    text
}

/// A request, in a line.
fn wait_in_words(wait: &Wait) -> String {
    let name = of_wait(wait);
    let age = span(wait.age);
    let mode = tame(&wait.mode);
    match (mode.is_empty(), wait.converts()) {
        (true, false) => format!("{name} waits for {age}"),
        (false, false) => format!("{name} waits to {mode}, for {age}"),
        (true, true) => format!("{name} waits to change what it holds, for {age}"),
        (false, true) => format!("{name} waits to go over to {mode}, for {age}"),
    }
}

/// Each holder with those below it that wait for it, and those below these that wait behind them.
struct Tree<'a> {
    graph: &'a Graph,
    is_shown: Vec<bool>,
    text: String,
}

impl Tree<'_> {
    fn grow(&mut self) {
        let graph = self.graph;
        for (index, holder) in graph.holders.iter().enumerate().take(SHOWN_MAX) {
            let _ = write!(self.text, "\n{}", holder_in_words(holder));
            let first = |wait: &usize| graph.waits[*wait].holders.first() == Some(&index);
            let own = holder.wanted_by.iter().copied().filter(first);
            let own: Vec<_> = own
                .filter(|&wait| graph.waits[wait].behind.is_empty())
                .collect();
            let others = holder.wanted_by.len() - own.len();
            self.branches(&own, "");
            if own.is_empty() && others > 0 {
                let _ = write!(self.text, "\n└─ waited for by who waits for others too");
            }
        }
        if graph.holders.len() > SHOWN_MAX {
            let more = graph.holders.len() - SHOWN_MAX;
            let _ = write!(self.text, "\nand {more} more holders");
        }
        // Those of which nothing is said but that they wait.
        for index in 0..graph.waits.len() {
            if !self.is_shown[index] && graph.waits[index].behind.is_empty() {
                self.is_shown[index] = true;
                let _ = write!(self.text, "\n{}", wait_in_words(&graph.waits[index]));
                let below = self.behind(index);
                self.branches(&below, "");
            }
        }
    }

    /// Those that wait behind this one and nobody nearer.
    fn behind(&self, index: usize) -> Vec<usize> {
        let is_next = |wait: &usize| self.graph.waits[*wait].behind.first() == Some(&index);
        (index + 1..self.graph.waits.len())
            .filter(is_next)
            .collect()
    }

    fn branches(&mut self, waits: &[usize], indent: &str) {
        // As deep as requests wait behind each other: not by calls, of which there is an end.
        let mut left: Vec<(usize, String, bool)> = Vec::new();
        let push = |left: &mut Vec<_>, waits: &[usize], indent: &str| {
            let shown = waits.len().min(SHOWN_MAX);
            for (place, &wait) in waits[..shown].iter().enumerate().rev() {
                left.push((wait, indent.to_owned(), place + 1 == waits.len()));
            }
        };
        push(&mut left, waits, indent);
        while let Some((index, indent, is_last)) = left.pop() {
            if std::mem::replace(&mut self.is_shown[index], true) {
                continue;
            }
            let wait = &self.graph.waits[index];
            let mut line = wait_in_words(wait);
            if !wait.behind.is_empty() {
                line.push_str(", behind that");
            }
            let others = wait.holders.len().saturating_sub(1);
            if others > 0 {
                let _ = write!(line, "; also for {others} other holders");
            }
            let branch = if is_last { "└─" } else { "├─" };
            let _ = write!(self.text, "\n{indent}{branch} {line}");
            let below = self.behind(index);
            let deeper = format!("{indent}{}", if is_last { "   " } else { "│  " });
            if below.len() > SHOWN_MAX {
                let more = below.len() - SHOWN_MAX;
                let _ = write!(self.text, "\n{deeper}({more} more wait behind that)");
            }
            push(&mut left, &below, &deeper);
        }
    }
}

/// From one request to the holders, in a sentence.
pub(crate) fn chain_in_words(graph: &Graph, from: usize) -> String {
    let chain = graph.chain(from);
    let first = &graph.waits[chain[0]];
    let mut text = format!(
        "{} ({}, for {})",
        of_wait(first),
        tame(&first.mode),
        span(first.age)
    );
    let mut verb = " waits";
    for &older in &chain[1..] {
        let wait = &graph.waits[older];
        let _ = write!(
            text,
            "{verb} behind {} ({}, for {}, asked first)",
            of_wait(wait),
            tame(&wait.mode),
            span(wait.age)
        );
        verb = ", which waits";
    }
    let last = &graph.waits[chain[chain.len() - 1]];
    let holders: Vec<String> = last
        .holders
        .iter()
        .take(SHOWN_MAX)
        .map(|&index| {
            let holder = &graph.holders[index];
            let name = of_holder(holder);
            match holder.has {
                Has::Held => format!(
                    "{name} ({}, held for {})",
                    tame(&holder.mode),
                    span(holder.age)
                ),
                Has::Cached => format!("{name}, which has it cached"),
                Has::Unknown => format!("{name}, which does not answer"),
            }
        })
        .collect();
    if holders.is_empty() {
        let _ = write!(
            text,
            "{verb} for credit that is on its way, or of which the server knows nothing yet"
        );
    } else {
        let _ = write!(text, "{verb} for {}", holders.join(", and "));
    }
    text
}

/// Over other names, in a sentence.
fn path_in_words(path: &Path) -> String {
    let mut text = String::new();
    if path.is_circle() {
        let what = if path.is_deadlock() {
            "deadlock"
        } else {
            "perhaps a deadlock"
        };
        let _ = write!(text, "{BAD}{what}:{PLAIN} ");
    }
    for (index, link) in path.links.iter().enumerate() {
        let and = if index == 0 { "" } else { "; " };
        let _ = write!(
            text,
            "{and}{} holds {} and waits for {} ({}, for {})",
            who(&link.node, "", &link.label),
            readable(link.held.as_bytes()),
            readable(link.wait.key.as_bytes()),
            tame(&link.wait.mode),
            span(link.wait.age)
        );
        if !link.is_one_task() {
            let waits = who(&link.wait.node, "", &link.wait.label);
            let _ = write!(text, ", as {waits}: that may be another task");
        }
    }
    if path.is_circle() {
        text.push_str(". Each waits for the next, and the last for the first");
    }
    text
}

/// Who has it and how many wait, in a line.
pub(crate) fn by_whom(graph: &Graph) -> String {
    let mut text = match &graph.holders[..] {
        [] => nobody(graph).into(),
        [one] => holder_in_words(one),
        [one, others @ ..] => format!("{}, and {} others", holder_in_words(one), others.len()),
    };
    let _ = match &graph.waits[..] {
        [] => write!(text, "; nobody waits"),
        [one] => write!(text, "; {}", wait_in_words(one)),
        [one, others @ ..] => {
            write!(
                text,
                "; {}, and {} others behind",
                wait_in_words(one),
                others.len()
            )
        }
    };
    if let Some(doubt) = graph.doubts.first() {
        let _ = write!(text, "; not all is known: {}", tame(doubt));
    } else if graph.omitted > 0 {
        let _ = write!(text, "; {} more are not told of", graph.omitted);
    }
    text
}

/// What people can do about it.
pub(crate) fn advice(graph: &Graph, paths: &[Path]) -> Vec<String> {
    let mut lines = Vec::new();
    if graph.waits.is_empty() {
        return lines;
    }
    let name = shell_word(graph.key.as_bytes());
    if paths.iter().any(Path::is_circle) {
        lines.push("end one of those that wait in a circle, and let all take the names in the same order ('rmctl lock a b', 'lock_all')".into());
    }
    if let Some(path) = paths.iter().find(|path| !path.is_circle())
        && let Some(last) = path.links.last()
    {
        let next = shell_word(last.wait.key.as_bytes());
        lines.push(format!("go on there: rmctl why {next}"));
    }
    let blocking = |holder: &&Holder| !holder.wanted_by.is_empty();
    for holder in graph.holders.iter().filter(blocking).take(3) {
        let who = of_holder(holder);
        lines.push(match (holder.has, holder.lease_left) {
            (Has::Held, None) => format!("let {who} finish, or end it"),
            (Has::Held | Has::Cached | Has::Unknown, Some(left)) => format!(
                "wait: {who} cannot be reached, and loses it when its lease ends, in {} at most",
                span(left)
            ),
            (Has::Cached, None) => {
                format!("look again: {who} was asked to give it back, which takes a moment")
            }
            (Has::Unknown, None) => format!(
                "see whether {who} is busy, stopped or cut off: it is connected and does not answer; if it is dead, it \
                 loses it when its lease ends"
            ),
        });
    }
    if graph.holders.iter().any(|holder| blocking(&holder)) {
        let kind = if graph.type_id == RwLockType::ID {
            String::new()
        } else {
            format!(" --type {}", graph.type_id.0)
        };
        lines.push(format!(
            "take it away: rmctl release --force{kind} --reason TEXT {name} (its holders lose it, and are told)"
        ));
    }
    if graph.is_puzzled() {
        lines.push(
            "look again in a moment; 'rmctl status' tells whether a server has just started and lends nothing yet, and \
             whether all are of this version: older ones do not say who waits for whom"
                .into(),
        );
    }
    lines
}

/// A name as a shell takes it at the end of a command, so that the command gets the same bytes. What looks like a flag has
/// `--` before it; what cannot be shown is escaped as `bash`, `zsh` and POSIX of 2024 read it.
pub(crate) fn shell_word(name: &[u8]) -> String {
    let dashes = if name.starts_with(b"-") { "-- " } else { "" };
    let is_plain = |c: char| c.is_alphanumeric() || "/._-:@%+=,".contains(c);
    match std::str::from_utf8(name) {
        Ok(text) if !text.is_empty() && text.chars().all(is_plain) => format!("{dashes}{text}"),
        Ok(text) if !text.chars().any(is_unseen) => {
            format!("{dashes}'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut word = format!("{dashes}$'");
            for &byte in name {
                // Three octal digits each time: a digit that follows cannot be taken for part of it.
                let _ = match byte {
                    b'\'' | b'\\' => write!(word, "\\{}", char::from(byte)),
                    b' '..=b'~' => write!(word, "{}", char::from(byte)),
                    _ => write!(word, "\\{byte:03o}"),
                };
            }
            word.push('\'');
            word
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::{night, view};
    use super::*;

    #[test]
    fn the_tree_shows_the_holder_then_who_waits_for_it_then_who_waits_behind_that() {
        let graph = Graph::new(night());
        let text = in_words(&graph, Some(1), &[]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "volumes/42 (rw-lock): 2 requests wait");
        assert_eq!(
            lines[1],
            "nightly on n2 holds it to read, for 4 min 0 s, fence 7; asked to give way 12.0 s ago"
        );
        assert_eq!(
            lines[2],
            "└─ resize job 7 on web-1 waits to write, for 12.0 s"
        );
        assert_eq!(
            lines[3],
            "   └─ report on web-2 waits to read, for 3.0 s, behind that"
        );
    }

    #[test]
    fn what_is_not_known_is_said_and_nobody_is_said_not_to_hold_it() {
        let mut graph = Graph::new(view("x", Vec::new()));
        assert!(in_words(&graph, None, &[]).contains("nobody holds it"));
        graph.doubts.push("b does not answer".into());
        let text = in_words(&graph, None, &[]);
        assert!(!text.contains("nobody holds it"), "{text}");
        assert!(
            text.contains("not all is known: b does not answer"),
            "{text}"
        );
        assert!(by_whom(&graph).starts_with("nobody is known to hold it"));
    }

    #[test]
    fn the_chain_is_a_sentence_from_the_waiter_to_the_holder() {
        let graph = Graph::new(night());
        assert_eq!(
            chain_in_words(&graph, 1),
            "report on web-2 (read, for 3.0 s) waits behind resize job 7 on web-1 (write, for 12.0 s, asked first), \
             which waits for nightly on n2 (read, held for 4 min 0 s)"
        );
    }

    #[test]
    fn what_can_be_done_begins_with_the_holder_and_ends_with_force() {
        let advice = advice(&Graph::new(night()), &[]);
        assert_eq!(advice[0], "let nightly on n2 finish, or end it");
        assert!(advice[1].contains("rmctl release --force --reason TEXT volumes/42"));
    }

    #[test]
    fn a_name_is_quoted_for_the_shell_where_it_must_be() {
        assert_eq!(shell_word(b"volumes/42"), "volumes/42");
        assert_eq!(shell_word(b"it's 7"), r"'it'\''s 7'");
        assert_eq!(shell_word(b"-rf"), "-- -rf");
        assert_eq!(shell_word(b"- x"), "-- '- x'");
        assert_eq!(shell_word(br"a\xff"), r"'a\xff'");
        assert_eq!(shell_word(b"a\xff1'\\\n"), r"$'a\3771\'\\\012'");
        assert_eq!(shell_word("\u{202e}x".as_bytes()), r"$'\342\200\256x'");
    }
}
