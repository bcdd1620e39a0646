//! One run: the scenario is set up, its steps are taken in the order that the seed draws, and it is judged.
//!
//! User code is called while nothing of the world is borrowed, and its panics are caught.

use core::task::{Context, Poll};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::stage::Stage;
use super::world::{Choice, World};
use super::{Fault, POINTS_MAX, Register};
use crate::testing::panic_text;
use crate::testing::random::Random;

/// More turns than any scenario takes that comes to an end.
const TURNS_MAX: usize = 100_000;

/// One of so many times, a node that stands still wakes up before time passes for the others.
const WAKES_EARLY: u64 = 2;

/// Which node fails how, and at which point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incident {
    pub(super) fault: Fault,
    pub(super) node: usize,
    pub(super) point: usize,
}

/// A run that was as it should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ran {
    pub(super) nodes: usize,
    pub(super) points: usize,
    pub(super) has_struck_a_holder: bool,
}

/// A run that was not.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) what: String,
    pub(super) fault: String,
    pub(super) trace: String,
}

impl Found {
    pub(super) fn too_long(points: usize) -> Self {
        let what = format!(
            "the scenario has {points} points, and a fault is tried at each: make it shorter, with at most {POINTS_MAX}"
        );
        Self {
            what,
            fault: "without a fault".into(),
            trace: String::new(),
        }
    }
}

pub(super) fn once(
    types: &[Register],
    seed: u64,
    incident: Option<Incident>,
    scenario: &impl Fn(&Stage),
) -> Result<Ran, Found> {
    let world = Rc::new(RefCell::new(World::new(types)));
    let outcome = caught(|| scenario(&Stage::new(Rc::clone(&world))))
        .and_then(|()| play(&world, seed, incident))
        .and_then(|ran| {
            let checks = std::mem::take(&mut world.borrow_mut().checks);
            let judged = caught(|| checks.into_iter().for_each(|check| check()));
            judged.map(|()| ran)
        });
    let outcome = outcome.map_err(|what| {
        let mut world = world.borrow_mut();
        Found {
            what,
            fault: world.describe(incident.map(|it| (it.fault, it.node, it.point))),
            trace: std::mem::take(&mut world.trace),
        }
    });
    // Tasks refer to the world, and checks may refer to tasks.
    let (tasks, checks) = {
        let mut world = world.borrow_mut();
        (world.take_tasks(), std::mem::take(&mut world.checks))
    };
    drop((tasks, checks));
    outcome
}

/// Takes steps until nothing can happen any more.
fn play(
    world: &Rc<RefCell<World>>,
    seed: u64,
    mut incident: Option<Incident>,
) -> Result<Ran, String> {
    let mut random = Random::new(seed);
    let mut points = 0;
    let mut has_struck_a_holder = false;
    for _ in 0..TURNS_MAX {
        if let Some(it) = incident.take_if(|it| it.point == points) {
            let mut world = world.borrow_mut();
            has_struck_a_holder |= world.holds(it.node);
            world.fail(it.fault, it.node);
        }
        let choices = world.borrow().choices();
        if choices.is_empty() {
            if is_over(&mut world.borrow_mut(), &mut random) {
                return rest(&world.borrow(), points, has_struck_a_holder);
            }
            continue;
        }
        let choice = choices[random.below(choices.len() as u64) as usize];
        world.borrow_mut().act(choice);
        if let Choice::Poll(task) = choice {
            poll(world, task)?;
        }
        points += 1;
    }
    Err(format!(
        "no end after {TURNS_MAX} steps: let each task come to an end by itself"
    ))
}

/// Where nothing can happen at this time, somebody wakes up or time passes. Returns whether neither can be.
fn is_over(world: &mut World, random: &mut Random) -> bool {
    match (world.standing(), world.next_time()) {
        (None, None) => return true,
        (None, Some(time)) => world.pass_until(time),
        (Some(node), None) => world.wake_up(node),
        (Some(node), Some(_)) if random.one_in(WAKES_EARLY) => world.wake_up(node),
        (Some(_), Some(time)) => world.pass_until(time),
    }
    false
}

fn rest(world: &World, points: usize, has_struck_a_holder: bool) -> Result<Ran, String> {
    let unfinished = world.unfinished();
    if unfinished.is_empty() {
        return Ok(Ran {
            nodes: world.nodes(),
            points,
            has_struck_a_holder,
        });
    }
    Err(format!(
        "it waits for ever, and nothing is under way: {}",
        unfinished.join(", ")
    ))
}

/// Lets a task go on to its next point.
fn poll(world: &Rc<RefCell<World>>, index: usize) -> Result<(), String> {
    let lifted = world.borrow_mut().lift(index);
    let Some((mut task, waker)) = lifted else {
        return Ok(());
    };
    match caught(|| task.as_mut().poll(&mut Context::from_waker(&waker)))? {
        Poll::Pending => world.borrow_mut().put_back(index, task),
        Poll::Ready(()) => world.borrow_mut().on_task_done(index),
    }
    Ok(())
}

fn caught<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    let done = catch_unwind(AssertUnwindSafe(run));
    done.map_err(|panic| format!("panic: {}", panic_text(&*panic)))
}
