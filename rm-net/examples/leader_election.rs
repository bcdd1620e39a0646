//! Several candidates, one leader at a time. Run it with `cargo run -p rm-net --example leader_election`.
//!
//! To copy from here is [`candidate`]. A candidate asks for the write lock, and leads while its guard is valid:
//!
//! - **The fencing token is the term.** It rises from leader to leader. Whatever a leader commands carries its term, and
//!   who receives it refuses smaller ones; so a leader that was replaced while it slept commands nobody.
//! - **Those who wait are the followers.** They wait in a row, and are told by nobody: the next one is simply granted.
//! - **A leader that steps down** drops its guard, and the next one leads at once. One that dies is replaced when its
//!   lease is over; one that is cut off or suspended hears that it has lost (`lost`) and asks again.
//!
//! The rest plays it through with three processes: the first leader is killed, the second suspended past its lease, the
//! third asked to end.

mod children;

use std::error::Error;
use std::time::Duration;

use children::{Children, is_asked_to_end};
use rm_net::{Client, Node};
use rustix::process::Signal;

type Failure = Box<dyn Error + Send + Sync>;

/// As short as can be: so long nobody leads after a leader died. Longer leases bear longer pauses.
const LEASE: Duration = Duration::from_secs(1);

/// Stands for election until it is asked to end.
async fn candidate(name: &str, address: &str) -> Result<(), Failure> {
    let client = Client::builder().name(name).endpoint(address);
    let client = client.connect().await?;
    let office = client.rw_lock("scheduler/leader");
    let end = is_asked_to_end();
    tokio::pin!(end);
    loop {
        let leader = tokio::select! {
            leader = office.write().label("candidate") => leader?,
            () = &mut end => break,
        };
        println!("{name} leads, term {}", leader.fence());
        tokio::select! {
            () = lead(leader.fence()) => {}
            why = leader.lost() => {
                println!("{name} leads no more: {why}");
                continue; // it may be elected again
            }
            () = &mut end => {
                println!("{name} steps down");
                break; // the guard is dropped: the next one leads at once
            }
        }
    }
    client.close().await;
    Ok(())
}

/// What only the leader does, for as long as it leads. Each command carries the term.
async fn lead(_term: u64) {
    std::future::pending().await
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [name, address] => candidate(name, address).await,
        _ => election().await,
    }
}

async fn election() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let server = Node::builder().listen("127.0.0.1:0").lease(LEASE);
    let server = server.data_dir(dir.path()).start().await?;
    let address = server.local_addr().ok_or("it listens")?.to_string();
    tokio::task::spawn_blocking(move || play(&address)).await??;
    server.stop().await;
    Ok(())
}

fn play(address: &str) -> Result<(), Failure> {
    let mut candidates = Children::new();
    for name in ["anna", "ben", "carla"] {
        candidates.start(name, &[name, address])?;
    }
    let (first, first_term) = elected(&candidates)?;
    println!("-- {first} is killed");
    candidates.signal(&first, Signal::KILL)?;

    let (second, second_term) = elected(&candidates)?;
    println!("-- {second} is suspended for longer than its lease");
    candidates.signal(&second, Signal::STOP)?;

    let (third, third_term) = elected(&candidates)?;
    println!("-- {second} goes on");
    candidates.signal(&second, Signal::CONT)?;
    candidates.next(&format!("{second} leads no more"))?;

    println!("-- {third} is asked to end");
    candidates.ask_to_end(&third);
    let (last, last_term) = elected(&candidates)?;
    candidates.join()?;
    let terms = [first_term, second_term, third_term, last_term];
    if !terms.is_sorted_by(|one, next| one < next) || last != second || first == second {
        return Err(format!("terms {terms:?} of {first}, {second}, {third}, {last}").into());
    }
    println!("four leaders, one after the other, and their terms rose");
    Ok(())
}

/// Who leads next, and its term.
fn elected(candidates: &Children) -> Result<(String, u64), Failure> {
    let line = candidates.next(" leads, term ")?;
    let (name, term) = line.split_once(" leads, term ").ok_or("it says so")?;
    Ok((name.into(), term.parse()?))
}
