//! Locks that cost packets: beside the raw round trip of the same frames over loopback, in the same runtime.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rm_net::{Client, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rounds::{Rounds, alone, line, text, timed};

/// Rounds, and operations in each.
const ROUNDS: usize = 11;
const OPERATIONS: u64 = 1_000;
/// About as many bytes as a want and a grant have.
const FRAME: usize = 90;

pub(crate) async fn run() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Node::builder()
        .listen("127.0.0.1:0")
        .data_dir(dir.path())
        .start()
        .await;
    let server = server.expect("started");
    let endpoint = server.local_addr().expect("it listens").to_string();
    uncached(&endpoint).await;
    hand_over(&endpoint).await;
    many(&endpoint).await;
    server.stop().await;
}

/// The first read of a lock, beside a raw round trip.
async fn uncached(endpoint: &str) {
    let client = Client::connect(endpoint).await.expect("connected");
    let mut raw = Raw::start().await;
    let (mut ours, mut beside) = (Rounds::default(), Rounds::default());
    for round in 0..ROUNDS {
        let spent = timed(async {
            for n in 0..OPERATIONS {
                let lock = client.rw_lock(format!("uncached/{round}/{n}"));
                drop(lock.read().await.expect("granted"));
            }
        });
        ours.add(spent.await, OPERATIONS);
        let spent = timed(async {
            for _ in 0..OPERATIONS {
                raw.round_trip().await;
            }
        });
        beside.add(spent.await, OPERATIONS);
    }
    line(
        "first read of a lock; raw round trip",
        ours.median(),
        beside.median(),
    );
    client.close().await;
}

/// Two clients write in turn: each takes the lock from the other.
async fn hand_over(endpoint: &str) {
    let a = Client::connect(endpoint).await.expect("connected");
    let b = Client::connect(endpoint).await.expect("connected");
    let locks = [a.rw_lock("hand-over"), b.rw_lock("hand-over")];
    let mut raw = Raw::start().await;
    let (mut ours, mut beside) = (Rounds::default(), Rounds::default());
    for _ in 0..ROUNDS {
        let spent = timed(async {
            for n in 0..OPERATIONS {
                drop(locks[(n % 2) as usize].write().await.expect("granted"));
            }
        });
        ours.add(spent.await, OPERATIONS);
        let spent = timed(async {
            for _ in 0..OPERATIONS {
                raw.round_trip().await;
            }
        });
        beside.add(spent.await, OPERATIONS);
    }
    line(
        "write taken from another client; raw round trip",
        ours.median(),
        beside.median(),
    );
    a.close().await;
    b.close().await;
}

/// Many tasks of one client, each with locks of its own: throughput, and how long the slow ones wait.
async fn many(endpoint: &str) {
    const TASKS: u64 = 256;
    const EACH: u64 = 400;
    let client = Client::connect(endpoint).await.expect("connected");
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut waits = Vec::with_capacity(EACH as usize);
                for n in 0..EACH {
                    let lock = client.rw_lock(format!("many/{task}/{n}"));
                    let begin = Instant::now();
                    drop(lock.read().await.expect("granted"));
                    waits.push(begin.elapsed());
                }
                waits
            })
        })
        .collect();
    let mut waits = Histogram::<u64>::new(3).expect("three digits");
    for task in tasks {
        for wait in task.await.expect("no panic") {
            waits.record(wait.as_nanos() as u64).expect("it grows");
        }
    }
    let spent = start.elapsed();
    let rate = (TASKS * EACH) as f64 / spent.as_secs_f64();
    alone(
        "grants per second, 256 tasks of one client",
        &format!("{rate:.0}"),
    );
    let waited = |quantile| text(waits.value_at_quantile(quantile) as f64);
    alone("  waited, median", &waited(0.5));
    alone("  waited, 99 %", &waited(0.99));
    client.close().await;
}

/// A server that sends every frame back, with a reading and a writing task on each side, as ours have.
struct Raw {
    requests: tokio::sync::mpsc::Sender<()>,
    answers: tokio::sync::mpsc::Receiver<()>,
}

impl Raw {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("accepted");
            echo(stream).await;
        });
        let stream = TcpStream::connect(address).await.expect("connected");
        stream.set_nodelay(true).expect("a socket");
        let stream = Arc::new(stream);
        let (requests, mut to_send) = tokio::sync::mpsc::channel(1);
        let (received, answers) = tokio::sync::mpsc::channel(1);
        let writer = Arc::clone(&stream);
        tokio::spawn(async move {
            while let Some(()) = to_send.recv().await {
                write_all(&writer, &[7; FRAME]).await;
            }
        });
        tokio::spawn(async move {
            let mut buffer = [0; FRAME];
            while read_exact(&stream, &mut buffer).await {
                if received.send(()).await.is_err() {
                    return;
                }
            }
        });
        Self { requests, answers }
    }

    async fn round_trip(&mut self) {
        self.requests.send(()).await.expect("the writer runs");
        let answer = tokio::time::timeout(Duration::from_secs(5), self.answers.recv()).await;
        answer.expect("in time").expect("the reader runs");
    }
}

/// A task reads, and another one writes what it read.
async fn echo(stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket");
    let (mut read, mut write) = stream.into_split();
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<[u8; FRAME]>(16);
    tokio::spawn(async move {
        while let Some(frame) = receiver.recv().await {
            if write.write_all(&frame).await.is_err() {
                return;
            }
        }
    });
    let mut buffer = [0; FRAME];
    while read.read_exact(&mut buffer).await.is_ok() {
        if sender.send(buffer).await.is_err() {
            return;
        }
    }
}

async fn write_all(stream: &TcpStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        stream.writable().await.expect("connected");
        match stream.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn read_exact(stream: &TcpStream, buffer: &mut [u8]) -> bool {
    let mut filled = 0;
    while filled < buffer.len() {
        if stream.readable().await.is_err() {
            return false;
        }
        match stream.try_read(&mut buffer[filled..]) {
            Ok(0) => return false,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    true
}
