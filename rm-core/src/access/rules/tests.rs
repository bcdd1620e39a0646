//! One rule about rules each.

use super::*;

const RW: TypeId = TypeId(1);
const SEMAPHORE: TypeId = TypeId(2);

fn who(name: &str) -> Identity {
    Identity::certified(name).unwrap()
}

fn key(name: &str) -> ResourceKey {
    ResourceKey::new(name.as_bytes()).unwrap()
}

fn rule(who: &str, what: &[Action]) -> Rule {
    Rule::new([who], what.iter().copied()).unwrap()
}

fn about(who: &str, what: &[Action], prefix: &str) -> Rule {
    rule(who, what).names([prefix]).unwrap()
}

fn rules(allow: Vec<Rule>, deny: Vec<Rule>) -> Rules {
    Rules::new(allow, deny).unwrap()
}

fn may(rules: &Rules, identity: &str, action: Action, name: &str) -> bool {
    let key = key(name);
    let target = Target::Resource(RW, &key);
    rules.check(&who(identity), action, target).is_ok()
}

#[test]
fn without_rules_everything_is_allowed_and_with_one_nothing_that_none_allows() {
    for action in Action::ALL {
        assert!(may(&Rules::open(), "x", action, "n"));
        assert!(Rules::new(vec![], vec![]).unwrap().is_open());
    }
    let one = rules(vec![rule("web-1", &[Action::Read])], vec![]);
    assert!(may(&one, "web-1", Action::Read, "n"));
    assert!(!may(&one, "web-2", Action::Read, "n"));
    assert!(!may(&one, "web-1", Action::Operate, "n"));
}

#[test]
fn a_deny_rule_wins_wherever_it_stands() {
    let allow = vec![rule("*", &[Action::Write])];
    let deny = vec![about("ci-*", &[Action::Write], "prod/")];
    let rules = rules(allow, deny);
    assert!(may(&rules, "ci-7", Action::Write, "test/a"));
    assert!(!may(&rules, "ci-7", Action::Write, "prod/a"));
    assert!(may(&rules, "ci-7", Action::Read, "prod/a"));
    assert!(may(&rules, "web", Action::Write, "prod/a"));
}

#[test]
fn who_may_write_may_read_and_who_may_not_read_may_not_write() {
    let writer = rules(vec![rule("a", &[Action::Write])], vec![]);
    assert!(may(&writer, "a", Action::Read, "n"));
    let blind = rules(
        vec![rule("*", &[Action::Write])],
        vec![rule("b", &[Action::Read])],
    );
    assert!(!may(&blind, "b", Action::Write, "n"));
}

#[test]
fn a_star_stands_for_any_start_or_end_and_nothing_else_is_a_pattern() {
    let rules = rules(
        vec![
            rule("spiffe://prod/*", &[Action::Read]),
            rule("*.db.local", &[Action::Read]),
        ],
        vec![],
    );
    assert!(may(&rules, "spiffe://prod/web", Action::Read, "n"));
    assert!(may(&rules, "n1.db.local", Action::Read, "n"));
    assert!(!may(&rules, "spiffe://test/web", Action::Read, "n"));
    for bad in ["", "a*b", "*a*", "**", "a\n"] {
        let refused = Rule::new([bad], [Action::Read]);
        assert_eq!(refused, Err(BadRule::Identity { text: bad.into() }));
    }
}

#[test]
fn a_rule_with_names_or_types_says_nothing_of_the_node() {
    let of_names = about("a", &[Action::Inspect], "vol/");
    let of_types = rule("b", &[Action::Inspect]).types([SEMAPHORE]).unwrap();
    let rules = rules(
        vec![of_names, of_types, rule("c", &[Action::Inspect])],
        vec![],
    );
    let node = |name| {
        rules
            .check(&who(name), Action::Inspect, Target::Node)
            .is_ok()
    };
    assert!(!node("a") && !node("b") && node("c"));
    assert!(may(&rules, "a", Action::Inspect, "vol/1"));
    assert!(!may(&rules, "a", Action::Inspect, "vo"));
    assert!(!may(&rules, "b", Action::Inspect, "vol/1"));
    let semaphore = key("vol/1");
    let target = Target::Resource(SEMAPHORE, &semaphore);
    assert_eq!(rules.check(&who("b"), Action::Inspect, target), Ok(()));
}

#[test]
fn the_answer_names_the_rule_and_whom_it_took_somebody_for() {
    let rules = rules(
        vec![rule("ci-*", &[Action::Read, Action::Write])],
        vec![
            rule("ci-1", &[Action::Operate]),
            about("ci-*", &[Action::Write], "prod/"),
        ],
    );
    let why = |identity: &str, name| {
        let key = key(name);
        let target = Target::Resource(RW, &key);
        rules
            .check(&who(identity), Action::Write, target)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        why("ci-7", "prod/a"),
        "[[deny]] rule 2 forbids ci-7 to write"
    );
    assert_eq!(why("web", "prod/a"), "no [[allow]] rule lets web write");
    let outside = rules.admit(&who("web")).unwrap_err();
    assert_eq!(outside.to_string(), "no [[allow]] rule lets web connect");
    assert_eq!(rules.admit(&who("ci-1")), Ok(()));
}

#[test]
fn an_allowance_says_how_much_at_most() {
    let rules = rules(
        vec![rule("*", &[Action::Read]), rule("a", &[Action::Write])],
        vec![rule("c", &[Action::Read])],
    );
    let most = |name| rules.allowance(&who(name), RW, &key("n")).most();
    assert_eq!(most("a"), Some(Access::Exclusive));
    assert_eq!(most("b"), Some(Access::Share));
    assert_eq!(most("c"), None);
    let b = rules.allowance(&who("b"), RW, &key("n"));
    assert!(b.check(Access::Share).is_ok() && b.check(Access::Exclusive).is_err());
}

#[test]
fn rules_that_cannot_be_meant_so_are_refused_with_advice() {
    let read = || rule("a", &[Action::Read]);
    let all = rule("*", &Action::ALL);
    let refused = |allow, deny| Rules::new(allow, deny).unwrap_err();
    assert_eq!(refused(vec![], vec![read()]), BadRules::NothingAllowed);
    let twice = BadRules::Twice { number: 2, same: 1 };
    assert_eq!(refused(vec![read(), read()], vec![]), twice);
    let unreachable = BadRules::Unreachable { number: 1, deny: 1 };
    assert_eq!(
        refused(vec![about("a*", &[Action::Write], "x/")], vec![all]),
        unreachable
    );
    // Reading is left of it.
    let deny = vec![rule("*", &[Action::Write])];
    assert!(Rules::new(vec![rule("a", &[Action::Write])], deny).is_ok());
    let many = (0..=RULES_MAX).map(|n| rule(&format!("a{n}"), &[Action::Read]));
    let count = RULES_MAX + 1;
    assert_eq!(refused(many.collect(), vec![]), BadRules::TooMany { count });
}

#[test]
fn a_rule_without_anybody_or_anything_is_refused() {
    let nobody = Rule::new([""; 0], [Action::Read]);
    assert_eq!(nobody, Err(BadRule::Empty { key: "who" }));
    assert_eq!(Rule::new(["a"], []), Err(BadRule::Empty { key: "what" }));
    let crowd = Rule::new((0..=ENTRIES_MAX).map(|n| n.to_string()), [Action::Read]);
    assert_eq!(crowd, Err(BadRule::TooMany { key: "who" }));
    let every = rule("a", &[Action::Read]).names([""]);
    assert_eq!(every, Err(BadRule::Name { bytes: 0 }));
}
