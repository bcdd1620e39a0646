//! The guide to a resource type of one's own (docs/DEFINING_A_RESOURCE_TYPE.md): what it shows is compiled, verified and
//! run, in one process and between several.

#[path = "common/example.rs"]
mod example;
#[path = "../examples/seats/mod.rs"]
mod seats;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use example::example;
use rm_core::front::{Acquire, Ask};
use rm_core::id::ResourceKey;
use rm_core::testing::script::Language;
use rm_core::testing::verify::{Failed, Samples, verify};
use rm_net::Node;
use seats::{Seats, Train};

#[test]
fn the_type_keeps_the_laws_and_its_small_worlds_are_right() -> Result<(), Failed> {
    let asks = [Seats(0b001), Seats(0b011), Seats(0b111)];
    let verified = verify(&Train { seats: 3 }, &Samples::new(asks))?;
    println!("{verified}");
    Ok(())
}

#[test]
fn a_seat_is_called_back_for_who_waits_for_it_and_no_other() {
    let language = Language::of(Train { seats: 3 })
        .word("window", Seats(0b001))
        .word("aisle", Seats(0b010))
        .word("both", Seats(0b011));
    language.play(
        "
        tree  office; Anna, Ben < office
        A at Anna: window
        B at Ben: aisle
        settle; expect A and B hold                 # nobody waits: they are different seats
        C at Ben: both
        settle; expect C waits, A told of C
        A releases; B releases; settle; expect C holds
        ",
    );
}

#[tokio::test]
async fn the_type_works_alone_in_one_process() {
    let node = Node::builder().register(Train { seats: 40 }).standalone();
    let key = ResourceKey::new(b"IC 104").expect("a name");
    let train = node.domain().resource::<Train>(&key).expect("room");
    let mine = Acquire::new(&*train, Ask::new(Seats(0b11)))
        .await
        .expect("free");
    assert!(mine.is_valid());
}

#[test]
fn the_type_works_over_a_daemon_that_registered_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut server = Server::start(&dir);
    let client = Command::new(example("seats_client"))
        .arg(&server.address)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&client.stdout);
    let lines: Vec<_> = said.lines().collect();
    let [first, second, third] = lines[..] else {
        panic!("three lines: {client:?}");
    };
    assert!(first.starts_with("seats 1 and 2, token "), "{first}");
    assert!(second.starts_with("seat 2 is held by "), "{second}");
    assert!(third.starts_with("seats 1 to 3, token "), "{third}");
    server.child.kill().expect("it runs");
}

/// The example daemon, on a port of the system's choice.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(dir: &tempfile::TempDir) -> Self {
        let mut child = Command::new(example("seats_server"))
            .args(["--json", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let ready: serde_json::Value = serde_json::from_str(&line).expect("an object");
        let address = ready["address"].as_str().expect("an address").to_owned();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_guide_shows_the_code_as_it_is() {
    let guide = include_str!("../../docs/DEFINING_A_RESOURCE_TYPE.md");
    let code = [
        include_str!("../examples/seats/mod.rs"),
        include_str!("../examples/seats_server.rs"),
        include_str!("../examples/seats_client.rs"),
        include_str!("defining.rs"),
    ];
    let shown = guide.split("```rust\n").skip(1);
    let shown: Vec<_> = shown.filter_map(|rest| rest.split("```").next()).collect();
    assert!(shown.len() >= 6, "the guide shows code");
    for block in shown {
        let is_there = code.iter().any(|file| file.contains(block.trim_end()));
        assert!(is_there, "no file has this:\n{block}");
    }
}
