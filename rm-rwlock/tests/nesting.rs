//! What debug builds say of a task that reads twice.

#![cfg(debug_assertions)]

mod common;

use core::fmt::Debug;
use std::sync::{Arc, Mutex};

use rm_rwlock::all::{Named, lock_all};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use self::common::{World, step_of, task};

/// Keeps the warnings, each as its fields in one line.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Warnings {
    fn take(&self) -> Vec<String> {
        core::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Line(String);
        impl Visit for Line {
            fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
                self.0 += &format!("{}={value:?} ", field.name());
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().expect("no panic").push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn listening(test: impl FnOnce(&World, &Warnings)) {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || test(&World::root(), &warnings));
}

#[test]
fn a_second_read_behind_a_waiting_writer_is_told_once_with_both_places() {
    listening(|world, warnings| {
        let (lock, reader) = (world.lock("x"), task());
        let first_line = line!() + 1;
        let _first = step_of(lock.read(), reader.clone()).ready().expect("free");
        let mut writing = step_of(lock.write(), task());
        assert!(writing.is_pending());
        let second_line = line!() + 1;
        let mut second = step_of(lock.read(), reader);
        assert!(second.is_pending() && second.is_pending());
        let said = warnings.take();
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [
            "lock=x",
            "read_recursive",
            &format!("first={}:{first_line}:", file!()),
            &format!("second={}:{second_line}:", file!()),
        ] {
            assert!(said[0].contains(part), "{part} in {said:?}");
        }
    });
}

#[test]
fn a_second_read_that_need_not_wait_is_nothing_to_speak_of() {
    listening(|world, warnings| {
        let (lock, reader) = (world.lock("x"), task());
        let _first = step_of(lock.read(), reader.clone()).ready().expect("free");
        let _second = step_of(lock.read(), reader).ready().expect("shared");
        assert_eq!(warnings.take(), [""; 0]);
    });
}

#[test]
fn the_second_read_of_another_task_is_nothing_to_speak_of() {
    listening(|world, warnings| {
        let lock = world.lock("x");
        let _first = step_of(lock.read(), task()).ready().expect("free");
        let mut writing = step_of(lock.write(), task());
        assert!(writing.is_pending());
        assert!(step_of(lock.read(), task()).is_pending());
        assert_eq!(warnings.take(), [""; 0]);
    });
}

#[test]
fn a_read_after_the_first_was_dropped_is_nothing_to_speak_of() {
    listening(|world, warnings| {
        let (lock, reader) = (world.lock("x"), task());
        let other = step_of(lock.read(), task()).ready().expect("free");
        drop(
            step_of(lock.read(), reader.clone())
                .ready()
                .expect("shared"),
        );
        let mut writing = step_of(lock.write(), task());
        assert!(writing.is_pending());
        assert!(step_of(lock.read(), reader).is_pending());
        assert_eq!(warnings.take(), [""; 0]);
        drop(other);
    });
}

#[test]
fn a_try_that_waits_for_nobody_is_nothing_to_speak_of() {
    listening(|world, warnings| {
        let (lock, reader) = (world.lock("x"), task());
        let _first = step_of(lock.read(), reader.clone()).ready().expect("free");
        let mut writing = step_of(lock.write(), task());
        assert!(writing.is_pending());
        assert!(step_of(lock.try_read(), reader).ready().is_err());
        assert_eq!(warnings.take(), [""; 0]);
    });
}

#[test]
fn a_read_that_waits_for_the_server_and_no_writer_is_nothing_to_speak_of() {
    let warnings = Warnings::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        let mut world = World::debtor();
        world.begin_session();
        world.grant_share("x");
        let (lock, reader) = (world.lock("x"), task());
        let _first = step_of(lock.read(), reader.clone())
            .ready()
            .expect("granted");
        // What has a label has a hold of its own, and that takes a share more.
        assert!(step_of(lock.read().label("mine"), reader).is_pending());
    });
    assert_eq!(warnings.take(), [""; 0]);
}

#[test]
fn locks_that_are_taken_together_are_known_by_the_place_where_they_were_asked_for() {
    listening(|world, warnings| {
        let (lock, reader) = (world.lock("x"), task());
        let _first = step_of(lock.read(), reader.clone()).ready().expect("free");
        let mut writing = step_of(lock.write(), task());
        assert!(writing.is_pending());
        let second_line = line!() + 1;
        let mut all = step_of(lock_all(&world.domain, [Named::read("x")]), reader);
        assert!(all.is_pending());
        let said = warnings.take();
        let place = format!("second={}:{second_line}:", file!());
        assert!(said[0].contains(&place), "{place} in {said:?}");
    });
}

#[test]
fn a_recursive_read_is_nothing_to_speak_of_and_keeps_the_task_a_reader() {
    listening(|world, warnings| {
        let (lock, reader) = (world.lock("x"), task());
        let first = step_of(lock.read(), reader.clone()).ready().expect("free");
        let mut writing = step_of(lock.write(), task());
        assert!(writing.is_pending());
        let second = first.read_recursive();
        drop(first);
        assert_eq!(warnings.take(), [""; 0]);
        assert!(step_of(lock.read(), reader).is_pending());
        assert_eq!(warnings.take().len(), 1, "it still reads");
        drop(second);
    });
}
