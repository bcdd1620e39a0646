//! Visits every state.
//!
//! A depth-first walk visits each state once, told by 128 bits, and sees every cycle: a state that leads back
//! to itself is still on the path. A cycle is a livelock, since nothing but the protocol keeps it going. Only the
//! states on the path are kept; of the others 16 bytes.
//!
//! A depth-first walk finds long counterexamples. So when it finds one, a breadth-first walk looks for the
//! shortest.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::hash::Identities;
use super::identity::Scratch;
use super::invariants::Checked;
use super::store::Store;
use super::world::{Action, Actions, Fault, Plan, Reduction, World};
use crate::resource::ResourceType;

/// How far a search goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// More states are an error: the scenario is too large.
    pub(super) states_max: usize,
    /// A longer run is an error: the scenario does not end.
    pub(super) steps_max: usize,
}

impl Limits {
    fn check(self, states: usize, steps: usize) -> Result<(), Fault> {
        let Self {
            states_max,
            steps_max,
        } = self;
        if states > states_max {
            return Err(Fault(format!(
                "more than {states_max} states: the scenario is too large"
            )));
        }
        if steps > steps_max {
            return Err(Fault(format!(
                "a run of more than {steps_max} steps: it does not end"
            )));
        }
        Ok(())
    }
}

/// How much was visited.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Visited {
    pub(super) states: u64,
    pub(super) quiet: u64,
    pub(super) transitions: u64,
    pub(super) deepest: usize,
}

/// A run that must not be.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: Vec<Action>,
    /// At the end of the path, steps that lead back there.
    pub(super) cycle: Vec<Action>,
    pub(super) fault: Fault,
    /// How many distinct states of its order were visited until then.
    pub(super) states: usize,
}

/// The most states that the walk for the shortest counterexample looks at.
const SHORTEST_STATES_MAX: usize = 1_000_000;

/// One state of the path of the depth-first walk.
struct Frame {
    world: World,
    identity: u128,
    actions: Actions,
    /// How many of them were done.
    done: usize,
}

impl Frame {
    const fn new(world: World, identity: u128, actions: Actions) -> Self {
        Self {
            world,
            identity,
            actions,
            done: 0,
        }
    }

    /// The next action and the world in which to do it.
    fn next(&mut self) -> Option<(Action, World)> {
        let action = *self.actions.get(self.done)?;
        self.done += 1;
        Some((action, self.world.clone()))
    }
}

/// Visits every state of one run.
pub(super) fn visit_all<T: ResourceType>(plan: &Plan<T>, limits: Limits) -> Result<Visited, Found> {
    match depth_first(plan, limits) {
        Ok(visited) => Ok(visited),
        Err(found) if found.cycle.is_empty() => Err(shorter(plan, found)),
        Err(found) => Err(shorter_cycle(plan, found)),
    }
}

fn depth_first<T: ResourceType>(plan: &Plan<T>, limits: Limits) -> Result<Visited, Found> {
    let mut mover = Mover::new(plan);
    let mut seen = Identities::default();
    let mut on_path = Identities::default();
    let mut stack: Vec<Frame> = Vec::new();
    // No word is under way at the start.
    let mut visited = Visited {
        quiet: 1,
        ..Visited::default()
    };
    let fail = |stack: &[Frame], states, fault| Found {
        path: path_of(stack),
        cycle: Vec::new(),
        fault,
        states,
    };

    let reduction = plan.sound_reduction();
    let tried = |world: &World| match reduction {
        Reduction::None => world.actions(plan),
        Reduction::PersistentSets => plan.reduced(world, world.actions(plan)),
    };

    let world = mover.start();
    let identity = mover.identity(&world);
    seen.insert(identity);
    on_path.insert(identity);
    let actions = tried(&world);
    stack.push(Frame::new(world, identity, actions));
    while let Some(top) = stack.last_mut() {
        let Some((action, mut world)) = top.next() else {
            on_path.remove(&top.identity);
            stack.pop();
            continue;
        };
        visited.transitions += 1;
        mover
            .go(&mut world, action)
            .map_err(|fault| fail(&stack, seen.len(), fault))?;
        let identity = mover.identity(&world);
        if !seen.insert(identity) {
            if on_path.contains(&identity) {
                return Err(cycle_of(&stack, seen.len(), identity));
            }
            continue;
        }
        let actions = tried(&world);
        mover
            .check(&world, &actions)
            .map_err(|fault| fail(&stack, seen.len(), fault))?;
        visited.deepest = visited.deepest.max(stack.len());
        visited.quiet += u64::from(world.is_quiet());
        if let Err(fault) = limits.check(seen.len(), stack.len()) {
            return Err(fail(&stack, seen.len(), fault));
        }
        on_path.insert(identity);
        stack.push(Frame::new(world, identity, actions));
    }
    visited.states = seen.len() as u64;
    Ok(visited)
}

/// The actions that led to the last one tried.
fn path_of(stack: &[Frame]) -> Vec<Action> {
    stack
        .iter()
        .map(|frame| frame.actions[frame.done - 1])
        .collect()
}

fn cycle_of(stack: &[Frame], states: usize, identity: u128) -> Found {
    let start = stack.iter().position(|frame| frame.identity == identity);
    let start = start.expect("a state on the path is on the stack");
    let mut path = path_of(stack);
    let cycle = path.split_off(start);
    Found {
        path,
        cycle,
        fault: Fault("livelock: these steps lead back to the same state".into()),
        states,
    }
}

/// The shortest run to any fault; the one that was found if there are too many states before it.
fn shorter<T: ResourceType>(plan: &Plan<T>, found: Found) -> Found {
    let mut mover = Mover::new(plan);
    let start = mover.start();
    match breadth_first(&mut mover, &start, &Identities::default()) {
        Some((path, Some(fault))) => Found {
            path,
            cycle: Vec::new(),
            fault,
            ..found
        },
        Some((_, None)) | None => found,
    }
}

/// The shortest run to any state of the cycle, and the shortest way back to it from there.
fn shorter_cycle<T: ResourceType>(plan: &Plan<T>, found: Found) -> Found {
    let mut mover = Mover::new(plan);
    let mut world = mover.start();
    let mut on_cycle = Identities::default();
    let steps = found.path.iter().chain(&found.cycle).enumerate();
    on_cycle.extend(steps.filter_map(|(index, &action)| {
        mover.go(&mut world, action).ok()?;
        (index >= found.path.len()).then(|| mover.identity(&world))
    }));
    let start = mover.start();
    let path = match breadth_first(&mut mover, &start, &on_cycle) {
        Some((path, Some(fault))) => {
            return Found {
                path,
                cycle: Vec::new(),
                fault,
                ..found
            };
        }
        Some((path, None)) => path,
        None => return found,
    };
    let mut entry = start;
    for &action in &path {
        if mover.go(&mut entry, action).is_err() {
            return found;
        }
    }
    let back = Identities::from_iter([mover.identity(&entry)]);
    match breadth_first(&mut mover, &entry, &back) {
        Some((cycle, None)) => Found {
            path,
            cycle,
            ..found
        },
        Some((_, Some(_))) | None => found,
    }
}

/// The shortest way from `start` to a fault or, in at least one step, to one of the `goals`. It leaves nothing out: a
/// reduced search would find longer ones.
fn breadth_first<T: ResourceType>(
    mover: &mut Mover<'_, T>,
    start: &World,
    goals: &Identities,
) -> Option<(Vec<Action>, Option<Fault>)> {
    let plan = mover.plan;
    let mut seen = Identities::default();
    // How each state was reached: from which other one, and how.
    let mut reached: Vec<(usize, Action)> = Vec::new();
    let path_to = |reached: &[(usize, Action)], mut from: usize, last| {
        let mut path = vec![last];
        while from > 0 {
            let (before, action) = reached[from - 1];
            path.push(action);
            from = before;
        }
        path.reverse();
        path
    };
    let mut queue = VecDeque::from([(start.clone(), 0)]);
    while let Some((world, number)) = queue.pop_front() {
        for action in world.actions(plan) {
            let mut next = world.clone();
            if let Err(fault) = mover.go(&mut next, action) {
                return Some((path_to(&reached, number, action), Some(fault)));
            }
            let identity = mover.identity(&next);
            if goals.contains(&identity) {
                return Some((path_to(&reached, number, action), None));
            }
            if !seen.insert(identity) {
                continue;
            }
            if let Err(fault) = mover.check(&next, &next.actions(plan)) {
                return Some((path_to(&reached, number, action), Some(fault)));
            }
            reached.push((number, action));
            if reached.len() > SHORTEST_STATES_MAX {
                return None;
            }
            queue.push_back((next, reached.len()));
        }
    }
    None
}

/// Does actions, and remembers what came of them. A panic of the owner is a fault like others.
struct Mover<'a, T: ResourceType> {
    plan: &'a Plan<T>,
    store: Store<T>,
    scratch: Scratch,
}

impl<'a, T: ResourceType> Mover<'a, T> {
    fn new(plan: &'a Plan<T>) -> Self {
        Self {
            plan,
            store: Store::new(),
            scratch: Scratch::default(),
        }
    }

    fn start(&mut self) -> World {
        World::new(self.plan, &mut self.store)
    }

    fn go(&mut self, world: &mut World, action: Action) -> Result<(), Fault> {
        world.go(self.plan, &mut self.store, action).map(|_| ())
    }

    fn check(&self, world: &World, actions: &Actions) -> Result<(), Fault> {
        let (plan, store) = (self.plan, &self.store);
        let checked = Checked { world, plan, store };
        without_panic(|| {
            checked.check()?;
            if actions.is_empty() {
                checked.check_end()
            } else {
                Ok(())
            }
        })
    }

    fn identity(&mut self, world: &World) -> u128 {
        world.identity(self.plan, &self.store, &mut self.scratch)
    }
}

/// Makes a panic a fault.
pub(super) fn without_panic<R>(act: impl FnOnce() -> Result<R, Fault>) -> Result<R, Fault> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no text");
        Err(Fault(format!("panic: {text}")))
    })
}
