//! Processes that live shortly: each connects, takes one lock to read, and leaves; straight to the server, or through an
//! agent that has the credit already.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rm_net::Node;

use crate::delay::delayed;
use crate::place::{Place, Way};
use crate::{line, median};

/// How long a round trip takes.
const ROUND_TRIPS: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(10),
];
/// How often each is done.
const TURNS: usize = 51;
const NAME: &str = "short";

pub(crate) async fn run(place: &Place) {
    println!("connect, take a lock to read, leave: the same lock each time");
    let columns = ["plain", "TLS 1.3", "agent", "plain:agent", "TLS:agent"];
    line("", &columns.map(String::from));
    for round_trip in ROUND_TRIPS {
        at(place, round_trip).await;
    }
    let alone = (0..TURNS).map(|_| run_to_end(&mut Command::new("true")));
    line("  the command alone", &[median(alone.collect())]);
}

async fn at(place: &Place, round_trip: Duration) {
    let far = |address| match round_trip {
        Duration::ZERO => address,
        _ => delayed(address, round_trip / 2).expect("a port"),
    };
    let plain = place.plain_at(far(place.plain_addr()));
    let tls = place.tls_at(far(place.tls_addr()));
    let socket = place.dir.path().join("agent.sock");
    let socket = format!("unix:{}", socket.display());
    let agent = Node::builder()
        .name("agent")
        .listen(&socket)
        .creditor(&plain.endpoint);
    let agent = agent.start().await.expect("started");
    let by_agent = Way {
        endpoint: socket,
        files: None,
    };
    let ways = [plain, tls, by_agent];
    // The first one through the agent waits for the network, as any.
    in_process(&ways[2]).await;
    let (mut library, mut process) = ([vec![], vec![], vec![]], [vec![], vec![], vec![]]);
    for _ in 0..TURNS {
        for (way, spent) in ways.iter().zip(&mut library) {
            spent.push(in_process(way).await);
        }
        for (way, spent) in ways.iter().zip(&mut process) {
            let mut command = rmctl(way);
            let ran = tokio::task::spawn_blocking(move || run_to_end(&mut command));
            spent.push(ran.await.expect("it ran"));
        }
    }
    println!(
        "  round trip to the server: loopback and {} ms",
        round_trip.as_millis()
    );
    print("  the library: connect, read, close", library);
    print("  rmctl lock -s NAME -- true", process);
    agent.stop().await;
}

fn print(what: &str, spent: [Vec<Duration>; 3]) {
    let middle = |spent: &Vec<Duration>| {
        let mut spent = spent.clone();
        spent.sort();
        spent[spent.len() / 2].as_secs_f64()
    };
    let [plain, tls, agent] = [0, 1, 2].map(|way| middle(&spent[way]));
    let mut cells = spent.map(median).to_vec();
    cells.extend([plain / agent, tls / agent].map(|ratio| format!("{ratio:.1}")));
    line(what, &cells);
}

async fn in_process(way: &Way) -> Duration {
    let start = Instant::now();
    let client = way.client().await;
    drop(client.rw_lock(NAME).read().await.expect("granted"));
    client.close().await;
    start.elapsed()
}

fn rmctl(way: &Way) -> Command {
    let own = std::env::current_exe().expect("this program");
    let program: PathBuf = own.with_file_name("rmctl");
    let mut command = Command::new(program);
    command.env("RM_ENDPOINTS", &way.endpoint);
    if let Some(files) = &way.files {
        command.env("RM_TLS_CERT", &files.cert);
        command.env("RM_TLS_KEY", &files.key);
        command.env("RM_TLS_CA", &files.cert);
    }
    command.args(["lock", "-s", NAME, "--", "true"]);
    command
}

fn run_to_end(command: &mut Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status();
    let spent = start.elapsed();
    let status = status.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
    spent
}
