//! Requests over HTTP, byte for byte as a test wants them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::{Daemon, PATIENCE};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// A daemon that serves HTTP, with those flags, and the address of its page.
pub(crate) fn daemon(flags: &[&str]) -> (Daemon, String) {
    let daemon = Daemon::start_with(&[&["--http", "127.0.0.1:0"], flags].concat());
    let page = page(&daemon);
    (daemon, page)
}

/// The address of the page, which a daemon prints in its second line.
pub(crate) fn page(daemon: &Daemon) -> String {
    let line = daemon.line().expect("it says where the page is");
    let event: Value = serde_json::from_str(&line).expect("an object");
    assert_eq!(event["event"], "page");
    event["address"].as_str().expect("an address").to_owned()
}

pub(crate) fn get(address: &str, path: &str) -> Answer {
    request(address, "GET", path, "", "")
}

pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let length = body.len();
    let host = match headers.contains("Host:") {
        true => String::new(),
        false => format!("Host: {address}\r\n"),
    };
    send(
        address,
        &format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ),
    )
}

/// Sends that, and reads until the server closes the connection.
pub(crate) fn send(address: &str, text: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    // It may refuse and close before all of it is sent.
    let _ = stream.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let answer = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer: {answer:?}")),
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    }
}
